"""Evaluate: which arm and message a visitor gets. Nothing is counted and nothing written."""

from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from experiments import tokens
from experiments.assignment import Assignment
from experiments.assignment import Consent
from experiments.assignment import decide
from experiments.attributes import declared_attributes
from experiments.errors import InvalidContext
from experiments.errors import InvalidSignature
from experiments.errors import RejectedEvent
from experiments.errors import UnknownExperiment
from experiments.errors import shown
from experiments.events import checked_visitor
from experiments.model import Exposure
from experiments.model import Role
from experiments.signing import Keyring
from experiments.signing import pseudonym
from experiments.snapshot import Entry
from experiments.snapshot import Snapshot
from experiments.storage.store import Store


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
    visitor = _visitor(context)
    consent = "none" if asking.objects else _consent(context, default=asking.consent_default)
    attributes = declared_attributes(entry.experiment, context) if consent == "personalise" else {}
    kept = None if consent == "none" else _kept(store, entry, visitor, context, asking=asking, keyring=keyring)
    assignment = decide(
        entry.plan, visitor, attributes=attributes, state=entry.stored.state, consent=consent, kept=kept
    )
    return Evaluation(
        assignment,
        entry.experiment.arm_by_key[assignment.arm].role,
        entry.plan.message(assignment.arm, attributes),
        _token(key, assignment, visitor, asking=asking, keyring=keyring),
    )


def _visitor(context: Mapping[str, Any]) -> str:
    value = context.get("targetingKey")
    if value is None or value == "":
        raise InvalidContext("TARGETING_KEY_MISSING", "context.targetingKey must name the visitor")
    try:
        return checked_visitor(value, "context.targetingKey")
    except RejectedEvent as error:
        raise InvalidContext("INVALID_CONTEXT", str(error)) from error


def _consent(context: Mapping[str, Any], *, default: Consent) -> Consent:
    consent = context.get("consent")
    if consent is None:
        return default
    if consent not in ("none", "measure", "personalise"):
        raise InvalidContext(
            "INVALID_CONTEXT", f"context.consent: {shown(consent)} must be none, measure or personalise"
        )
    return consent  # type: ignore[no-any-return]


def _kept(
    store: Store, entry: Entry, visitor: str, context: Mapping[str, Any], *, asking: Asking, keyring: Keyring
) -> Exposure | None:
    """What an exposure fixed for good, else what a token of this visitor holds."""
    key = entry.experiment.key
    stand_in = pseudonym(visitor, key=keyring.visitors)
    exposure = store.read(lambda session: session.exposures.get(key, stand_in))
    if exposure is not None:
        return Exposure(*exposure[:5])
    # Paused means that nobody new gets anything but the mass arm, whatever was promised.
    if entry.stored.state == "paused":
        return None
    return _claimed(entry, visitor, context.get("token"), now_ms=asking.now_ms, keyring=keyring)


def _claimed(entry: Entry, visitor: str, token: object, *, now_ms: int, keyring: Keyring) -> Exposure | None:
    if not isinstance(token, str):
        return None
    try:
        claim = tokens.read(token, visitor, key=keyring.tokens)
    except InvalidSignature:
        return None
    if claim.experiment != entry.experiment.key or claim.expires_ms <= now_ms:
        return None
    return Exposure(claim.arm, claim.segment, claim.epoch, claim.weight, now_ms)


def _token(key: str, assignment: Assignment, visitor: str, *, asking: Asking, keyring: Keyring) -> str | None:
    # Only a running experiment gives its arms for keeps, and only to people who may be counted.
    if assignment.cause not in ("allocated", "sticky"):
        return None
    expires_ms = tokens.expiry(asking.now_ms, lifetime_seconds=asking.token_seconds)
    claim = tokens.Claim(key, assignment.segment, assignment.arm, assignment.epoch, assignment.weight, expires_ms)
    return tokens.issue(claim, visitor, key=keyring.tokens)
