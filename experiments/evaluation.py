"""Evaluate: which arm and message a visitor gets. Nothing is counted and nothing written."""

from collections.abc import Collection
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from experiments import tokens
from experiments.assignment import Assignment
from experiments.assignment import Consent
from experiments.assignment import Plan
from experiments.assignment import decide
from experiments.errors import InvalidContext
from experiments.errors import InvalidSignature
from experiments.errors import NotLookedUp
from experiments.errors import RejectedEvent
from experiments.errors import UnknownExperiment
from experiments.events import checked_visitor
from experiments.lost_epochs import is_lost
from experiments.model import Experiment
from experiments.model import Exposure
from experiments.model import Role
from experiments.privacy.consent import consent_of
from experiments.recent import RecentTraffic
from experiments.rules.attributes import declared_attributes
from experiments.signing import Keyring
from experiments.signing import pseudonym
from experiments.snapshot import Entry
from experiments.snapshot import Snapshot
from experiments.snapshot import newest_plan
from experiments.storage.store import Store


class Asking(NamedTuple):
    """How an evaluation is asked for: when, with which consent where none is said, and whether it may be counted.

    `recent` remembers what it was asked by, without whom.
    """

    now_ms: int
    consent_default: Consent
    token_seconds: int
    objects: bool = False
    recent: RecentTraffic | None = None


class Caller(NamedTuple):
    """Who asks: the attributes are the declared ones, and only those that the consent lets one look at."""

    visitor: str
    consent: Consent
    attributes: Mapping[str, Any]
    token: object
    opted_out: bool = False


class Evaluation(NamedTuple):
    """An assignment with its message and, where an exposure may follow, its token."""

    assignment: Assignment
    role: Role
    message: dict[str, Any]
    token: str | None


class LookedUp(NamedTuple):
    """What exposures of a visitor fixed, by experiment; where there is a `fault`, as far as it is remembered."""

    exposed: Mapping[str, Exposure]
    fault: NotLookedUp | None = None


def evaluate(
    store: Store, snapshot: Snapshot, key: str, *, context: Mapping[str, Any], asking: Asking, keyring: Keyring
) -> Evaluation:
    """Evaluate an experiment for the visitor of an OpenFeature context.

    :raises UnknownExperiment: if there is none, or it was not started, or it is archived.
    :raises InvalidContext: if the visitor, the consent or an attribute is not what it must be.
    :raises NotLookedUp: if the database is away, and without it nobody knows which arm the visitor has.
    """
    entry, visitor = live_entry(snapshot, key), _visitor(context)
    if snapshot.opted_out.holds(visitor, keyring=keyring):
        return _objected(store, entry, visitor, asking=asking, keyring=keyring)
    caller = read_caller(entry.experiment, visitor, context=context, asking=asking)
    note(context, caller.visitor, consent=caller.consent, asking=asking)
    looked_up = _look_up(store, [key], caller.visitor, consent=caller.consent, keyring=keyring)
    return _evaluation(store, entry, caller, looked_up=looked_up, asking=asking, keyring=keyring)


def evaluate_all(
    store: Store, snapshot: Snapshot, *, context: Mapping[str, Any], asking: Asking, keyring: Keyring
) -> dict[str, Evaluation | InvalidContext | NotLookedUp]:
    """Evaluate every experiment that `evaluate` knows, each by itself: an attribute that one cannot use is its failure.

    :raises InvalidContext: if the visitor or the consent is not what it must be.
    """
    visitor, entries = _visitor(context), snapshot.all_live()
    if snapshot.opted_out.holds(visitor, keyring=keyring):
        return {
            key: _objected(store, entry, visitor, asking=asking, keyring=keyring) for key, entry in entries.items()
        }
    consent = _consent(context, asking=asking)
    note(context, visitor, consent=consent, asking=asking)
    looked_up = _look_up(store, entries, visitor, consent=consent, keyring=keyring)

    def attempt(entry: Entry) -> Evaluation | InvalidContext | NotLookedUp:
        try:
            caller = read_caller(entry.experiment, visitor, context=context, asking=asking)
            return _evaluation(store, entry, caller, looked_up=looked_up, asking=asking, keyring=keyring)
        except (InvalidContext, NotLookedUp) as error:
            return error

    return {key: attempt(entry) for key, entry in entries.items()}


def live_entry(snapshot: Snapshot, key: str) -> Entry:
    """An experiment that answers evaluations.

    :raises UnknownExperiment: if there is none, or it was not started, or it is archived.
    """
    entry = snapshot.live(key)
    if entry is None or entry.plan is None:
        raise UnknownExperiment(key)
    return entry


def read_caller(experiment: Experiment, visitor: str, *, context: Mapping[str, Any], asking: Asking) -> Caller:
    """What an OpenFeature context says of a visitor.

    :raises InvalidContext: if the consent or an attribute is not what it must be.
    """
    consent = _consent(context, asking=asking)
    attributes = declared_attributes(experiment, context) if consent == "personalise" else {}
    return Caller(visitor, consent, attributes, context.get("token"))


def note(context: Mapping[str, Any], visitor: str, *, consent: Consent, asking: Asking) -> None:
    """Remember what an evaluation was asked by, where the visitor consents to that."""
    if asking.recent is not None and consent == "personalise":
        asking.recent.note(context, visitor, now_ms=asking.now_ms)


