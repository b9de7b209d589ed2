"""A past by context: its visitors once more, by what is stored of them inside their segments. Pure."""

from collections import Counter
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.allocation import GRAIN
from experiments.codes import Codes
from experiments.inputs import unit_of
from experiments.model import Allocation
from experiments.model import Experiment
from experiments.replay.past import Array
from experiments.replay.past import Flags
from experiments.replay.past import Past
from experiments.storage.contexts import ContextRow
from experiments.storage.contexts import NO_ATTRIBUTES
from stats.off_policy import Log
from stats.off_policy import averages
from stats.off_policy import best
from stats.off_policy import misfit

#: A context of fewer visitors is given what its segment is.
LEAST_OF_CONTEXT = 200
#: Each chooses for the other.
HALVES = 2

#: A segment and a context in it; an empty one stands for the rest of the segment.
_Place = tuple[str, str]


class ContextPast(NamedTuple):
    """A past whose contexts are those that are stored, inside of segments.

    Attributes:
        past: only the goal is measured; its folds are the halves of the visitors.
        segments: the number of the segment that each context is in.
        has_own: whether a context has visitors enough to be given an arm of its own.
    """

    past: Past
    segments: Codes
    has_own: Flags

    def best_by_segment(self) -> Array:
        """The policy that gives the segments of either half what is best for them by the other half."""
        shape = HALVES, *self._shape
        is_open = np.ones(self._shape, np.bool_)
        is_open[self.segments] = self.past.is_open
        return best(averages(self._by_segment(), shape=shape), is_open)[:, self.segments]

    def misfit(self) -> Array:
        """By context and arm, what `stats.off_policy.misfit` says.

        Of the segment, since an arm that nobody in a small context happened to have looks like one that nobody could
        have; of the context alone where an arm was closed.
        """
        alone = misfit(self.past.logs["goal"], contexts=len(self.segments), arms=len(self.past.arms))
        is_open = (self.past.unreachable == 0).all(axis=1)
        log = self._by_segment()
        which = is_open[self.past.logs["goal"].context]
        together = misfit(Log(*(column[which] for column in log)), contexts=self._shape[0], arms=self._shape[1])
        return np.where(is_open[:, None], together[self.segments], alone)

    @property
    def _shape(self) -> tuple[int, int]:
        return int(self.segments.max()) + 1, len(self.past.arms)

    def _by_segment(self) -> Log:
        log = self.past.logs["goal"]
        return log._replace(context=self.segments[log.context])


def context_past(
    experiment: Experiment, past: Past, rows: Sequence[ContextRow], *, allocations: Mapping[int, Allocation],
    min_cell: int,
) -> ContextPast:
    """What rows of visitors say of a past that is known by segment."""
    large = _large(rows, least=max(LEAST_OF_CONTEXT, min_cell))
    places = sorted({_place(row, large) for row in rows})
    numbers = {place: number for number, place in enumerate(places)}
    segments = np.array([past.contexts.index(segment) for segment, _ in places], np.intp)
    unit = unit_of(experiment, experiment.goal.key)
    found = Past(
        tuple(f"{segment}: {context or 'all others'}" for segment, context in places),
        past.arms,
        HALVES,
        past.mass,
        past.is_open[segments],
        np.zeros((len(places), len(past.arms))),
        {"goal": _log(past, rows, [numbers[_place(row, large)] for row in rows], allocations=allocations, unit=unit)},
        np.zeros(len(past.arms)),
    )
    for row in rows:
        weights = allocations[row.epoch].of(row.segment, row.context)
        found.unreachable[numbers[_place(row, large)]] += [0 if weights.get(arm, 0) else row.n for arm in past.arms]
    return ContextPast(found, segments, np.array([context != "" for _, context in places], np.bool_))


def _large(rows: Sequence[ContextRow], *, least: int) -> set[_Place]:
    visitors: Counter[_Place] = Counter()
    for row in rows:
        visitors[row.segment, row.context] += row.n
    return {place for place, n in visitors.items() if n >= least and place[1] != NO_ATTRIBUTES}


def _place(row: ContextRow, large: set[_Place]) -> _Place:
    return (row.segment, row.context) if (row.segment, row.context) in large else (row.segment, "")


def _log(
    past: Past, rows: Sequence[ContextRow], contexts: list[int], *, allocations: Mapping[int, Allocation], unit: float
) -> Log:
    weights = [allocations[row.epoch].of(row.segment, row.context).get(row.arm, 0) for row in rows]
    return Log(
        np.array([row.half for row in rows], np.int64),
        np.array(contexts, np.int64),
        np.array([past.arms.index(row.arm) for row in rows], np.int64),
        np.array(weights, np.float64) / GRAIN,
        np.array([row.n for row in rows], np.float64),
        np.array([row.total for row in rows], np.float64) * unit,
        np.array([row.total_squares for row in rows], np.float64) * unit**2,
    )
