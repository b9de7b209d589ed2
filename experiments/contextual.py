"""Weights by context: between one message for a segment and one for each visitor, as far as attributes tell. Pure.

All contexts of all segments are regressed together, the segment being one attribute more (`stats.regression`). A
context that is not whole, or that nobody was seen in, has none of its own: its visitors are drawn by their segment's
weights.
"""

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from experiments.allocation import Weights
from experiments.allocation import with_barred
from experiments.allocation import with_controls
from experiments.contexts import read_context
from experiments.inputs import ArmInput
from experiments.inputs import Inputs
from experiments.model import Allocation
from experiments.model import Experiment
from experiments.policies import is_burning_in
from experiments.policies import stepped
from experiments.pooling import count
from experiments.pooling import normals
from stats import weights as stats_weights
from stats.pooled import PooledArm
from stats.regression import Regressed
from stats.regression import regress_means
from stats.regression import regress_rates

#: Weights by segment and context.
ContextWeights = dict[str, Weights]


class Contextual(NamedTuple):
    """The weights of contexts, and what each attribute has of the differences between arms.

    The shares of the segment and of combinations stand under `$segment` and `$combination`; none where nothing varies.
    """

    weights: ContextWeights
    shares: dict[str, float]


NOTHING_BY_CONTEXT = Contextual({}, {})


def by_context(
    experiment: Experiment, inputs: Inputs, previous: Allocation, *, barred: Collection[str] = ()
) -> Contextual:
    """The weights that the policy wants for contexts now, no further from the ones before than its largest step."""
    if not experiment.is_contextual:
        return NOTHING_BY_CONTEXT
    free = replace(experiment, arms=tuple(arm for arm in experiment.arms if arm.key not in barred))
    rows = [
        _Row(segment, context, {arm.key: arms[arm.key] for arm in free.open_arms(segment) if arm.key in arms})
        for segment in experiment.segment_keys
        if segment in inputs and not is_burning_in(free, segment, inputs[segment])
        for context, arms in inputs[segment].contexts.items()
    ]
    if not rows:
        return NOTHING_BY_CONTEXT
    names = sorted(read_context(rows[0].context))
    found = _regressed(free, rows, names)
    weights: ContextWeights = {}
    for row, arms in zip(rows, found.pooled.arms, strict=True):
        wanted = _wanted(free, row, arms, previous.of(row.segment, row.context))
        weights.setdefault(row.segment, {})[row.context] = with_barred(experiment, {row.segment: wanted})[row.segment]
    shares = dict(zip(("$segment", *names, "$combination"), found.shares, strict=True))
    return Contextual(weights, {name: share for name, share in shares.items() if share})


class _Row(NamedTuple):
    """A context of a segment, and its open arms."""

    segment: str
    context: str
    arms: Mapping[str, ArmInput]


def _regressed(experiment: Experiment, rows: Sequence[_Row], names: Sequence[str]) -> Regressed:
    traits = [(row.segment, *map(read_context(row.context).get, names)) for row in rows]
    roles = {arm.key: arm.role for arm in experiment.arms if arm.role == "tailored"}
    candidates = [arm.key for arm in experiment.arms if arm.role != "control"]
    if experiment.goal.unit == "rate":
        counts = [
            {key: count(experiment, arm.goal, arm.profit) for key, arm in row.arms.items()} for row in rows
        ]
        return regress_rates(counts, traits, roles=roles, candidates=candidates)
    means = [
        normals(
            experiment,
            {key: arm.goal for key, arm in row.arms.items()},
            {key: arm.profit for key, arm in row.arms.items()},
        )
        for row in rows
    ]
    visitors = [float(sum(arm.visitors for arm in row.arms.values())) for row in rows]
    return regress_means(means, traits, visitors=visitors, roles=roles, candidates=candidates)


def _wanted(
    experiment: Experiment, row: _Row, arms: Mapping[str, PooledArm], previous: Mapping[str, int]
) -> dict[str, int]:
    candidates = [arm.key for arm in experiment.candidates(row.segment)]
    floor = experiment.policy.min_share / (1 - experiment.control_share)
    shares = stats_weights.by_chance([arms[arm].probability_best for arm in candidates], floor=floor)
    target = with_controls(experiment, row.segment, dict(zip(candidates, shares.tolist(), strict=True)))
    return stepped(experiment, previous, target)
