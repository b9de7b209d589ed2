"""What a policy sees of the past: one line of figures for each segment and arm, small enough to keep in the ledger."""

from collections.abc import Iterable
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from experiments.counting import PROFIT
from experiments.currency import minor_digits
from experiments.economics import PROFIT_SCALE
from experiments.model import Allocation
from experiments.model import Experiment
from experiments.model import Metric
from experiments.storage.cells import CellRow
from experiments.strata import EpochSums
from experiments.strata import epoch_sums
from experiments.strata import plain_sums
from experiments.strata import strata
from experiments.times import DAY_MS
from stats.adaptive import Estimate
from stats.adaptive import estimate


class ArmInput(NamedTuple):
    """An arm in a segment: its visitors so far, and the estimates of its goal and of its profit per visitor."""

    visitors: int
    goal: Estimate
    profit: Estimate


class SegmentInput(NamedTuple):
    """A segment: how many of its visitors reached the goal, and its open arms in the order of the draw."""

    conversions: int
    arms: dict[str, ArmInput]


Inputs = dict[str, SegmentInput]


def read_inputs(encoded: object) -> Inputs:
    """Inputs as they stand in a ledger row's body."""
    return msgspec.convert(encoded, Inputs)


def policy_inputs(
    experiment: Experiment,
    cells: Iterable[CellRow],
    *,
    allocations: Mapping[int, Allocation],
    lags: Mapping[tuple[str, str, int], int],
    now_ms: int,
) -> Inputs:
    """The inputs of a reallocation now."""
    cells = list(cells)
    before_day = last_open_day(experiment.goal, now_ms=now_ms) if experiment.policy.maturity == "matured" else None
    goal = metric_sums(experiment, cells, metric=experiment.goal.key, before_day=before_day)
    profit = metric_sums(experiment, cells, metric=PROFIT, before_day=before_day)
    return {
        segment: SegmentInput(
            sum(n for (metric, of, _), n in lags.items() if metric == experiment.goal.key and of == segment),
            _arm_inputs(experiment, segment, goal, profit, allocations),
        )
        for segment in experiment.segment_keys
    }


def _arm_inputs(
    experiment: Experiment, segment: str, goal: EpochSums, profit: EpochSums, allocations: Mapping[int, Allocation]
) -> dict[str, ArmInput]:
    goal_strata = strata(goal, allocations, segment=segment)
    profit_strata = strata(profit, allocations, segment=segment)
    return {
        arm.key: ArmInput(
            plain_sums(goal, segment=segment, arm=arm.key).n,
            estimate(goal_strata.get(arm.key, [])),
            estimate(profit_strata.get(arm.key, [])),
        )
        for arm in experiment.open_arms(segment)
    }


def metric_sums(
    experiment: Experiment, cells: Iterable[CellRow], *, metric: str, before_day: int | None = None
) -> EpochSums:
    """The sums of a metric in its own unit: money in the currency, anything else as counts."""
    return epoch_sums(cells, metric=metric, unit=unit_of(experiment, metric), before_day=before_day)


def unit_of(experiment: Experiment, metric: str) -> float:
    """What one stored integer of a metric is worth in its unit."""
    cents = 10.0 ** -minor_digits(experiment.currency)
    if metric == PROFIT:
        return cents / PROFIT_SCALE
    is_money = any(declared.key == metric and declared.kind == "value" for declared in experiment.metrics)
    return cents if is_money else 1.0


def last_open_day(metric: Metric, *, now_ms: int) -> int:
    """The first day whose visitors may still have an open window."""
    return (now_ms - metric.window_seconds * 1000) // DAY_MS
