"""What a policy sees of the past: one line of figures for each segment and arm, small enough to keep in the ledger."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import msgspec

from experiments.columns import NO_CELLS
from experiments.columns import Columns
from experiments.columns import Table
from experiments.contexts import Contexts
from experiments.counting import PROFIT
from experiments.currency import minor_digits
from experiments.economics import PROFIT_SCALE
from experiments.model import Allocation
from experiments.model import Experiment
from experiments.model import Metric
from experiments.strata import segment_strata
from experiments.times import DAY_MS
from experiments.weighing import Weighing
from experiments.weighing import earnings
from experiments.weighing import goal_sums
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
    """A segment: how many of its visitors reached the goal, and its open arms in the order of the draw.

    Where weights may differ by context, `contexts` has the same arms as each context's visitors let one see them.
    """

    conversions: int
    arms: dict[str, ArmInput]
    contexts: dict[str, dict[str, ArmInput]] = {}


Inputs = dict[str, SegmentInput]


def read_inputs(encoded: object) -> Inputs:
    """Inputs as they stand in a ledger row's body."""
    return msgspec.convert(encoded, Inputs)


def metrics_asked(experiment: Experiment) -> list[str]:
    """The metrics that the objective depends on."""
    return [experiment.goal.key, PROFIT] if experiment.objective == "profit" else [experiment.goal.key]


def policy_inputs(
    experiment: Experiment,
    columns: Table,
    *,
    allocations: Mapping[int, Allocation],
    conversions: Mapping[str, int],
    now_ms: int,
    weighing: Weighing | None = None,
) -> Inputs:
    """The inputs of a reallocation now.

    `conversions` are the visitors of each segment who reached the goal; without `weighing` every visitor counts as one.
    """
    before_day = last_open_day(experiment.goal, now_ms=now_ms) if experiment.policy.maturity == "matured" else None
    counted = metric_columns(experiment, columns, metric=experiment.goal.key, before_day=before_day)
    profit = metric_columns(experiment, columns, metric=PROFIT, before_day=before_day)
    seen = _seen(experiment, counted, profit, weighing)
    arms = _arm_inputs(experiment, counted, seen, allocations)
    by_context = _by_context(experiment, counted, seen, allocations) if experiment.is_contextual else {}
    return {
        segment: SegmentInput(
            conversions.get(segment, 0),
            arms[segment],
            {context: of_context[segment] for context, of_context in by_context.items() if segment in of_context},
        )
        for segment in experiment.segment_keys
    }


def _by_context(
    experiment: Experiment, counted: Columns, seen: "_Seen", allocations: Mapping[int, Allocation]
) -> dict[str, dict[str, dict[str, ArmInput]]]:
    """The inputs of the segments in which each whole context has been seen."""
    whole = Contexts(experiment.attributes)
    parts = seen.goal.by_context(), seen.profit.by_context()
    found = {}
    for context, cells in sorted(counted.by_context().items()):
        if whole.is_whole(context):
            goal, profit = (part.get(context, NO_CELLS) for part in parts)
            arms = _arm_inputs(experiment, cells, seen._replace(goal=goal, profit=profit), allocations)
            present = cells.segment.groups()
            found[context] = {segment: arms[segment] for segment in arms if segment in present}
    return found


def _arm_inputs(
    experiment: Experiment, counted: Columns, seen: "_Seen", allocations: Mapping[int, Allocation]
) -> dict[str, dict[str, ArmInput]]:
    goals, profits = (_estimates(cells, allocations) for cells in (seen.goal, seen.profit))
    visitors = counted.visitors()
    return {
        segment: {
            arm.key: ArmInput(
                visitors.get((segment, arm.key), 0),
                _informed(goals.get(segment, {}).get(arm.key, NOTHING), seen.matured.get((segment, arm.key), 1.0)),
                profits.get(segment, {}).get(arm.key, NOTHING),
            )
            for arm in experiment.open_arms(segment)
        }
        for segment in experiment.segment_keys
    }


def _estimates(cells: Columns, allocations: Mapping[int, Allocation]) -> dict[str, dict[str, Estimate]]:
    return segment_strata(cells, allocations).estimates() if len(cells.n) else {}


class _Seen(NamedTuple):
    """What estimates are made of, and by (segment, arm) which share of its conversions a rate's cells show."""

    goal: Columns
    profit: Columns
    matured: Mapping[tuple[str, str], float]


def _seen(experiment: Experiment, goal: Columns, profit: Columns, weighing: Weighing | None) -> _Seen:
    if weighing is None:
        return _Seen(goal, profit, {})
    weights = weighing.of(goal)
    earned = earnings(profit, goal, worth=float(experiment.goal.worth or 0))
    return _Seen(
        goal_sums(goal, weights),
        profit_sums(profit, earned, weighing.of(profit)),
        matured_shares(goal, weights) if experiment.goal.unit == "rate" else {},
    )


def _informed(found: Estimate, matured: float) -> Estimate:
    """A rate's estimate, worth a little less where only this share of the conversions can be seen."""
    if matured == 1:
        return found
    # Rule of succession: a rate of 1 seen on three visitors is not certain.
    rate = (min(max(found.mean, 0.0), 1.0) * found.effective_n + 1) / (found.effective_n + 2)
    return replace(found, effective_n=found.effective_n * information(rate, matured))


def metric_columns(
    experiment: Experiment, columns: Table, *, metric: str, before_day: int | None = None
) -> Columns:
    """A metric's cells in its own unit: money in the currency, anything else as counts; of all days, or before one."""
    cells = columns.get(metric, NO_CELLS).in_unit(unit_of(experiment, metric))
    return cells if before_day is None else cells.at(cells.day < before_day)


def unit_of(experiment: Experiment, metric: str) -> float:
    """What one stored integer of a metric is worth in its unit."""
    cents = 10.0 ** -minor_digits(experiment.currency)
    if metric == PROFIT:
        return cents / PROFIT_SCALE
    is_money = any(declared.key == metric and declared.unit == "money" for declared in experiment.metrics)
    return cents if is_money else 1.0


def last_open_day(metric: Metric, *, now_ms: int) -> int:
    """The first day whose visitors may still have an open window."""
    return (now_ms - metric.window_seconds * 1000) // DAY_MS