def may_be_counted(assignment: Assignment) -> bool:
    """Whether an exposure may follow: only a running experiment gives its arms for keeps, and not to everybody."""
    return assignment.cause in ("allocated", "sticky")


def claim_of(key: str, assignment: Assignment, *, context: str | None, asking: Asking) -> tokens.Claim | None:
    """What the token of an assignment says, by which an exposure may follow; None where nothing may be counted."""
    if not may_be_counted(assignment):
        return None
    expires_ms = tokens.expiry(asking.now_ms, lifetime_seconds=asking.token_seconds)
    arm, segment, weight, epoch, _ = assignment
    return tokens.Claim(key, segment, arm, epoch, weight, expires_ms, context)


def promised(entry: Entry, visitor: str, *, token: object, now_ms: int, keyring: Keyring) -> tokens.Claim | None:
    """What a token of this visitor says; None where it is not good, or nothing was promised."""
    # Paused means that nobody new gets anything but the mass arm, whatever was promised.
    if entry.stored.state == "paused" or not isinstance(token, str):
        return None
    try:
        claim = tokens.read(token, visitor, key=keyring.tokens)
    except InvalidSignature:
        return None
    if claim.experiment != entry.experiment.key or claim.expires_ms <= now_ms:
        return None
    if is_lost(claim.epoch, entry.restored_at):
        return None
    return claim


def _objected(store: Store, entry: Entry, visitor: str, *, asking: Asking, keyring: Keyring) -> Evaluation:
    """What anybody gets who has opted out: nothing that they bring is looked at, and nobody is looked up."""
    caller = Caller(visitor, "none", {}, None, opted_out=True)
    return _evaluation(store, entry, caller, looked_up=LookedUp({}), asking=asking, keyring=keyring)


def _evaluation(
    store: Store, entry: Entry, caller: Caller, *, looked_up: LookedUp, asking: Asking, keyring: Keyring
) -> Evaluation:
    visitor, now_ms = caller.visitor, asking.now_ms
    kept, claimed = looked_up.exposed.get(entry.experiment.key), None
    # Whoever may not be counted is kept nothing, and no database is asked for what a token of theirs names.
    if kept is None and caller.consent != "none":
        claimed = promised(entry, visitor, token=caller.token, now_ms=now_ms, keyring=keyring)
        kept = claimed and claimed.fixed
    plan = _plan_that_knows(kept, store, entry)
    assignment = decide(
        plan,
        visitor,
        attributes=caller.attributes,
        state=entry.stored.state,
        consent=caller.consent,
        kept=kept,
        opted_out=caller.opted_out,
    )
    if looked_up.fault and kept is None:
        _check_settled(entry, visitor, assignment, fault=looked_up.fault)
    context = _drawn_context(plan, caller) if kept is None else claimed and claimed.context
    claim = claim_of(entry.experiment.key, assignment, context=context, asking=asking)
    token = tokens.issue(claim, visitor, key=keyring.tokens) if claim else None
    role = plan.experiment.arm_by_key[assignment.arm].role
    return Evaluation(assignment, role, plan.message(assignment.arm, caller.attributes), token)


def _drawn_context(plan: Plan, caller: Caller) -> str | None:
    """What is stored of a visitor whose arm was drawn just now."""
    return plan.contexts.of(caller.attributes) if caller.consent == "personalise" else None


def _check_settled(entry: Entry, visitor: str, assignment: Assignment, *, fault: NotLookedUp) -> None:
    """See that any exposure that cannot be looked up was to this very arm: nobody is ever given another one."""
    known, (arm, segment, *_) = entry.settled, assignment
    if known is None or not known.holds(entry.experiment.key, visitor, segment=segment, arm=arm):
        raise fault


def _plan_that_knows(kept: Exposure | None, store: Store, entry: Entry) -> Plan:
    """The plan as this process has seen it; the newest where another one has since added the arm that is kept."""
    assert entry.plan is not None, "only experiments that were started are evaluated"
    if kept is None or kept.arm in entry.experiment.arm_by_key:
        return entry.plan
    return store.read(lambda session: newest_plan(session, seen=entry))


def _visitor(context: Mapping[str, Any]) -> str:
    value = context.get("targetingKey")
    if value is None or value == "":
        raise InvalidContext("TARGETING_KEY_MISSING", "context.targetingKey must name the visitor")
    try:
        return checked_visitor(value, "context.targetingKey")
    except RejectedEvent as error:
        raise InvalidContext("INVALID_CONTEXT", str(error)) from error


def _consent(context: Mapping[str, Any], *, asking: Asking) -> Consent:
    try:
        consent = consent_of(context, default=asking.consent_default)
    except RejectedEvent as error:
        raise InvalidContext("INVALID_CONTEXT", str(error)) from error
    return "none" if asking.objects else consent


def _look_up(
    store: Store, keys: Collection[str], visitor: str, *, consent: Consent, keyring: Keyring
) -> LookedUp:
    """What exposures of one visitor fixed for good; who does not consent is not looked up."""
    if consent == "none" or not keys:
        return LookedUp({})
    try:
        return LookedUp(store.exposures_of(pseudonym(visitor, key=keyring.visitors), keys))
    except NotLookedUp as fault:
        return LookedUp(fault.known, fault)
