// Assigns the page's visitor to arms, fills slots, and says which slots were reached and what came of it.
// Served without comments and indentation; how pages use it: docs/sdk.md.
(() => {
  "use strict";

  if (window.bespoke?.assign) return;

  const script = document.currentScript;
  const service = script.src.replace(/sdk(\/\w+)?\.js(\?.*)?$/, "");
  const key = script.dataset.key;
  const complain = (...words) => console.warn("bespoke:", ...words);
  const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const random = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

  let patience = Number(script.dataset.timeout ?? 500);
  if (!(patience >= 0 && patience <= 5000)) {
    complain(`data-timeout: ${script.dataset.timeout} must be 0 to 5000 milliseconds`);
    patience = 500;
  }
  if (!key) complain("data-key must be a client key");

  // What is kept: in this page's memory, and in localStorage once the visitor is known to agree.

  const PREFIX = "bespoke.";
  const kept = new Map();
  let lasting = false;

  const onDisk = (act) => {
    try {
      return act(localStorage);
    } catch {
      // Forbidden or full: the page's memory must do.
    }
  };
  const write = (value, name) => lasting && onDisk((disk) => disk.setItem(PREFIX + name, JSON.stringify(value)));
  const keep = (name, value) => {
    kept.set(name, value);
    write(value, name);
  };
  const forget = (name) => {
    kept.delete(name);
    onDisk((disk) => disk.removeItem(PREFIX + name));
  };
  const beginningWith = (start) => [...kept.keys()].filter((name) => name.startsWith(start)).sort();
  const stored = () => (onDisk(Object.keys) ?? []).filter((name) => name.startsWith(PREFIX));
  const persist = () => {
    for (const name of stored()) {
      onDisk((disk) => kept.set(name.slice(PREFIX.length), JSON.parse(disk[name])));
    }
    lasting = true;
    kept.forEach(write);
  };
  const wipe = () => {
    lasting = false;
    kept.clear();
    stored().forEach((name) => localStorage.removeItem(name));
  };

  // Who the visitor is, and what may be known. `turn` tells answers that came too late for a change of either.

  const LEVELS = ["none", "measure", "personalise"];
  const assigned = new Map();
  let level, identity;
  let turn = 0;

  // Nothing said is what the service takes it for, which may be all.
  const reach = (wanted) => (wanted ? LEVELS.indexOf(wanted) : 2);
  const consent = (wanted) => {
    if (!LEVELS.includes(wanted)) throw new RangeError(`consent: ${wanted} must be none, measure or personalise`);
    if (navigator.globalPrivacyControl) wanted = "none";
    if (reach(wanted) < reach(level)) turn += 1;
    level = wanted;
    if (level === "none") {
      assigned.clear();
      wipe();
    } else persist();
  };
  const visitor = () => {
    const id = identity ?? kept.get("visitor") ?? random();
    if (id !== kept.get("visitor")) keep("visitor", id);
    return id;
  };
  const identify = (id) => {
    if (typeof id !== "string" || !id) throw new TypeError(`identify: ${id} must be a string that names the visitor`);
    if (id !== kept.get("visitor")) {
      turn += 1;
      assigned.clear();
      beginningWith("assignment.").forEach(forget);
    }
    identity = id;
    if (level !== "none") visitor();
  };

  // Assignments: the service's answer, else the last one that this visitor had, else the page's own content.

  const FALLBACK = { arm: null, segment: null, message: null, role: "mass", propensity: null, cause: "fallback" };

  const lastKnown = (experiment) => {
    const known = kept.get("assignment." + experiment);
    // Whoever agrees to being measured only is shown nothing tailored that was assigned before.
    const isAgreed = known && (level !== "measure" || known.assignment.role !== "tailored");
    return isAgreed && known.visitor === visitor() ? known.assignment : undefined;
  };
  const contextFor = (experiment, attributes) =>
    level === "none"
      ? { targetingKey: "nobody", consent: level }
      : {
          ...(level === "measure" ? {} : attributes),
          targetingKey: visitor(),
          consent: level,
          token: lastKnown(experiment)?.token,
        };
  const learn = (experiment, asker, { variant, value, metadata }) => {
    const { segment, role, propensity, cause, token } = metadata;
    const assignment = { arm: variant, segment, message: value, role, propensity, cause, token };
    // Without a word of the page's, only this answer tells whether the service lets the visitor be counted.
    if (!level && cause === "no_consent") consent("none");
    if (token) {
      if (!lasting) persist();
      keep("assignment." + experiment, { visitor: asker, assignment });
    }
    return assignment;
  };
  const ask = async (experiment, attributes) => {
    const asked = turn;
    const context = contextFor(experiment, attributes);
    const response = await fetch(service + "ofrep/v1/evaluate/flags/" + encodeURIComponent(experiment), {
      method: "POST",
      credentials: "omit",
      headers: { Authorization: "Bearer " + key, "Content-Type": "application/json" },
      body: JSON.stringify({ context }),
    });
    if (response.status === 429 || response.status >= 500) return undefined;
    if (response.ok) {
      const answer = await response.json();
      return asked === turn ? learn(experiment, context.targetingKey, answer) : FALLBACK;
    }
    const { errorDetails } = await response.json().catch(() => ({}));
    complain(experiment, response.status, errorDetails ?? "");
    return FALLBACK;
  };
  const assignmentOf = (experiment, attributes) => {
    // An answer that is late is still learnt, for the next page.
    const asked = ask(experiment, attributes).catch(() => undefined);
    const found = Promise.race([asked, after(patience)]).then((known) => known ?? lastKnown(experiment) ?? FALLBACK);
    assigned.set(experiment, found);
    return found;
  };
  const withoutToken = ({ token, ...rest }) => rest;
  const assign = (experiment, attributes) => assignmentOf(experiment, attributes).then(withoutToken);

  // Events: kept until the service has answered for them, in the order in which they came.

  const MOST_KEPT = 200;
  const MOST_SENT = 25;
  let made = 0;
  let flying = [];
  let most = MOST_SENT;
  let pause = 0;
  let timer;

  const soon = (ms) => {
    clearTimeout(timer);
    timer = setTimeout(flush, ms);
  };
  const track = (event, properties = {}) => {
    if (level === "none" || beginningWith("event.").length >= MOST_KEPT) return false;
    const messageId = [Date.now(), 1e6 + made++, random()].join("-");
    keep("event." + messageId, {
      type: "track",
      event,
      // As it is now, whatever the page does with it later; what is no JSON fails here.
      properties: JSON.parse(JSON.stringify(properties)),
      userId: visitor(),
      messageId,
      timestamp: new Date().toISOString(),
      context: { consent: level },
    });
    if (!pause) soon(0);
    return true;
  };
  // The same for every arm. Without a token nothing was assigned, and there is nothing to say.
  const expose = async (experiment) => {
    const token = (await assigned.get(experiment))?.token;
    return token !== undefined && track("Experiment Viewed", { experiment_id: experiment, token });
  };

  const batchOf = (names) =>
    JSON.stringify({ writeKey: key, sentAt: new Date().toISOString(), batch: names.map((name) => kept.get(name)) });
  const answerFor = async (names) => {
    const body = batchOf(names);
    const response = await fetch(service + "v1/batch", {
      method: "POST",
      credentials: "omit",
      body,
      // Browsers take 64 kB at most along when a page goes.
      keepalive: body.length < 20000,
      signal: AbortSignal.timeout(10000),
    });
    if (response.status === 400 || response.status === 413) return "refused";
    // A network that answers for somebody else has no items.
    const { items } = response.ok ? await response.json() : {};
    items?.forEach(({ status, code, detail }) => status === "rejected" && complain(code, detail));
    return items && "answered";
  };
  const flush = async () => {
    const names = beginningWith("event.").slice(0, most);
    if (flying.length || !names.length) return;
    flying = names;
    const fate = await answerFor(names).catch(() => undefined);
    flying = [];
    pause = fate ? 0 : Math.min(pause * 2 || 1000, 60000);
    // One event that cannot be read spoils its batch: then each goes alone, until it is found.
    if (fate === "refused") most = names.length > 1 ? 1 : MOST_SENT;
    if (fate === "answered" || (fate && names.length === 1)) names.forEach(forget);
    soon(pause);
  };
  const leave = () => {
    const names = beginningWith("event.").filter((name) => !flying.includes(name)).slice(0, MOST_SENT);
    // Nobody hears the answer to a beacon: its events stay, and are duplicates on the next page.
    if (names.length) navigator.sendBeacon(service + "v1/batch", batchOf(names));
  };

  // Slots: hidden until they are decided, filled with text, and exposed when they come into view, whatever the arm.

  const hiding = new CSSStyleSheet();
  hiding.replaceSync("[data-bespoke]:not([data-bespoke-arm]){visibility:hidden!important}");

  const CHARACTERS = { amp: "&", lt: "<", gt: ">", quot: '"', "#34": '"', "#39": "'" };
  // Values come escaped for HTML where a message may be shown as HTML; here it never is.
  const plain = (text) => text.replace(/&(amp|lt|gt|quot|#34|#39);/g, (_, name) => CHARACTERS[name]);
  const put = (place, value) => {
    if (typeof value === "string" || typeof value === "number") place.textContent = plain(String(value));
  };
  const fill = (slot, { role, message }) => {
    // Out of sight and still in its place: a slot that were gone would be reached less often than the others.
    if (role === "control") slot.style.visibility = "hidden";
    else if (slot.dataset.field) put(slot, message[slot.dataset.field]);
    else {
      const places = slot.querySelectorAll("[data-field]");
      places.forEach((place) => put(place, message[place.dataset.field]));
      if (!places.length) put(slot, Object.values(message)[0]);
    }
  };
  const show = (slot, known) => {
    const detail = withoutToken(known);
    const untaken = slot.dispatchEvent(
      new CustomEvent("bespoke:assigned", { bubbles: true, cancelable: true, detail }),
    );
    if (untaken && known.message) fill(slot, known);
  };
  const onceReached = (slot, act) => {
    const observer = new IntersectionObserver((entries) => {
      if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
      observer.disconnect();
      act();
    });
    observer.observe(slot);
  };

  // While the page is still coming in, a slot is whole when something stands behind it.
  const behind = (node) => node && (node.nextSibling || behind(node.parentNode));
  const isWhole = (slot) => document.readyState !== "loading" || behind(slot);
  let coming = [];
  const whole = (slot) => new Promise((resolve) => coming.push([slot, resolve]));
  const lookAtComing = () => {
    coming = coming.filter(([slot, resolve]) => !isWhole(slot) || resolve(true));
  };

  const decide = async (slot) => {
    const experiment = slot.dataset.bespoke;
    let known = FALLBACK;
    try {
      const [found, isThere] = await Promise.all([
        assignmentOf(experiment, JSON.parse(slot.dataset.attributes ?? "{}")),
        Promise.race([whole(slot), after(patience)]),
      ]);
      if (isThere) known = found;
      show(slot, known);
    } catch (error) {
      complain(experiment, error);
    }
    slot.dataset.bespokeArm = known.arm ?? "";
    if (known.token) onceReached(slot, () => expose(experiment));
  };
  const met = new WeakSet();
  const look = () => {
    for (const slot of document.querySelectorAll("[data-bespoke]")) {
      if (met.has(slot)) continue;
      met.add(slot);
      decide(slot);
    }
    lookAtComing();
  };
  const begin = () => {
    // What has been painted has been seen, and is not taken away.
    const isPainted = performance.getEntriesByType("paint").length > 0;
    for (const slot of isPainted ? document.querySelectorAll("[data-bespoke]") : []) {
      if (getComputedStyle(slot).visibility !== "visible") continue;
      met.add(slot);
      slot.dataset.bespokeArm = "";
      complain(slot.dataset.bespoke, "was painted before this script came: load it in the head, without async");
    }
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, hiding];
    new MutationObserver(look).observe(document, { childList: true, subtree: true });
    document.addEventListener("readystatechange", look);
    look();
  };

  const push = (...calls) => {
    for (const call of calls) {
      try {
        call(bespoke);
      } catch (error) {
        complain(error);
      }
    }
  };
  const bespoke = Object.freeze({ assign, expose, track, consent, identify, push });
  const calls = window.bespoke;
  window.bespoke = bespoke;

  try {
    if (navigator.globalPrivacyControl) consent("none");
    else if ("consent" in script.dataset) consent(script.dataset.consent);
    else if (onDisk((disk) => disk.getItem(PREFIX + "visitor"))) persist();
  } catch (error) {
    complain(error);
    consent("none");
  }
  if (Array.isArray(calls)) push(...calls);
  begin();
  addEventListener("online", () => soon(0));
  // Consent that was withdrawn in another tab.
  addEventListener("storage", (change) => {
    if (change.key === PREFIX + "visitor" && change.newValue === null) consent("none");
  });
  addEventListener("pagehide", leave);
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && leave());
  soon(0);
})();
