"""Weighing: how much visitors count for a policy, less where conversions are still to come or rates have drifted since.

Only policies see this; a report counts every visitor as one.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.columns import Columns
from experiments.counting import LAG_BUCKETS
from experiments.model import Experiment
from experiments.model import Metric
from experiments.model import Policy
from experiments.times import DAY_MS
from stats.delays import DelayCurve
from stats.delays import delay_curve
from stats.delays import matured_conversions

Array = NDArray[np.float64]

#: A delay curve rests on at least so many conversions of visitors whose window has closed.
FEWEST_MATURED = 100

# Dividing by less would multiply noise, and by what is forgotten to this degree nothing is lost.
_LEAST_MATURED = 0.01
_LEAST_RECENT = 1e-6


class Weight(NamedTuple):
    """The share of a visitor's conversions that can be seen by now, and what drift has left of what they say."""

    matured: float
    recent: float


class Weights(NamedTuple):
    """The same of many cells."""

    matured: Array
    recent: Array

    @property
    def worthwhile(self) -> NDArray[np.bool_]:
        """The cells of whose visitors enough is left to be counted."""
        return (self.matured >= _LEAST_MATURED) & (self.recent >= _LEAST_RECENT)


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

    def of(self, cells: Columns) -> "Weights":
        """The weights of the visitors of each cell."""
        places = list(zip(cells.epoch.tolist(), cells.day.tolist(), strict=True))
        weight_by_place = self.weights(set(places))
        found = np.array([weight_by_place[place] for place in places], np.float64).reshape(len(places), 2)
        return Weights(*found.T)

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
        # A clock that was set back over midnight has not come to their day yet: nobody is younger than nothing.
        return max(self.now_ms - last, 0) / 1000, max(self.now_ms - first, 0) / 1000

    def _weight(self, ages: tuple[float, float]) -> Weight:
        youngest, oldest = ages
        matured, recent = 1.0, 1.0
        if self.curve is not None:
            matured = self.curve.matured(youngest / self.window_seconds, oldest / self.window_seconds)
        if self.half_life_seconds is not None:
            recent = 0.5 ** ((youngest + oldest) / 2 / self.half_life_seconds)
        return Weight(matured, recent)


def corrects(policy: Policy) -> bool:
    """Whether the policy corrects by the delay curve as soon as there is one."""
    return policy.maturity in (None, "corrected")


def weighing_by(
    experiment: Experiment, starts_ms: Mapping[int, int], *, curve: DelayCurve | None, now_ms: int
) -> Weighing | None:
    """The weighing by a curve and the policy's half-life; None where every visitor counts as one."""
    half_life = experiment.policy.half_life_seconds
    if curve is None and half_life is None:
        return None
    return Weighing(starts_ms, experiment.goal.window_seconds, curve, half_life, now_ms)


def goal_curve(goal: Metric, lags: Mapping[tuple[int, int], int], *, now_ms: int) -> DelayCurve | None:
    """The goal's delay curve from first conversions by (day of exposure, bucket); None while too few have matured.

    Counts and values are taken to come as their visitors' first ones do.
    """
    days = sorted({day for day, _ in lags})
    seen = [_buckets_lived(goal, day, now_ms=now_ms) for day in days]
    if LAG_BUCKETS not in seen:
        return None
    counts, place = np.zeros((len(days), LAG_BUCKETS)), {day: row for row, day in enumerate(days)}
    for (day, bucket), n in lags.items():
        counts[place[day], bucket] = n
    if matured_conversions(counts, seen) < FEWEST_MATURED:
        return None
    return delay_curve(counts, seen)


def _buckets_lived(goal: Metric, day: int, *, now_ms: int) -> int:
    """How many buckets of the window even the last visitor of a day has behind."""
    age_ms = now_ms - (day + 1) * DAY_MS
    return min(max(age_ms * LAG_BUCKETS // (goal.window_seconds * 1000), 0), LAG_BUCKETS)


def goal_sums(cells: Columns, weights: Weights) -> Columns:
    """The goal's sums: n visitors of weight (F, d) are n·F·d, whose conversions so far count d each."""
    return _remembered(cells._replace(n=cells.n * weights.matured), weights)


def profit_sums(cells: Columns, earned: Array, weights: Weights) -> Columns:
    """Profit's sums: what the goal earned comes late, what exposures cost does not.

    Of n visitors who earned E so far and cost C, n·F count, with E and C·F; `earned` is E by cell, in money. Cost is
    taken to be the same for each visitor in the sum of squares.
    """
    cost, late = earned - cells.total, 1 - weights.matured
    squares = np.maximum(cells.total_squares - late * cost * cost / np.maximum(cells.n, 1), 0.0)
    seen = cells._replace(n=cells.n * weights.matured, total=cells.total + late * cost, total_squares=squares)
    return _remembered(seen, weights)


def _remembered(cells: Columns, weights: Weights) -> Columns:
    """The cells that are worth counting, as far as drift has left them."""
    recent = weights.recent
    faded = cells._replace(n=cells.n * recent, total=cells.total * recent, total_squares=cells.total_squares * recent)
    return faded.at(weights.worthwhile)


def earnings(profit: Columns, goal: Columns, *, worth: float) -> Array:
    """What the goal of each profit cell's visitors has earned so far."""
    earned = dict(zip(_places(goal), (goal.total * worth).tolist(), strict=True))
    return np.array([earned.get(place, 0.0) for place in _places(profit)], np.float64)


def _places(cells: Columns) -> Iterator[tuple[int, int, str, str, str | None]]:
    return zip(cells.epoch.tolist(), cells.day.tolist(), cells.segment, cells.arm, cells.contexts(), strict=True)


def matured_shares(cells: Columns, weights: Weights) -> dict[tuple[str, str], float]:
    """The share of its conversions that each arm's visitors show by now, by (segment, arm)."""
    told, arms = weights.worthwhile, len(cells.arm.different)
    places, recent = (cells.segment.codes * arms + cells.arm.codes)[told], (cells.n * weights.recent)[told]
    whole, seen = np.bincount(places, recent), np.bincount(places, recent * weights.matured[told])
    known = np.flatnonzero(whole > 0)
    shares = np.minimum(seen[known] / whole[known], 1.0)
    return {
        (cells.segment.different[place // arms], cells.arm.different[place % arms]): share
        for place, share in zip(known.tolist(), shares.tolist(), strict=True)
    }
