"""Evaluate: which arm and message a visitor gets. Nothing is counted and nothing written."""

from collections.abc import Collection
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from experiments import tokens
from experiments.assignment import Assignment
from experiments.assignment import Consent
from experiments.assignment import decide
from experiments.attributes import declared_attributes
from experiments.consent import consent_of
from experiments.errors import InvalidContext
from experiments.errors import InvalidSignature
from experiments.errors import RejectedEvent
from experiments.errors import UnknownExperiment
from experiments.events import checked_visitor
from experiments.model import Exposure
from experiments.model import Role
from experiments.signing import Keyring
from experiments.signing import pseudonym
from experiments.snapshot import Entry
from experiments.snapshot import Snapshot
from experiments.storage.store import Store
from experiments.storage.visitors import ExposureRow


class Asking(NamedTuple):
    """How an evaluation is asked for: when, with which consent where none is said, and whether it may be counted."""

    now_ms: int
    consent_default: Consent
    token_seconds: int
    objects: bool = False


class Evaluation(NamedTuple):
    """An assignment with its message and, where an exposure may follow, its token."""

    assignment: Assignment
    role: Role
    message: dict[str, Any]
    token: str | None


def evaluate(
    store: Store, snapshot: Snapshot, key: str, *, context: Mapping[str, Any], asking: Asking, keyring: Keyring
) -> Evaluation:
    """Evaluate an experiment for the visitor of an OpenFeature context.

    :raises UnknownExperiment: if there is none, or it was not started, or it is archived.
    :raises InvalidContext: if the visitor, the consent or an attribute is not what it must be.
    """
    entry = snapshot.live(key)
    if entry is None or entry.plan is None:
        raise UnknownExperiment(key)
    visit = _read_visit(context, asking=asking, keyring=keyring)
    return _evaluation(entry, visit, _exposures(store, [key], visit).get(key))


def evaluate_all(
    store: Store, snapshot: Snapshot, *, context: Mapping[str, Any], asking: Asking, keyring: Keyring
) -> dict[str, Evaluation | InvalidContext]:
    """Evaluate every experiment that `evaluate` knows, each by itself: an attribute that one cannot use is its failure.

    :raises InvalidContext: if the visitor or the consent is not what it must be.
    """
    visit = _read_visit(context, asking=asking, keyring=keyring)
    entries = snapshot.all_live()
    exposures = _exposures(store, entries, visit)
    return {key: _attempt(entry, visit, exposures.get(key)) for key, entry in entries.items()}


class _Visit(NamedTuple):
    """A visitor with what the context says, and on which terms the visitor is evaluated."""

    visitor: str
    consent: Consent
    context: Mapping[str, Any]
    asking: Asking
    keyring: Keyring


def _read_visit(context: Mapping[str, Any], *, asking: Asking, keyring: Keyring) -> _Visit:
    visitor = context.get("targetingKey")
    if visitor is None or visitor == "":
        raise InvalidContext("TARGETING_KEY_MISSING", "context.targetingKey must name the visitor")
    try:
        visitor = checked_visitor(visitor, "context.targetingKey")
        consent = consent_of(context, default=asking.consent_default)
    except RejectedEvent as error:
        raise InvalidContext("INVALID_CONTEXT", str(error)) from error
    return _Visit(visitor, "none" if asking.objects else consent, context, asking, keyring)


def _exposures(store: Store, keys: Collection[str], visit: _Visit) -> dict[str, ExposureRow]:
    """What exposures fixed for good; who does not consent is not looked for."""
    if visit.consent == "none" or not keys:
        return {}
    stand_in = pseudonym(visit.visitor, key=visit.keyring.visitors)
    return store.read(lambda session: session.exposures.of(stand_in, keys))


def _attempt(entry: Entry, visit: _Visit, exposure: ExposureRow | None) -> Evaluation | InvalidContext:
    try:
        return _evaluation(entry, visit, exposure)
    except InvalidContext as error:
        return error


def _evaluation(entry: Entry, visit: _Visit, exposure: ExposureRow | None) -> Evaluation:
    experiment, plan = entry.experiment, entry.plan
    assert plan, "an experiment that answers was started"
    attributes = declared_attributes(experiment, visit.context) if visit.consent == "personalise" else {}
    assignment = decide(
        plan,
        visit.visitor,
        attributes=attributes,
        state=entry.stored.state,
        consent=visit.consent,
        kept=_kept(entry, visit, exposure),
    )
    return Evaluation(
        assignment,
        experiment.arm_by_key[assignment.arm].role,
        plan.message(assignment.arm, attributes),
        _token(experiment.key, assignment, visit),
    )


def _kept(entry: Entry, visit: _Visit, exposure: ExposureRow | None) -> Exposure | None:
    """What an exposure fixed for good, else what a token of this visitor holds."""
    if exposure is not None:
        return Exposure(*exposure[:5])
    # Paused means that nobody new gets anything but the mass arm, whatever was promised.
    if visit.consent == "none" or entry.stored.state == "paused":
        return None
    return _claimed(entry, visit)


def _claimed(entry: Entry, visit: _Visit) -> Exposure | None:
    token, now_ms = visit.context.get("token"), visit.asking.now_ms
    if not isinstance(token, str):
        return None
    try:
        claim = tokens.read(token, visit.visitor, key=visit.keyring.tokens)
    except InvalidSignature:
        return None
    if claim.experiment != entry.experiment.key or claim.expires_ms <= now_ms:
        return None
    return Exposure(claim.arm, claim.segment, claim.epoch, claim.weight, now_ms)


def _token(key: str, assignment: Assignment, visit: _Visit) -> str | None:
    # Only a running experiment gives its arms for keeps, and only to people who may be counted.
    if assignment.cause not in ("allocated", "sticky"):
        return None
    expires_ms = tokens.expiry(visit.asking.now_ms, lifetime_seconds=visit.asking.token_seconds)
    claim = tokens.Claim(key, assignment.segment, assignment.arm, assignment.epoch, assignment.weight, expires_ms)
    return tokens.issue(claim, visit.visitor, key=visit.keyring.tokens)
