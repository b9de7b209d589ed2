"""Campaigns in memory: visitors and conversions drawn per cell, weights, calls and alarms by the service's own code.

Weights come from `experiments.policies`, calls from `experiments.contests`, the alarm from `experiments.diagnostics`.
Only what these read is kept up to date here batch by batch, because rebuilding it from cells at each look would take
most of the time: the sums of each epoch, and the policy's inputs by `benchmarks.regret.Estimates`.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.regret import Estimates
from experiments.allocation import GRAIN
from experiments.allocation import Weights
from experiments.allocation import first_allocation
from experiments.columns import Cell
from experiments.columns import Columns
from experiments.columns import columns_of
from experiments.contests import calls
from experiments.contests import contests
from experiments.counting import EXPOSURES
from experiments.counting import PROFIT
from experiments.diagnostics import ALARM
from experiments.diagnostics import sample_ratio_evidence
from experiments.document import parse_document
from experiments.inputs import ArmInput
from experiments.inputs import Inputs
from experiments.inputs import SegmentInput
from experiments.model import EVERYONE_ELSE
from experiments.model import NO_PERSONALISATION
from experiments.model import Allocation
from experiments.model import Experiment
from experiments.model import StoredExperiment
from experiments.policies import next_weights
from experiments.publishing import is_news
from experiments.readings import Readings
from experiments.strata import Sums
from experiments.strata import add
from stats.adaptive import Estimate

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

#: Epoch, segment and arm.
Place = tuple[int, str, str]

MASS = "one-letter"
GOAL = "purchase"
RESERVED = (EVERYONE_ELSE, NO_PERSONALISATION)


class World(NamedTuple):
    """What is true of segments of equal size.

    Attributes:
        gains: of the tailored arm over the mass arm in each segment, as a share of the mass arm's rate.
        base: the mass arm's rate at the start.
        growth: by which the base has been multiplied at the end, in even steps.
    """

    gains: tuple[float, ...]
    base: float = 0.05
    growth: float = 1.0

    def rates(self, progress: float) -> Array:
        """Rates by segment and arm, mass first, after this share of the campaign."""
        base = self.base * (1 + (self.growth - 1) * progress)
        return base * np.stack([np.ones(len(self.gains)), 1 + np.array(self.gains)], axis=1)


def tailor_for(segments: int, *, policy: str) -> Experiment:
    """An experiment with one letter for all and one for each segment, on the contract's defaults."""
    keys = [_segment(index) for index in range(segments)]
    return parse_document({
        "key": "campaign",
        "policy": {"kind": policy},
        "attributes": {"taste": "string"},
        "segments": [
            {"key": key, "name": key, "kind": "behavioral", "rule": {"taste": key}} for key in keys
        ],
        "arms": [
            {"key": MASS, "role": "mass", "message": {"text": "for all"}},
            *({"key": letter(key), "role": "tailored", "segments": [key], "message": {"text": key}} for key in keys),
        ],
        "metrics": [{"key": GOAL, "event": "Order Completed", "kind": "conversion", "role": "goal"}],
    })


def _segment(index: int) -> str:
    return f"segment-{index}"


def letter(segment: str) -> str:
    """The arm made for a segment."""
    return f"letter-for-{segment}"


