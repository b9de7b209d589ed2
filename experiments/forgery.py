"""Forgery: whether outcomes that anybody can send favour an arm as no visitors would. Pure.

What is told with a client key can be made up; each made-up outcome still needs an exposure, but not everybody who sends
many hides how. An arm is held against the first mass arm, in three ways, by visitors who have reached the goal:

* those told of at once after the exposure are not more than twice as often the arm's as the others are;
* those told of by client keys are not more than twice as often the arm's as those told of by servers are;
* the arm's part of those told of by client keys does not grow by more than a quarter from one day on.

Base rates, delays, weights and how good the arms are may be anything and change at any time, as long as it happens to
both arms.
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

SignKind = Literal["at_once", "by_client", "rising"]

#: By how much the odds of an arm may differ between outcomes of two kinds, and between two times.
KINDS_MARGIN = 1.0
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


def signs(readings: Readings) -> list[Sign]:
    """Every sign in every segment; none where the goal hears servers only."""
    if not is_watched(readings.experiment.goal):
        return []
    told = [readings.columns.get(teller, NO_CELLS).by_segment() for teller in TELLERS]
    return [
        sign
        for segment in readings.experiment.segment_keys
        for sign in _in_segment(readings, segment, [cells.get(segment, NO_CELLS) for cells in told])
    ]


def _in_segment(readings: Readings, segment: str, told: Sequence[Columns]) -> Iterator[Sign]:
    mass = readings.experiment.first_mass.key
    for arm in readings.experiment.open_arms(segment):
        if arm.key != mass:
            server, client, at_once = (_by_day(readings, segment, cells, arm.key) for cells in told)
            for kind, evidence, rises in _changes(server, client, at_once):
                yield Sign(kind, segment, *((arm.key, mass) if rises else (mass, arm.key)), evidence)


def _changes(server: Array, client: Array, at_once: Array) -> Iterator[tuple[SignKind, float, bool]]:
    """Evidence of each kind for an arm, and whether it is favoured, from what each teller's visitors say of it."""
    by_clients = client + at_once
    pairs: tuple[tuple[SignKind, Array, Array], ...] = (
        ("at_once", client, at_once), ("by_client", server, by_clients),
    )
    for kind, others, some in pairs:
        found = change(others.sum(axis=1), some.sum(axis=1), margin=KINDS_MARGIN)
        yield kind, float(found.evidence), bool(found.rises)
    yield "rising", *_rise(by_clients)


def _rise(by_day: Array) -> tuple[float, bool]:
    """The evidence of a change at any midnight, and which way the likeliest goes."""
    found = change(*over_time(by_day), margin=TIMES_MARGIN)
    rises = bool(found.rises[found.evidence.argmax()]) if len(found.evidence) else False
    return at_some_time(found.evidence), rises


def _by_day(readings: Readings, segment: str, told: Columns, arm: str) -> Array:
    """What visitors first exposed on each day say of the arm against the mass arm; shape (3, days, ratios)."""
    first = day_of(readings.stored.started_ms or 0)
    days = max(day_of(readings.now_ms) - first + 1, 1)
    won, lost = (told.at(told.arm == key) for key in (arm, readings.experiment.first_mass.key))
    by_day = np.zeros((days, *support(0.0, 0.0, 0.5).shape))
    for cells, is_won in ((won, True), (lost, False)):
        share = np.array([_share(readings, epoch, segment, arm) for epoch in cells.epoch.tolist()], np.float64)
        none = np.zeros(len(cells.n))
        said = support(cells.n if is_won else none, none if is_won else cells.n, share)
        np.add.at(by_day, np.clip(cells.day - first, 0, days - 1), np.moveaxis(said, 1, 0))
    return np.moveaxis(by_day, 0, 1)


def _share(readings: Readings, epoch: int, segment: str, arm: str) -> float:
    """The arm's propensity, of what it and the mass arm have together; an arm that had not come yet has none."""
    weights = readings.allocations[epoch].weights[segment]
    own, mass = weights.get(arm, 0), weights[readings.experiment.first_mass.key]
    return own / (own + mass)
