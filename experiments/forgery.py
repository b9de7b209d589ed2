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
from stats.constancy import Change
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
    """Visitors of a segment who have reached the goal, by day of exposure, epoch and context, the oldest first.

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
    rivals = [arm.key for arm in readings.experiment.candidates(segment) if arm.key != mass]
    found = _changes(told, [told.arms.index(arm) for arm in rivals], told.arms.index(mass))
    for kind, changes in found.items():
        for arm, evidence, rises in zip(rivals, changes.evidence.tolist(), changes.rises.tolist(), strict=True):
            yield Sign(kind, segment, *((arm, mass) if rises else (mass, arm)), evidence)


def _told(readings: Readings, segment: str, cells: Sequence[Columns]) -> _Told:
    arms = tuple(arm.key for arm in readings.experiment.open_arms(segment))
    first, place_of = day_of(readings.stored.started_ms or 0), {arm: place for place, arm in enumerate(arms)}
    days, epochs, contexts, rows = _rows(cells)
    n = np.zeros((len(cells), len(days), len(arms)))
    tellers = np.repeat(np.arange(len(cells)), [len(of.n) for of in cells])
    n[tellers, rows, np.concatenate([of.arm.placed(place_of) for of in cells])] = np.concatenate([of.n for of in cells])
    # All tellers' cells were read together, and have one list of contexts.
    names = next((of.context.different for of in cells if of.context is not None), [None])
    weights = [
        readings.allocations[epoch].of(segment, names[context])
        for epoch, context in zip(epochs.tolist(), contexts.tolist(), strict=True)
    ]
    shares = np.array([[of_epoch.get(arm, 0) for arm in arms] for of_epoch in weights], np.float64)
    return _Told(arms, np.maximum(days - first, 0), shares.reshape(n.shape[1:]), n)


def _rows(cells: Sequence[Columns]) -> tuple[Whole, Whole, Whole, NDArray[np.intp]]:
    """The days, epochs and contexts that there are, in order, and which of these each cell is of."""
    days, epochs = (np.concatenate(columns) for columns in zip(*((of.day, of.epoch) for of in cells), strict=True))
    codes = [np.zeros(len(of.n), np.int64) if of.context is None else of.context.codes for of in cells]
    contexts = np.concatenate(codes)
    beyond, width = epochs.max(initial=0) + 1, contexts.max(initial=0) + 1
    found, rows = np.unique((days * beyond + epochs) * width + contexts, return_inverse=True)
    places, context = np.divmod(found, width)
    return places // beyond, places % beyond, context, rows


def _changes(told: _Told, rivals: Sequence[int], mass: int) -> dict[SignKind, Change]:
    """Of each kind, the evidence for each rival of the mass arm, and whether the rival is the one favoured."""
    won, lost = told.n[:, :, rivals], told.n[:, :, [mass]]
    share = told.weights[:, rivals] / (told.weights[:, rivals] + told.weights[:, [mass]])
    server, client, at_once = (_support(*of, share) for of in zip(won, lost, strict=True))
    by_server, by_client, hasty = (supports.sum(axis=1) for supports in (server, client, at_once))
    return {
        "at_once": change(by_client, hasty, margin=KINDS_MARGIN),
        "by_client": change(by_server, by_client + hasty, margin=KINDS_MARGIN),
        "rising": _rise(client + at_once if at_once.any() else client, told.days),
    }


def _support(won: Array, lost: Array, share: Array) -> Array:
    """What each row says; nothing where there is nobody, which is the rule for all tellers but one."""
    return support(won, lost, share) if won.any() or lost.any() else np.zeros((3, *share.shape, 1))


def _rise(supports: Array, days: Whole) -> Change:
    """The evidence of a change at any midnight, and which way the likeliest goes."""
    different, begins = np.unique(days, return_index=True)
    if len(different) < 2:
        nothing = np.zeros(supports.shape[2])
        return Change(nothing, nothing > 0)
    by_day = supports if len(different) == len(days) else np.add.reduceat(supports, begins, axis=1)
    found = change(*over_time(by_day), margin=TIMES_MARGIN)
    evidence = [at_some_time(of_rival, different) for of_rival in found.evidence.T]
    likeliest = found.evidence.argmax(axis=0)
    return Change(np.array(evidence), np.take_along_axis(found.rises, likeliest[None], axis=0)[0])