class Campaign:
    """One campaign; what it learns stands in `readings` and `sums`, as a report would have read them."""

    def __init__(self, world: World, *, policy: str, rng: np.random.Generator) -> None:
        self.world = world
        self.experiment = tailor_for(len(world.gains), policy=policy)
        self.segments = [segment.key for segment in self.experiment.segments]
        self.sums: dict[str, dict[Place, Sums]] = {GOAL: {}, EXPOSURES: {}}
        self._rng = rng
        self._allocations = {1: first_allocation(self.experiment)}
        self._estimates = Estimates(self._weights())

    @property
    def readings(self) -> Readings:
        """What a report reads, but for the cells."""
        stored = StoredExperiment(self.experiment, {}, "running", 0, 0)
        return Readings(stored, {}, self._allocations, {}, 0, 0, 0)

    def columns(self, *metrics: str) -> dict[str, Columns]:
        """The cells that a store would hold by now, of some metrics."""
        return {metric: columns_of([_cell(metric, *one) for one in self._sums_of(metric)]) for metric in metrics}

    def _sums_of(self, metric: str) -> Iterable[tuple[Place, Sums]]:
        if metric == PROFIT:
            return [(place, Sums(found.n)) for place, found in self.sums[EXPOSURES].items()]
        return self.sums[metric].items()

    def batch(self, visitors: int, *, progress: float) -> None:
        """Let so many visitors come, on all segments together, and some of them convert."""
        arrived = self._rng.multinomial(visitors, np.full(len(self.segments), 1 / len(self.segments)))
        mass = self._rng.binomial(arrived, self._estimates.weights[:, 0])
        came = np.stack([mass, arrived - mass], axis=1)
        converted = self._rng.binomial(came, self.world.rates(progress))
        self._estimates.add(came.astype(np.float64), converted.astype(np.float64))
        self._count(came, converted)

    def reallocate(self) -> None:
        """Publish the weights that the policy wants, where they moved enough."""
        epoch, previous = self._newest
        wanted = next_weights(self.experiment, self.inputs(), previous)
        if is_news(previous, wanted):
            self._allocations[epoch + 1] = Allocation(epoch + 1, wanted)
            self._estimates.publish(self._weights())

    def calls(self) -> NDArray[np.str_]:
        """Each segment's call."""
        found = calls(contests(self.readings, {}, self.columns(GOAL)))
        return np.array([found[segment, letter(segment)] for segment in self.segments])

    def alarm(self) -> bool:
        """Whether visitors seem not to match the weights."""
        return sample_ratio_evidence(self.readings, self.columns(EXPOSURES)[EXPOSURES]) >= ALARM

    def inputs(self) -> Inputs:
        """What the policy sees."""
        seen, visitors = self._estimates.effective(), self._estimates.visitors()
        conversions = self._estimates.conversions()
        known = {
            segment: SegmentInput(
                int(conversions[index]),
                _arm_inputs(segment, visitors[index], seen.successes[index], seen.visitors[index]),
            )
            for index, segment in enumerate(self.segments)
        }
        return known | {segment: _NOBODY for segment in RESERVED}

    @property
    def _newest(self) -> tuple[int, Weights]:
        newest = self.readings.newest
        return newest.epoch, dict(newest.weights)

    def _weights(self) -> Array:
        weights = self._newest[1]
        return np.array([list(weights[segment].values()) for segment in self.segments]) / GRAIN

    def _count(self, came: Counts, converted: Counts) -> None:
        epoch = self._newest[0]
        for segment, visitors, conversions in zip(self.segments, came.tolist(), converted.tolist(), strict=True):
            for arm, n, won in zip((MASS, letter(segment)), visitors, conversions, strict=True):
                self._add(GOAL, (epoch, segment, arm), Sums(n, won, won))
                self._add(EXPOSURES, (epoch, segment, arm), Sums(n, n, n))

    def _add(self, metric: str, place: Place, more: Sums) -> None:
        sums = self.sums[metric]
        sums[place] = add(sums.get(place, Sums()), more)


def _arm_inputs(segment: str, visitors: Array, successes: Array, sizes: Array) -> dict[str, ArmInput]:
    return {
        arm: ArmInput(int(visitors[index]), _rate(successes[index], sizes[index]), _UNKNOWN)
        for index, arm in enumerate((MASS, letter(segment)))
    }


_UNKNOWN = Estimate(0.0, 0.0, 0.0, 0.0)
_NOBODY = SegmentInput(0, {MASS: ArmInput(0, _UNKNOWN, _UNKNOWN)})


def _rate(successes: float, size: float) -> Estimate:
    rate = successes / size if size else 0.0
    return Estimate(rate, size, rate * (1 - rate), size)


def _cell(metric: str, place: Place, found: Sums) -> Cell:
    epoch, segment, arm = place
    return metric, epoch, 0, segment, arm, *found
