"""Publish: turn weights into the ledger's next row, and an epoch where they moved enough."""

from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from typing import NamedTuple

import msgspec

from experiments.allocation import PUBLISH_STEP
from experiments.allocation import Weights
from experiments.allocation import first_allocation
from experiments.allocation import largest_move
from experiments.audit import Deed
from experiments.failpoints import Failpoint
from experiments.failpoints import reached
from experiments.final_allocation import Finals
from experiments.final_allocation import final_weights
from experiments.inputs import Inputs
from experiments.inputs import metrics_asked
from experiments.inputs import policy_inputs
from experiments.inputs import read_inputs
from experiments.ledger import LedgerAct
from experiments.ledger import allocation_of
from experiments.ledger import hold_of
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


def publish_first(session: Session, experiment: Experiment, *, deed: Deed) -> LedgerRow:
    """The first epoch, before anything was learned."""
    weights = dict(first_allocation(experiment).weights)
    details = _details(experiment, act="start", reason=deed.reason or "started", actor=deed.actor, previous={})
    return _append_news(session, experiment, None, weights=weights, details=details, deed=deed)


def publish_changed(session: Session, experiment: Experiment, *, deed: Deed) -> LedgerRow:
    """The epoch of a changed document: arms that came get traffic, policies that changed take effect.

    Held weights stay.
    """
    reasoned = deed._replace(reason=deed.reason or "document changed")
    if hold_of(session.ledger.last(experiment.key)) is not None:
        return publish_act(session, experiment, "replace", deed=reasoned)
    proposal = propose(read_past(session, experiment, now_ms=deed.now_ms))
    return publish(session, proposal, act="replace", slot=None, deed=reasoned)


def propose(past: Past) -> Proposal:
    """The weights that the policy wants; computed without the database."""
    previous = past.newest.weights if past.newest else {}
    return Proposal(past, next_weights(past.experiment, past.inputs, previous))


def publish(session: Session, proposal: Proposal, *, act: LedgerAct, slot: int | None, deed: Deed) -> LedgerRow:
    """The next row: a new epoch where some weight moves enough, else a row that says nothing changed."""
    past, weights = proposal
    previous = past.newest.weights if past.newest else {}
    details = _details(
        past.experiment, act=act, reason=deed.reason, actor=deed.actor, previous=previous, slot=slot,
        inputs=past.inputs,
    )
    return _append_news(session, past.experiment, past.last, weights=weights, details=details, deed=deed)


def publish_act(
    session: Session, experiment: Experiment, act: LedgerAct, *, deed: Deed, finals: Finals | None = None
) -> LedgerRow:
    """The row of what somebody does: freezing holds the weights, `finals` set and hold them, unfreezing lets them go.

    Whatever else is done leaves them, and what they go back to.
    """
    last, newest = session.ledger.last(experiment.key), session.ledger.newest_epoch(experiment.key)
    assert last and newest, "only what was started has weights"
    previous, hold = allocation_of(newest).weights, hold_of(last)
    more: dict[str, Any] = {"hold": _pairs(hold) if hold else None}
    if act in ("freeze", "finish"):
        more = {"hold": _pairs(hold or previous), "finals": finals}
    elif act == "unfreeze":
        more = {"restored": more["hold"]}
    details = _details(experiment, act=act, reason=deed.reason or "asked for", actor=deed.actor, previous=previous)
    details = {**details, **{name: value for name, value in more.items() if value is not None}}
    return _append_news(session, experiment, last, weights=_asked_for(experiment, details), details=details, deed=deed)


def _asked_for(experiment: Experiment, body: Mapping[str, Any]) -> Weights:
    """The weights that an act of somebody's asks for."""
    if body["act"] == "finish":
        return final_weights(experiment, body["finals"])
    return _weights(body["restored" if body["act"] == "unfreeze" else "previous"])


def _pairs(weights: Mapping[str, Mapping[str, int]]) -> dict[str, list[tuple[str, int]]]:
    # Pairs, not an object: the order of arms is the order of the draw.
    return {segment: list(arms.items()) for segment, arms in weights.items()}


def _weights(pairs: Mapping[str, Any]) -> Weights:
    return {segment: dict(arms) for segment, arms in pairs.items()}


def is_news(previous: Mapping[str, Mapping[str, int]], weights: Weights) -> bool:
    """Whether weights differ enough from the previous ones, or arms have come, to make an epoch."""
    return largest_move(previous, weights) >= PUBLISH_STEP or _arms(previous) != _arms(weights)


def _arms(weights: Mapping[str, Mapping[str, int]]) -> dict[str, list[str]]:
    return {segment: list(arms) for segment, arms in weights.items()}


def _details(
    experiment: Experiment,
    *,
    act: LedgerAct,
    reason: str,
    actor: str,
    previous: Mapping[str, Mapping[str, int]],
    slot: int | None = None,
    inputs: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    return {
        "act": act,
        "reason": reason,
        "actor": actor,
        "slot": slot,
        "code": VERSION,
        "prior": "Beta(1, 1)",
        # No policy draws: weights are computed exactly, and the visitor's draw is a hash of this seed.
        "seed": experiment.key,
        "policy": msgspec.to_builtins(experiment.policy),
        "inputs": msgspec.to_builtins(dict(inputs)),
        "previous": _pairs(previous),
    }


def _append_news(
    session: Session,
    experiment: Experiment,
    last: LedgerRow | None,
    *,
    weights: Weights,
    details: Mapping[str, Any],
    deed: Deed,
) -> LedgerRow:
    """A new epoch where weights are news, else a row that leaves them: `unchanged` says that the policy looked."""
    previous = _weights(details["previous"])
    news = is_news(previous, weights)
    row = ledger_row(
        experiment.key,
        last,
        kind="published" if news else "unchanged" if details["act"] == "reallocate" else "acted",
        at_ms=deed.now_ms,
        weights=weights if news else previous,
        details=details,
    )
    reached(Failpoint.ALLOCATION_DETAILED)
    assert session.ledger.append(row), "the write transaction keeps others from appending"
    reached(Failpoint.ALLOCATION_APPENDED)
    return row


def recompute(experiment: Experiment, body: Mapping[str, Any]) -> Weights:
    """The weights of a ledger row, computed again from what the row holds."""
    then, previous = _as_it_was(experiment, body), _weights(body["previous"])
    weights = _WEIGHTS_BY_ACT.get(body["act"], _asked_for)(then, body)
    return weights if is_news(previous, weights) else previous


def _by_policy(experiment: Experiment, body: Mapping[str, Any]) -> Weights:
    if body.get("hold") is not None:
        return _weights(body["previous"])
    return next_weights(experiment, read_inputs(body["inputs"]), _weights(body["previous"]))


#: What weights are made from; those of other acts are asked for.
_WEIGHTS_BY_ACT: dict[str, Callable[[Experiment, Mapping[str, Any]], Weights]] = {
    "start": lambda experiment, body: dict(first_allocation(experiment).weights),
    "reallocate": _by_policy,
    "replace": _by_policy,
}


def _as_it_was(experiment: Experiment, body: Mapping[str, Any]) -> Experiment:
    # Arms may have been added since, and the policy changed; everything else is frozen.
    present = {arm for arms in body["weights"].values() for arm, _ in arms}
    return replace(
        experiment,
        policy=msgspec.convert(body["policy"], Policy),
        arms=tuple(arm for arm in experiment.arms if arm.key in present),
    )
