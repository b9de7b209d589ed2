/** What a visitor gets, and why. All but `role` and `cause` are null where the page's own content stands. */
interface BespokeAssignment {
  arm: string | null;
  segment: string | null;
  message: Record<string, unknown> | null;
  role: "control" | "mass" | "tailored";
  /** The probability with which the arm was given. */
  propensity: number | null;
  /** `fallback`: the service did not answer in time, or refused. It is no exposure. */
  cause: "allocated" | "sticky" | "not_running" | "no_consent" | "opted_out" | "forced" | "fallback";
}

type BespokeConsent = "none" | "measure" | "personalise";

interface Bespoke {
  /** The visitor's arm. It always comes, within `data-timeout`. */
  assign(experiment: string, attributes?: Record<string, unknown>): Promise<BespokeAssignment>;
  /**
   * Say that the slot was reached: at the same moment in every arm, the control included.
   * False where this page has no assignment that may be counted.
   */
  expose(experiment: string): Promise<boolean>;
  /** Say what the visitor did. False without consent, or where too much is waiting to be sent. */
  track(event: string, properties?: Record<string, unknown>): boolean;
  /** What the visitor agrees to; `none` deletes what was kept. */
  consent(level: BespokeConsent): void;
  /** Name the visitor, before anything else is asked for. */
  identify(visitor: string): void;
  /** Call each function with this object: now, and from a list that waited, as soon as the script is there. */
  push(...calls: BespokeCall[]): void;
}

type BespokeCall = (bespoke: Bespoke) => void;

declare const bespoke: Bespoke;

interface Window {
  /** Before the script is there, a list: `(window.bespoke ||= []).push((bespoke) => bespoke.track("Signed Up"))`. */
  bespoke: Bespoke | BespokeCall[];
}

interface HTMLElementEventMap {
  /** A slot was decided. Whoever prevents the default fills the slot. */
  "bespoke:assigned": CustomEvent<BespokeAssignment>;
}

interface DocumentEventMap {
  "bespoke:assigned": CustomEvent<BespokeAssignment>;
}
