"""Campaigns in memory on a clock of days: outcomes drawn per cell, weights and calls by the service's own code.

What is true stands in a `World`; a `Campaign` holds the cells that a store would. Each visitor is exposed once, a
reallocation comes at midnight, and a look sees what has come by then.
"""

from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.allocation import GRAIN
from experiments.allocation import first_allocation
from experiments.arrivals import arrivals
from experiments.columns import Columns
from experiments.columns import Names
from experiments.contests import Conversions
from experiments.contests import contested
from experiments.contests import contests
from experiments.contests import is_by_conversions
from experiments.contests import unprofitable
from experiments.counting import EXPOSURES
from experiments.counting import PROFIT
from experiments.counting import cap_of
from experiments.economics import profit_rates
from experiments.estimates import corrected
from experiments.inputs import Inputs
from experiments.inputs import metric_columns
from experiments.inputs import metrics_asked
from experiments.inputs import policy_inputs
from experiments.inputs import unit_of
from experiments.model import Allocation
from experiments.model import Experiment
from experiments.model import StoredExperiment
from experiments.policies import is_settled
from experiments.policies import next_weights
from experiments.publishing import is_news
from experiments.readings import Readings
from experiments.report_shape import Call
from experiments.simulation.looks import Seen
from experiments.simulation.looks import looks
from experiments.simulation.world import Places
from experiments.simulation.world import World
from experiments.simulation.world import places_of
from experiments.times import DAY_MS
from experiments.weighing import Weighing
from experiments.weighing import corrects
from experiments.weighing import goal_curve
from experiments.weighing import weighing_by

Array = NDArray[np.float64]
Counts = NDArray[np.int64]


