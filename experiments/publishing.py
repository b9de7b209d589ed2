"""Publish: turn weights into the ledger's next row, and an epoch where they moved enough."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from typing import NamedTuple

import msgspec

from experiments.allocation import PUBLISH_STEP
from experiments.allocation import Weights
from experiments.allocation import first_allocation
from experiments.allocation import largest_move
from experiments.inputs import Inputs
from experiments.inputs import metrics_asked
from experiments.inputs import policy_inputs
from experiments.inputs import read_inputs
from experiments.ledger import allocation_of
from experiments.ledger import ledger_row
from experiments.model import Allocation
from experiments.model import Experiment
from experiments.model import Policy
from experiments.policies import next_weights
from experiments.storage.ledger import LedgerRow
from experiments.storage.session import Session
from experiments.version import VERSION
from experiments.weighing import corrects
from experiments.weighing import goal_curve
from experiments.weighing import weighing_by
from stats.delays import DelayCurve


class Past(NamedTuple):
    """What a decision is made from: what the policy sees, and the ledger that it follows."""

    experiment: Experiment
    inputs: Inputs
    last: LedgerRow | None
    newest: Allocation | None


class Proposal(NamedTuple):
    """The weights that follow from a past."""

    past: Past
    weights: Weights


def read_past(session: Session, experiment: Experiment, *, now_ms: int) -> Past:
    """All that a decision needs, in one consistent state."""
    published = session.ledger.published(experiment.key)
    allocations = {row.epoch: allocation_of(row) for row in published}
    starts_ms = {row.epoch: row.at_ms for row in published}
    curve = curve_in_use(session, experiment, now_ms=now_ms)
    inputs = policy_inputs(
        experiment,
        session.cells.columns(experiment.key, metrics=metrics_asked(experiment)),
        allocations=allocations,
        conversions=session.lags.by_segment(experiment.key, experiment.goal.key),
        now_ms=now_ms,
        weighing=weighing_by(experiment, starts_ms, curve=curve, now_ms=now_ms),
    )
    newest = allocations[published[-1].epoch] if published else None
    return Past(experiment, inputs, session.ledger.last(experiment.key), newest)


def curve_in_use(session: Session, experiment: Experiment, *, now_ms: int) -> DelayCurve | None:
    """The goal's delay curve if the policy corrects by one, and enough conversions have matured to know it."""
    if not corrects(experiment.policy):
        return None
    return goal_curve(experiment.goal, session.lags.by_day(experiment.key, experiment.goal.key), now_ms=now_ms)


def allocations_of(session: Session, key: str) -> dict[int, Allocation]:
    """Every epoch's allocation."""
    return {row.epoch: allocation_of(row) for row in session.ledger.published(key)}


def publish_first(session: Session, experiment: Experiment, *, actor: str, now_ms: int) -> LedgerRow:
    """The first epoch, before anything was learned."""
    weights = dict(first_allocation(experiment).weights)
    details = _details(experiment, reason="started", actor=actor, slot=None, inputs={}, previous={})
    return _append(session, experiment, None, kind="published", weights=weights, details=details, now_ms=now_ms)


def publish_changed(session: Session, experiment: Experiment, *, actor: str, now_ms: int) -> LedgerRow:
    """The epoch of a changed document: arms that came get traffic, policies that changed take effect."""
    proposal = propose(read_past(session, experiment, now_ms=now_ms))
    return publish(session, proposal, reason="document changed", actor=actor, slot=None, now_ms=now_ms)


def propose(past: Past) -> Proposal:
    """The weights that the policy wants; computed without the database."""
    previous = past.newest.weights if past.newest else {}
    return Proposal(past, next_weights(past.experiment, past.inputs, previous))


def publish(
    session: Session, proposal: Proposal, *, reason: str, actor: str, slot: int | None, now_ms: int
) -> LedgerRow:
    """The next row: a new epoch where some weight moves enough, else a row that says nothing changed."""
    past, weights = proposal
    previous = past.newest.weights if past.newest else {}
    news = is_news(previous, weights)
    details = _details(past.experiment, reason=reason, actor=actor, slot=slot, inputs=past.inputs, previous=previous)
    return _append(
        session,
        past.experiment,
        past.last,
        kind="published" if news else "unchanged",
        weights=weights if news else {segment: dict(arms) for segment, arms in previous.items()},
        details=details,
        now_ms=now_ms,
    )


def is_news(previous: Mapping[str, Mapping[str, int]], weights: Weights) -> bool:
    """Whether weights differ enough from the previous ones, or arms have come, to make an epoch."""
    return largest_move(previous, weights) >= PUBLISH_STEP or _arms(previous) != _arms(weights)


def _arms(weights: Mapping[str, Mapping[str, int]]) -> dict[str, list[str]]:
    return {segment: list(arms) for segment, arms in weights.items()}


def _details(
    experiment: Experiment,
    *,
    reason: str,
    actor: str,
    slot: int | None,
    inputs: Inputs,
    previous: Mapping[str, Mapping[str, int]],
) -> dict[str, Any]:
    return {
        "reason": reason,
        "actor": actor,
        "slot": slot,
        "code": VERSION,
        "prior": "Beta(1, 1)",
        # No policy draws: weights are computed exactly, and the visitor's draw is a hash of this seed.
        "seed": experiment.key,
        "policy": msgspec.to_builtins(experiment.policy),
        "inputs": msgspec.to_builtins(inputs),
        "previous": {segment: list(arms.items()) for segment, arms in previous.items()},
    }


def _append(
    session: Session,
    experiment: Experiment,
    last: LedgerRow | None,
    *,
    kind: str,
    weights: Weights,
    details: Mapping[str, Any],
    now_ms: int,
) -> LedgerRow:
    row = ledger_row(experiment.key, last, kind=kind, at_ms=now_ms, weights=weights, details=details)
    assert session.ledger.append(row), "the write transaction keeps others from appending"
    return row


def recompute(experiment: Experiment, body: Mapping[str, Any]) -> Weights:
    """The weights of a ledger row, computed again from what the row holds."""
    then = _as_it_was(experiment, body)
    if body["reason"] == "started":
        return dict(first_allocation(then).weights)
    previous = {segment: dict(arms) for segment, arms in body["previous"].items()}
    weights = next_weights(then, read_inputs(body["inputs"]), previous)
    return weights if is_news(previous, weights) else previous


def _as_it_was(experiment: Experiment, body: Mapping[str, Any]) -> Experiment:
    # Arms may have been added since, and the policy changed; everything else is frozen.
    present = {arm for arms in body["weights"].values() for arm, _ in arms}
    return replace(
        experiment,
        policy=msgspec.convert(body["policy"], Policy),
        arms=tuple(arm for arm in experiment.arms if arm.key in present),
    )
