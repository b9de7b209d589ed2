"""Forgery: whether outcomes that anybody can send favour an arm as no visitors would. Pure.

What is told with a client key can be made up; each made-up outcome still needs an exposure, but not everybody who sends
many hides how. An arm that competes for traffic is held against the first mass arm, in three ways, by visitors who have
reached the goal:

* those told of at once after the exposure are not more than half again as often the arm's as the others are;
* those told of by client keys are not more than half again as often the arm's as those told of by servers are;
* the arm's part of those told of by client keys does not grow by more than a quarter from one day on.

Base rates, delays, weights and how good the arms are may be anything and change at any time, as long as it happens to
both arms. Controls are left out: where nothing is shown nobody acts on it at once.
"""

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Literal
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.columns import NO_CELLS
from experiments.columns import Columns
from experiments.counting import TELLERS
from experiments.counting import is_watched
from experiments.readings import Readings
from experiments.times import day_of
from stats.constancy import at_some_time
from stats.constancy import change
from stats.constancy import over_time
from stats.constancy import support

Array = NDArray[np.float64]
Whole = NDArray[np.int64]

SignKind = Literal["at_once", "by_client", "rising"]

#: By how much the odds of an arm may differ between outcomes of two kinds, and between two times.
KINDS_MARGIN = 0.5
TIMES_MARGIN = 0.25


class Sign(NamedTuple):
    """Log evidence of one kind that an arm of a segment is favoured over another."""

    kind: SignKind
    segment: str
    arm: str
    over: str
    evidence: float

    @property
    def name(self) -> str:
        """What its evidence is known by, whichever of both arms is favoured."""
        return f"{self.kind} {self.segment} {' '.join(sorted((self.arm, self.over)))}"


class _Told(NamedTuple):
    """Visitors of a segment who have reached the goal, by day of exposure and epoch, the oldest first.

    `n` has the shape (tellers, rows, arms), `weights` (rows, arms); `days` are counted from the start.
    """

    arms: tuple[str, ...]
    days: Whole
    weights: Array
    n: Array


def signs(readings: Readings) -> list[Sign]:
    """Every sign in every segment; none where the goal hears servers only."""
    if not is_watched(readings.experiment.goal):
        return []
    cells = [readings.columns.get(teller, NO_CELLS).by_segment() for teller in TELLERS]
    return [
        sign
        for segment in readings.experiment.segment_keys
        for sign in _in_segment(readings, segment, [of.get(segment, NO_CELLS) for of in cells])
    ]


def _in_segment(readings: Readings, segment: str, cells: Sequence[Columns]) -> Iterator[Sign]:
    mass, told = readings.experiment.first_mass.key, _told(readings, segment, cells)
    for arm in readings.experiment.candidates(segment):
        if arm.key != mass:
            for kind, evidence, rises in _changes(told, told.arms.index(arm.key), told.arms.index(mass)):
                yield Sign(kind, segment, *((arm.key, mass) if rises else (mass, arm.key)), evidence)


def _told(readings: Readings, segment: str, cells: Sequence[Columns]) -> _Told:
    arms = tuple(arm.key for arm in readings.experiment.open_arms(segment))
    first, place_of = day_of(readings.stored.started_ms or 0), {arm: place for place, arm in enumerate(arms)}
    days, epochs, rows = _rows(cells)
    n = np.zeros((len(cells), len(days), len(arms)))
    tellers = np.repeat(np.arange(len(cells)), [len(of.n) for of in cells])
    n[tellers, rows, np.concatenate([of.arm.placed(place_of) for of in cells])] = np.concatenate([of.n for of in cells])
    weights = [readings.allocations[epoch].weights[segment] for epoch in epochs.tolist()]
    shares = np.array([[of_epoch.get(arm, 0) for arm in arms] for of_epoch in weights], np.float64)
    return _Told(arms, np.maximum(days - first, 0), shares.reshape(n.shape[1:]), n)


def _rows(cells: Sequence[Columns]) -> tuple[Whole, Whole, NDArray[np.intp]]:
    """The days and epochs that there are, in order, and which of these each cell is of."""
    days, epochs = (np.concatenate(columns) for columns in zip(*((of.day, of.epoch) for of in cells), strict=True))
    beyond = epochs.max(initial=0) + 1
    found, rows = np.unique(days * beyond + epochs, return_inverse=True)
    return found // beyond, found % beyond, rows


def _changes(told: _Told, arm: int, mass: int) -> Iterator[tuple[SignKind, float, bool]]:
    """Evidence of each kind for an arm, and whether it is favoured over the mass arm."""
    share = told.weights[:, arm] / (told.weights[:, arm] + told.weights[:, mass])
    server, client, at_once = (_support(of[:, arm], of[:, mass], share) for of in told.n)
    by_clients = client + at_once
    yield "at_once", *_apart(client, at_once)
    yield "by_client", *_apart(server, by_clients)
    yield "rising", *_rise(by_clients, told.days)


def _support(won: Array, lost: Array, share: Array) -> Array:
    """What each row says; nothing where there is nobody, which is the rule for all tellers but one."""
    return support(won, lost, share) if won.any() or lost.any() else np.zeros((3, len(share), 1))


def _apart(others: Array, some: Array) -> tuple[float, bool]:
    if not (others.any() and some.any()):
        return 0.0, False
    found = change(others.sum(axis=1), some.sum(axis=1), margin=KINDS_MARGIN)
    return float(found.evidence), bool(found.rises)


def _rise(supports: Array, days: Whole) -> tuple[float, bool]:
    """The evidence of a change at any midnight, and which way the likeliest goes."""
    different, begins = np.unique(days, return_index=True)
    if len(different) < 2:
        return 0.0, False
    by_day = supports if len(different) == len(days) else np.add.reduceat(supports, begins, axis=1)
    found = change(*over_time(by_day), margin=TIMES_MARGIN)
    return at_some_time(found.evidence, different), bool(found.rises[found.evidence.argmax()])
