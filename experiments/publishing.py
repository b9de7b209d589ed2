"""Publish: turn weights into the ledger's next row, and an epoch where they moved enough."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import msgspec

from experiments.allocation import PUBLISH_STEP
from experiments.allocation import Weights
from experiments.allocation import first_allocation
from experiments.allocation import largest_move
from experiments.allocation import without
from experiments.audit import Deed
from experiments.failpoints import Failpoint
from experiments.failpoints import reached
from experiments.final_allocation import Finals
from experiments.final_allocation import final_weights
from experiments.inputs import metrics_asked
from experiments.inputs import policy_inputs
from experiments.inputs import read_inputs
from experiments.ledger import LedgerAct
from experiments.ledger import allocation_of
from experiments.ledger import ledger_row
from experiments.model import Allocation
from experiments.model import Experiment
from experiments.model import Policy
from experiments.proposals import Past
from experiments.proposals import Proposal
from experiments.proposals import Wanted
from experiments.proposals import by_policy
from experiments.proposals import propose
from experiments.restraints import FREE
from experiments.restraints import Pairs
from experiments.restraints import Restraints
from experiments.restraints import pairs
from experiments.restraints import restraints_of
from experiments.restraints import weights_of
from experiments.storage.ledger import LedgerRow
from experiments.storage.session import Session
from experiments.version import VERSION
from experiments.weighing import corrects
from experiments.weighing import goal_curve
from experiments.weighing import weighing_by
from stats.delays import DelayCurve


def read_past(session: Session, experiment: Experiment, *, now_ms: int, watched: Sequence[str] = ()) -> Past:
    """All that a decision needs, in one consistent state, and the cells of metrics that are watched besides."""
    published = session.ledger.published(experiment.key)
    allocations = {row.epoch: allocation_of(row) for row in published}
    starts_ms = {row.epoch: row.at_ms for row in published}
    curve = curve_in_use(session, experiment, now_ms=now_ms)
    columns = session.cells.columns(experiment.key, metrics=[*metrics_asked(experiment), *watched])
    inputs = policy_inputs(
        experiment,
        columns,
        allocations=allocations,
        conversions=session.lags.by_segment(experiment.key, experiment.goal.key),
        now_ms=now_ms,
        weighing=weighing_by(experiment, starts_ms, curve=curve, now_ms=now_ms),
    )
    last = session.ledger.last(experiment.key)
    return Past(experiment, inputs, columns, last, allocations, restraints_of(last))


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
    wanted, nothing = Wanted(dict(first_allocation(experiment).weights)), Allocation(0, {})
    details = _details(experiment, act="start", reason=deed.reason or "started", actor=deed.actor, previous=nothing)
    return _append_news(session, experiment, None, wanted=wanted, details=details, deed=deed)


def publish_changed(session: Session, experiment: Experiment, *, deed: Deed) -> LedgerRow:
    """The epoch of a changed document: arms that came get traffic, policies that changed take effect.

    Held weights stay.
    """
    reasoned = deed._replace(reason=deed.reason or "document changed")
    if restraints_of(session.ledger.last(experiment.key)).is_frozen:
        return publish_act(session, experiment, "replace", deed=reasoned)
    proposal = propose(read_past(session, experiment, now_ms=deed.now_ms))
    return publish(session, proposal, act="replace", slot=None, deed=reasoned)


def publish(session: Session, proposal: Proposal, *, act: LedgerAct, slot: int | None, deed: Deed) -> LedgerRow:
    """The next row: a new epoch where some weight moves enough, else a row that says nothing changed."""
    past, wanted = proposal
    details = _details(
        past.experiment, act=act, reason=deed.reason, actor=deed.actor, previous=past.previous, slot=slot,
        inputs=past.inputs, restraints=past.restraints,
    )
    return _append_news(session, past.experiment, past.last, wanted=wanted, details=details, deed=deed)


def publish_act(
    session: Session,
    experiment: Experiment,
    act: LedgerAct,
    *,
    deed: Deed,
    finals: Finals | None = None,
    news: Mapping[str, Any] = MappingProxyType({}),
) -> LedgerRow:
    """The row of what somebody does: freezing holds the weights, `finals` set and hold them, unfreezing lets them go.

    Barring an arm gives its traffic to the mass arm. Whatever else is done leaves weights and restraints, but for those
    that are `news`.
    """
    last, newest = session.ledger.last(experiment.key), session.ledger.newest_epoch(experiment.key)
    assert last and newest, "only what was started has weights"
    previous, before = allocation_of(newest), restraints_of(last)
    after = msgspec.structs.replace(_restrained(before, act, previous.weights), **news)
    details = _details(
        experiment, act=act, reason=deed.reason or "asked for", actor=deed.actor, previous=previous, restraints=after
    )
    details |= {"finals": finals} if finals else {}
    details |= {"restored": before.hold} if act == "unfreeze" else {}
    return _append_news(session, experiment, last, wanted=_asked_for(experiment, details), details=details, deed=deed)


def _restrained(before: Restraints, act: LedgerAct, weights: Mapping[str, Mapping[str, int]]) -> Restraints:
    """The restraints after an act; what a person holds is held for no alarm."""
    if act in ("freeze", "finish"):
        return msgspec.structs.replace(before, hold=before.hold or pairs(weights), alarm=None)
    return msgspec.structs.replace(before, hold=None, alarm=None) if act == "unfreeze" else before


def _asked_for(experiment: Experiment, body: Mapping[str, Any]) -> Wanted:
    """The weights that an act of somebody's asks for; a finish is for everybody of a segment, whatever the context."""
    previous = _previous(body)
    if body["act"] == "finish":
        return Wanted(final_weights(experiment, body["finals"]))
    if body["act"] == "bar":
        return Wanted(
            without(experiment, previous.weights, body["barred"]),
            {
                segment: _without_by_context(experiment, segment, of_segment, body["barred"])
                for segment, of_segment in previous.contexts.items()
            },
        )
    weights = weights_of(body["restored"]) if body["act"] == "unfreeze" else dict(previous.weights)
    return Wanted(weights, {segment: dict(of_segment) for segment, of_segment in previous.contexts.items()})


