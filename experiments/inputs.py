"""What a policy sees of the past: one line of figures for each segment and arm, small enough to keep in the ledger."""

from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import msgspec

from experiments.counting import PROFIT
from experiments.currency import minor_digits
from experiments.economics import PROFIT_SCALE
from experiments.model import Allocation
from experiments.model import Experiment
from experiments.model import Metric
from experiments.objective import is_rate
from experiments.storage.cells import CellRow
from experiments.strata import EpochSums
from experiments.strata import SegmentSums
from experiments.strata import arm_strata
from experiments.strata import by_segment
from experiments.strata import epoch_sums
from experiments.times import DAY_MS
from experiments.weighing import EffectiveSums
from experiments.weighing import Weighing
from experiments.weighing import goal_sums
from experiments.weighing import goal_worth
from experiments.weighing import matured_shares
from experiments.weighing import profit_sums
from stats.adaptive import NOTHING
from stats.adaptive import Estimate
from stats.delays import information


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


def metrics_asked(experiment: Experiment) -> list[str]:
    """The metrics that the objective depends on."""
    return [experiment.goal.key, PROFIT] if experiment.objective == "profit" else [experiment.goal.key]


def policy_inputs(
    experiment: Experiment,
    cells: Iterable[CellRow],
    *,
    allocations: Mapping[int, Allocation],
    conversions: Mapping[str, int],
    now_ms: int,
    weighing: Weighing | None = None,
) -> Inputs:
    """The inputs of a reallocation now.

    `conversions` are the visitors of each segment who reached the goal; without `weighing` every visitor counts as one.
    """
    cells = list(cells)
    before_day = last_open_day(experiment.goal, now_ms=now_ms) if experiment.policy.maturity == "matured" else None
    counted = metric_sums(experiment, cells, metric=experiment.goal.key, before_day=before_day)
    seen = _seen(experiment, cells, counted, weighing, before_day=before_day)
    visitors, profit = by_segment(counted), by_segment(seen.profit)
    goal = visitors if seen.goal is counted else by_segment(seen.goal)
    return {
        segment: SegmentInput(
            conversions.get(segment, 0),
            _arm_inputs(
                experiment,
                segment,
                visitors.get(segment, {}),
                goal=goal.get(segment, {}),
                profit=profit.get(segment, {}),
                matured=seen.matured,
                allocations=allocations,
            ),
        )
        for segment in experiment.segment_keys
    }


class _Seen(NamedTuple):
    """The sums that estimates are made of, and by (segment, arm) which share of its conversions a rate's sums show."""

    goal: EpochSums | EffectiveSums
    profit: EpochSums | EffectiveSums
    matured: Mapping[tuple[str, str], float]


def _seen(
    experiment: Experiment,
    cells: list[CellRow],
    counted: EpochSums,
    weighing: Weighing | None,
    *,
    before_day: int | None,
) -> _Seen:
    if weighing is None:
        return _Seen(counted, metric_sums(experiment, cells, metric=PROFIT, before_day=before_day), {})
    used = [cell for cell in cells if not cell.key.asserted and (before_day is None or cell.key.day < before_day)]
    goal_cells = [cell for cell in used if cell.key.metric == experiment.goal.key]
    profit_cells = [cell for cell in used if cell.key.metric == PROFIT]
    weights = weighing.weights({(cell.key.epoch, cell.key.day) for cell in goal_cells})
    goal_unit = unit_of(experiment, experiment.goal.key)
    goal = goal_sums(goal_cells, weights, unit=goal_unit)
    profit = profit_sums(
        profit_cells,
        goal_cells,
        weights,
        unit=unit_of(experiment, PROFIT),
        goal_worth=goal_worth(experiment, unit=goal_unit),
    )
    return _Seen(goal, profit, matured_shares(goal) if is_rate(experiment.goal) else {})


def _arm_inputs(
    experiment: Experiment,
    segment: str,
    counted: SegmentSums,
    *,
    goal: SegmentSums,
    profit: SegmentSums,
    matured: Mapping[tuple[str, str], float],
    allocations: Mapping[int, Allocation],
) -> dict[str, ArmInput]:
    visitors = Counter[str]()
    for (_, arm), found in counted.items():
        visitors[arm] += round(found.n)
    goals = arm_strata(goal, allocations, segment=segment).estimates()
    profits = arm_strata(profit, allocations, segment=segment).estimates() if profit else {}
    return {
        arm.key: ArmInput(
            visitors[arm.key],
            _informed(goals.get(arm.key, NOTHING), matured.get((segment, arm.key), 1.0)),
            profits.get(arm.key, NOTHING),
        )
        for arm in experiment.open_arms(segment)
    }


def _informed(found: Estimate, matured: float) -> Estimate:
    """A rate's estimate, worth a little less where only this share of the conversions can be seen."""
    if matured == 1:
        return found
    # Rule of succession: a rate of 1 seen on three visitors is not certain.
    rate = (min(max(found.mean, 0.0), 1.0) * found.effective_n + 1) / (found.effective_n + 2)
    return replace(found, effective_n=found.effective_n * information(rate, matured))


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