class Campaign:
    """One campaign; arrays of its visitors have the shape (days, segments, arms), of which the first `day` are past.

    Attributes:
        n: visitors by day of exposure.
        converted: those who have reached the goal by now.
        weights: with which they were drawn.
    """

    def __init__(self, experiment: Experiment, world: World, *, days: int, rng: np.random.Generator) -> None:
        self.experiment, self.world = experiment, world
        self.places = self._placed()
        self.day = 0
        self.allocations = {1: first_allocation(experiment)}
        self.course = world.course(days)
        self._rng = rng
        self._starts_ms = {1: 0}
        self._arrivals = arrivals(experiment.goal, mean_seconds=world.delay_seconds, days=days)
        shape = (days, *self.places.arms.shape)
        self.n, self.converted = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.weights = np.zeros(shape)
        self._sums = np.zeros((2, *shape))
        self._coming = np.zeros((days, len(self._arrivals.days), *shape[1:]), np.int64)
        self._lags = np.zeros((days, self._arrivals.buckets.shape[1]), np.int64)
        self._epochs = np.zeros(days, np.int64)
        self._in_force = self._table()
        self._profit_rates = self._rates_of_profit()
        self._arms = Names.of(self.places.arms.ravel().tolist())
        self._contested = contested(experiment)
        self._rivals = self._places(self._contested), self._places(
            [(segment, experiment.first_mass.key) for segment, _ in self._contested]
        )

    @property
    def epoch(self) -> int:
        """The newest epoch."""
        return len(self.allocations)

    @property
    def now_ms(self) -> int:
        """The midnight after the last day that is past."""
        return self.day * DAY_MS

    @property
    def readings(self) -> Readings:
        """What a report reads, but for the cells."""
        stored = StoredExperiment(self.experiment, {}, "running", 0, 0)
        return Readings(stored, {}, self.allocations, {}, 0, 0, self.now_ms)

    def rows(self, by_segment: Array) -> Array:
        """A table by segment and arm as this campaign's arrays have it."""
        return by_segment

    def _placed(self) -> Places:
        return places_of(self.experiment)

    def live(self, visitors: int) -> None:
        """Let a day pass on which so many visitors come, and conversions, those of earlier days too."""
        came = self._rng.multinomial(visitors, self.world.shares)
        n = self._divided(came, self._in_force)
        rates = np.minimum(self.world.rates * self.course[self.day], 1.0)
        won = self._rng.binomial(n, rates)
        self.n[self.day], self.weights[self.day], self._epochs[self.day] = n, self._in_force, self.epoch
        self._coming[self.day] = self._spread(won)
        self._arrive()
        self.day += 1

    def _divided(self, totals: Counts, shares: Array) -> Counts:
        # The last of the categories takes what rounding leaves, so the empty places come first.
        return np.asarray(self._rng.multinomial(totals, shares[..., ::-1])[..., ::-1])

    def _spread(self, won: Counts) -> Counts:
        """Conversions by the days that they take."""
        if len(self._arrivals.days) == 1 and not self._arrivals.late:
            return won[None]
        by_day = self._divided(won, np.append(self._arrivals.days, self._arrivals.late))
        return np.moveaxis(by_day[..., :-1], -1, 0)

    def _arrive(self) -> None:
        """Count what comes today of each day's visitors."""
        first = max(self.day + 1 - self._coming.shape[1], 0)
        days = np.arange(first, self.day + 1)
        arrived = self._coming[days, self.day - days]
        self.converted[days] += arrived
        self._sums[:, days] += self._values(arrived)
        if corrects(self.experiment.policy):
            self._lags[days] += self._rng.multinomial(
                arrived.sum(axis=(1, 2)), self._arrivals.buckets[self.day - days]
            )

    def _values(self, arrived: Counts) -> Array:
        """The sums of values and of their squares that so many conversions add, as a store keeps them."""
        if self.experiment.goal.unit == "rate":
            return np.stack([arrived, arrived]).astype(np.float64)
        values = self._drawn(int(arrived.sum()))
        ends = np.cumsum(arrived.ravel())
        cumulated = np.concatenate([np.zeros((2, 1)), np.cumsum([values, values**2], axis=1)], axis=1)
        return np.diff(cumulated[:, ends], axis=1, prepend=0.0).reshape(2, *arrived.shape)

    def _drawn(self, size: int) -> Array:
        goal, mean, sd = self.experiment.goal, self.world.values.mean, self.world.values.sd
        most = cap_of(goal, currency=self.experiment.currency) or np.inf
        if goal.property is None:
            return np.asarray(np.minimum(1.0 + self._rng.poisson(mean - 1, size), most))
        drawn = self._rng.gamma((mean / sd) ** 2, sd**2 / mean, size) if sd else np.full(size, mean)
        return np.asarray(np.minimum(np.rint(drawn / unit_of(self.experiment, goal.key)), most))

    def columns(self, *metrics: str) -> dict[str, Columns]:
        """The cells that a store would hold by now, of some metrics."""
        return {metric: self._columns(metric) for metric in metrics}

    def _columns(self, metric: str) -> Columns:
        day, segment, arm = np.nonzero(self.n[: self.day])
        n = self.n[day, segment, arm].astype(np.float64)
        sums = self._sums_of(metric, n, self._sums[:, day, segment, arm], rates=self._profit_rates[:, segment, arm])
        segments, arms = Names(self.places.segments, segment), self._arms[segment * self.n.shape[2] + arm]
        return Columns(self._epochs[day], day, segments, arms, n, *sums)

    def _sums_of(self, metric: str, n: Array, goal: Array, *, rates: Array) -> Array:
        if metric == self.experiment.goal.key:
            return goal
        if metric == EXPOSURES:
            return np.stack([n, n])
        assert metric == PROFIT, "a campaign counts its goal and the built-in metrics"
        (gain, cost), (total, squares) = rates, goal
        return np.stack([gain * total - cost * n, gain**2 * squares - 2 * gain * cost * total + cost**2 * n])

    def inputs(self) -> Inputs:
        """What the policy sees."""
        return policy_inputs(
            self.experiment,
            self.columns(*metrics_asked(self.experiment)),
            allocations=self.allocations,
            conversions=self._conversions_by_segment(),
            now_ms=self.now_ms,
            weighing=self._weighing(),
        )

    def _conversions_by_segment(self) -> dict[str, int]:
        return dict(zip(self.places.segments, self.converted.sum(axis=(0, 2)).tolist(), strict=True))

    def _weighing(self) -> Weighing | None:
        curve = None
        if corrects(self.experiment.policy):
            lags = {(int(day), int(bucket)): int(self._lags[day, bucket]) for day, bucket in np.argwhere(self._lags)}
            curve = goal_curve(self.experiment.goal, lags, now_ms=self.now_ms)
        return weighing_by(self.experiment, self._starts_ms, curve=curve, now_ms=self.now_ms)

    def seen(self) -> Seen:
        """What a look at this midnight rests on."""
        experiment, places = self.experiment, self._contested
        if is_by_conversions(experiment):
            return Seen(self.day, places, self._conversions())
        stored = self.columns(experiment.goal.key, EXPOSURES, PROFIT)
        columns = {metric: metric_columns(experiment, stored, metric=metric) for metric in stored}
        readings, book = self.readings, corrected(self.readings, columns)
        return Seen(self.day, places, contests(readings, book, columns), unprofitable(readings, book))

    def _conversions(self) -> Conversions:
        """Those that contests rest on, by epoch."""
        begins = np.flatnonzero(np.diff(self._epochs[: self.day], prepend=0))
        won, weights = np.add.reduceat(self.converted[: self.day], begins), self.weights[begins]
        (rows, tailored), (_, mass) = self._rivals
        shares = weights[:, rows, tailored] / (weights[:, rows, tailored] + weights[:, rows, mass])
        return Conversions(won[:, rows, tailored].T, won[:, rows, mass].T, shares.T)

    def calls(self) -> tuple[Mapping[tuple[str, str], Call], frozenset[str]]:
        """What a report would call every tailored arm in every segment, and the segments in which nothing pays."""
        (look,) = looks([self.seen()], waiting=self.places.segments)
        return look.calls, look.barren

    def reallocate(self) -> None:
        """Publish the weights that the policy wants, where they moved enough."""
        if is_settled(self.experiment):
            return
        wanted = self._next()
        if wanted is not None:
            self._starts_ms[wanted.epoch] = self.now_ms
            self.allocations[wanted.epoch] = wanted
            self._in_force = self._table()

    def _next(self) -> Allocation | None:
        """The next epoch, where weights moved enough."""
        previous = self.allocations[self.epoch].weights
        wanted = next_weights(self.experiment, self.inputs(), previous)
        return Allocation(self.epoch + 1, wanted) if is_news(previous, wanted) else None

    def _places(self, arms: Sequence[tuple[str, str]]) -> tuple[NDArray[np.intp], ...]:
        """Rows and columns of arms in segments."""
        places = np.array([self.places.place(*arm) for arm in arms], np.intp)
        return tuple(places.reshape(len(arms), 2).T)

    def _rates_of_profit(self) -> Array:
        """What one of the goal adds to a visitor's profit, and an exposure takes; shape (2, segments, arms)."""
        rates = {arm.key: profit_rates(self.experiment, arm) for arm in self.experiment.arms}
        return np.stack([
            self.places.table({
                segment: {arm.key: rates[arm.key][part] for arm in self.experiment.open_arms(segment)}
                for segment in self.places.segments
            })
            for part in range(2)
        ])

    def _table(self) -> Array:
        return self.places.table(self.allocations[self.epoch].weights) / GRAIN