def _without_by_context(
    experiment: Experiment, segment: str, of_segment: Mapping[str, Mapping[str, int]], barred: Collection[str]
) -> Weights:
    return {
        context: without(experiment, {segment: arms}, barred)[segment] for context, arms in of_segment.items()
    }


def is_news(previous: Mapping[str, Mapping[str, int]], weights: Mapping[str, Mapping[str, int]]) -> bool:
    """Whether weights differ enough from the previous ones, or arms have come, to make an epoch."""
    return largest_move(previous, weights) >= PUBLISH_STEP or _arms(previous) != _arms(weights)


def is_new_allocation(previous: Allocation, wanted: Wanted) -> bool:
    """Whether it is news with contexts too: one that had no weights of its own had its segment's."""
    segments = {**previous.contexts, **wanted.contexts}
    now = Allocation(0, wanted.weights, wanted.contexts)
    return is_news(previous.weights, wanted.weights) or any(
        is_news({context: previous.of(segment, context)}, {context: now.of(segment, context)})
        for segment in segments
        for context in {**previous.contexts.get(segment, {}), **wanted.contexts.get(segment, {})}
    )


def _arms(weights: Mapping[str, Mapping[str, int]]) -> dict[str, list[str]]:
    return {segment: list(arms) for segment, arms in weights.items()}


def _details(
    experiment: Experiment,
    *,
    act: LedgerAct,
    reason: str,
    actor: str,
    previous: Allocation,
    slot: int | None = None,
    inputs: Mapping[str, Any] = MappingProxyType({}),
    restraints: Restraints = FREE,
) -> dict[str, Any]:
    return {
        **restraints.details(),
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
        "previous": pairs(previous.weights),
        **({"previous_contexts": _pairs_by_context(previous.contexts)} if previous.contexts else {}),
    }


def _pairs_by_context(contexts: Mapping[str, Mapping[str, Mapping[str, int]]]) -> dict[str, Pairs]:
    return {segment: pairs(of_segment) for segment, of_segment in contexts.items()}


def _previous(body: Mapping[str, Any]) -> Allocation:
    """The allocation before a row; its epoch does not matter."""
    contexts = body.get("previous_contexts", {})
    return Allocation(
        0,
        weights_of(body["previous"]),
        {segment: weights_of(of_segment) for segment, of_segment in contexts.items()},
    )


def _append_news(
    session: Session,
    experiment: Experiment,
    last: LedgerRow | None,
    *,
    wanted: Wanted,
    details: Mapping[str, Any],
    deed: Deed,
) -> LedgerRow:
    """A new epoch where weights are news, else a row that leaves them: `unchanged` says that the policy looked."""
    previous = _previous(details)
    news = is_new_allocation(previous, wanted)
    row = ledger_row(
        experiment.key,
        last,
        kind="published" if news else "unchanged" if details["act"] == "reallocate" else "acted",
        at_ms=deed.now_ms,
        allocation=Allocation(0, wanted.weights, wanted.contexts) if news else previous,
        details={**details, **({"moved_by": dict(wanted.moved_by)} if wanted.moved_by else {})},
        restored_at=session.restores.epochs(experiment.key),
    )
    reached(Failpoint.ALLOCATION_DETAILED)
    assert session.ledger.append(row), "the write transaction keeps others from appending"
    reached(Failpoint.ALLOCATION_APPENDED)
    return row


def recompute(experiment: Experiment, body: Mapping[str, Any]) -> Allocation:
    """The weights of a ledger row, computed again from what the row holds."""
    then, previous = _as_it_was(experiment, body), _previous(body)
    wanted = _WANTED_BY_ACT.get(body["act"], _asked_for)(then, body)
    return Allocation(0, wanted.weights, wanted.contexts) if is_new_allocation(previous, wanted) else previous


def _learned(experiment: Experiment, body: Mapping[str, Any]) -> Wanted:
    previous = _previous(body)
    if body.get("hold") is not None or body.get("refused") is not None:
        return Wanted(dict(previous.weights), {segment: dict(of) for segment, of in previous.contexts.items()})
    return by_policy(experiment, read_inputs(body["inputs"]), previous, barred=body.get("barred", {}))


#: What weights are made from; those of other acts are asked for.
_WANTED_BY_ACT: dict[str, Callable[[Experiment, Mapping[str, Any]], Wanted]] = {
    "start": lambda experiment, body: Wanted(dict(first_allocation(experiment).weights)),
    "reallocate": _learned,
    "replace": _learned,
    "unbar": _learned,
}


def _as_it_was(experiment: Experiment, body: Mapping[str, Any]) -> Experiment:
    # Arms may have been added since, and the policy changed; everything else is frozen.
    present = {arm for arms in body["weights"].values() for arm, _ in arms}
    return replace(
        experiment,
        policy=msgspec.convert(body["policy"], Policy),
        arms=tuple(arm for arm in experiment.arms if arm.key in present),
    )
