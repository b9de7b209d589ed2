"""Weighing: how much visitors count for a policy, less where conversions are still to come or rates have drifted since.

Only policies see this; a report counts every visitor as one.
"""

from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from experiments.counting import LAG_BUCKETS
from experiments.model import Experiment
from experiments.model import Metric
from experiments.storage.cells import CellRow
from experiments.times import DAY_MS
from stats.delays import DelayCurve
from stats.delays import delay_curve
from stats.delays import matured_conversions

#: A delay curve rests on at least so many conversions of visitors whose window has closed.
FEWEST_MATURED = 100

# Dividing by less would multiply noise, and by what is forgotten to this degree nothing is lost.
_LEAST_MATURED = 0.01
_LEAST_RECENT = 1e-6


class Effective(NamedTuple):
    """Visitors as far as they count, their values' sums to match, and how many they were if all had matured."""

    n: float = 0.0
    total: float = 0.0
    total_squares: float = 0.0
    whole: float = 0.0


#: Effective sums of one metric by (epoch, segment, arm).
EffectiveSums = dict[tuple[int, str, str], Effective]


class Weight(NamedTuple):
    """The share of a visitor's conversions that can be seen by now, and what drift has left of what they say."""

    matured: float
    recent: float

    @property
    def is_worthwhile(self) -> bool:
        """Whether enough of it is left to be counted."""
        return self.matured >= _LEAST_MATURED and self.recent >= _LEAST_RECENT


@dataclass(frozen=True)
class Weighing:
    """What visitors weigh at a moment (ms since 1970, UTC).

    Attributes:
        starts_ms: when each epoch was published, the oldest first.
        window_seconds: the goal's.
        curve: the goal's delay curve, by parts of its window; None where visitors count as they stand.
        half_life_seconds: the age at which they count half; None where nothing is forgotten.
    """

    starts_ms: Mapping[int, int]
    window_seconds: int
    curve: DelayCurve | None
    half_life_seconds: int | None
    now_ms: int

    def weights(self, places: Iterable[tuple[int, int]]) -> dict[tuple[int, int], Weight]:
        """The weight of visitors first exposed in an epoch on a day, for each of these."""
        epochs = list(self.starts_ms)
        ends_ms = dict(zip(epochs, [*(self.starts_ms[epoch] for epoch in epochs[1:]), self.now_ms], strict=True))
        return {(epoch, day): self._weight(self._ages(epoch, day, ends_ms[epoch])) for epoch, day in places}

    def _ages(self, epoch: int, day: int, end_ms: int) -> tuple[float, float]:
        """The youngest and the oldest age in seconds, as closely as epoch and day tell."""
        day_ms = day * DAY_MS
        first, last = max(day_ms, self.starts_ms[epoch]), min(day_ms + DAY_MS, end_ms, self.now_ms)
        if last < first:
            # They came with a token after their epoch had ended.
            first, last = day_ms, max(day_ms, min(day_ms + DAY_MS, self.now_ms))
        return (self.now_ms - last) / 1000, (self.now_ms - first) / 1000

    def _weight(self, ages: tuple[float, float]) -> Weight:
        youngest, oldest = ages
        matured, recent = 1.0, 1.0
        if self.curve is not None:
            matured = self.curve.matured(youngest / self.window_seconds, oldest / self.window_seconds)
        if self.half_life_seconds is not None:
            recent = 0.5 ** ((youngest + oldest) / 2 / self.half_life_seconds)
        return Weight(matured, recent)


def goal_curve(goal: Metric, lags: Mapping[tuple[int, int], int], *, now_ms: int) -> DelayCurve | None:
    """The goal's delay curve from first conversions by (day of exposure, bucket); None while too few have matured.

    Counts and values are taken to come as their visitors' first ones do.
    """
    days = sorted({day for day, _ in lags})
    counts = [[lags.get((day, bucket), 0) for bucket in range(LAG_BUCKETS)] for day in days]
    seen = [_buckets_lived(goal, day, now_ms=now_ms) for day in days]
    if not days or matured_conversions(counts, seen) < FEWEST_MATURED:
        return None
    return delay_curve(counts, seen)


def _buckets_lived(goal: Metric, day: int, *, now_ms: int) -> int:
    """How many buckets of the window even the last visitor of a day has behind."""
    age_ms = now_ms - (day + 1) * DAY_MS
    return min(max(age_ms * LAG_BUCKETS // (goal.window_seconds * 1000), 0), LAG_BUCKETS)


def goal_sums(cells: Iterable[CellRow], weights: Mapping[tuple[int, int], Weight], *, unit: float) -> EffectiveSums:
    """The goal's sums: n visitors of weight (F, d) are n·F·d, whose conversions so far count d each."""
    sums: EffectiveSums = defaultdict(Effective)
    for key, n, total, total_squares in cells:
        weight = weights[key.epoch, key.day]
        if weight.is_worthwhile:
            part = Effective(n * weight.matured, total * unit, total_squares * unit * unit, n)
            _add(sums, (key.epoch, key.segment, key.arm), part, times=weight.recent)
    return sums


def profit_sums(
    cells: Iterable[CellRow],
    goal_cells: Iterable[CellRow],
    weights: Mapping[tuple[int, int], Weight],
    *,
    unit: float,
    goal_worth: float,
) -> EffectiveSums:
    """Profit's sums: what the goal earned comes late, what exposures cost does not.

    Of n visitors who earned E so far and cost C, n·F count, with E and C·F. `unit` turns stored profit, and
    `goal_worth` the stored goal, into money. Cost is taken to be the same for each visitor in the sum of squares.
    """
    earned = {cell.key[:5]: cell.total * goal_worth for cell in goal_cells}
    sums: EffectiveSums = defaultdict(Effective)
    for key, n, total, total_squares in cells:
        weight = weights[key.epoch, key.day]
        if weight.is_worthwhile and n > 0:
            cost, late = earned.get(key[:5], 0.0) - total * unit, 1 - weight.matured
            squares = max(total_squares * unit * unit - late * cost * cost / n, 0.0)
            part = Effective(n * weight.matured, total * unit + late * cost, squares, n)
            _add(sums, (key.epoch, key.segment, key.arm), part, times=weight.recent)
    return sums


def matured_shares(sums: EffectiveSums) -> dict[tuple[str, str], float]:
    """The share of its conversions that each arm's visitors show by now, by (segment, arm)."""
    parts: dict[tuple[str, str], tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    for (_, segment, arm), found in sums.items():
        n, whole = parts[segment, arm]
        parts[segment, arm] = n + found.n, whole + found.whole
    return {place: min(n / whole, 1.0) for place, (n, whole) in parts.items() if whole > 0}


def goal_worth(experiment: Experiment, *, unit: float) -> float:
    """What one stored integer of the goal is worth in money, 0 where it has no worth."""
    if experiment.goal.kind == "value":
        return unit
    return float(experiment.goal.value or 0)


def _add(sums: EffectiveSums, place: tuple[int, str, str], part: Effective, *, times: float) -> None:
    sums[place] = Effective(*(old + new * times for old, new in zip(sums[place], part, strict=True)))
