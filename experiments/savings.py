"""Savings: what moving traffic has earned so far over dividing it evenly, day by day. Pure."""

from collections import Counter
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from typing import NamedTuple

from experiments.allocation import GRAIN
from experiments.beliefs import Beliefs
from experiments.beliefs import Gain
from experiments.columns import Columns
from experiments.model import Allocation
from experiments.model import Experiment

#: By segment and arm, how many more visitors an arm was meant to get than an even split would have given it.
_Moved = dict[str, Counter[str]]

#: By epoch and segment, how many visitors came.
_Came = Counter[tuple[int, str, str | None]]


class Saved(NamedTuple):
    """What was saved up to the end of a day (days since 1970, UTC), in conversions or money."""

    day: int
    gain: Gain


def savings(
    experiment: Experiment,
    beliefs: Beliefs,
    exposures: Columns,
    allocations: Mapping[int, Allocation],
    *,
    segments: Collection[str],
    min_cell: int,
) -> list[Saved]:
    """The conversions or the money saved in some segments, one entry for each day on which visitors came, in order.

    Visitors times the difference between an arm's weight and its even share, times what is believed of the arm now:
    weights rather than the visitors who came of them, so that chance in the draw is no saving. Controls keep their
    share in both. A day of fewer visitors than `min_cell` is told with the days that follow.
    """
    moved: _Moved = {segment: Counter() for segment in segments}
    saved = []
    for day, came in _days(_visitors(exposures, segments=segments), min_cell=min_cell):
        for (epoch, segment, context), visitors in came.items():
            weights = allocations[epoch].of(segment, context)
            moved[segment].update(_moved(experiment, segment, weights, visitors))
        saved.append(Saved(day, beliefs.combination(moved)))
    return saved


def _days(came_by_day: Mapping[int, _Came], *, min_cell: int) -> Iterator[tuple[int, _Came]]:
    """The days in order, each with those before it on which too few came."""
    waiting: _Came = Counter()
    for day, came in sorted(came_by_day.items()):
        waiting += came
        if waiting.total() >= max(1, min_cell):
            yield day, waiting
            waiting = Counter()


def _visitors(exposures: Columns, *, segments: Collection[str]) -> dict[int, _Came]:
    """By day, the visitors of each epoch, segment and context."""
    found: dict[int, _Came] = {}
    columns = exposures.day.tolist(), exposures.epoch.tolist(), exposures.segment, exposures.contexts()
    for day, epoch, segment, context, n in zip(*columns, exposures.n.tolist(), strict=True):
        if segment in segments:
            found.setdefault(day, Counter())[epoch, segment, context] += round(n)
    return found


def _moved(experiment: Experiment, segment: str, weights: Mapping[str, int], visitors: int) -> dict[str, float]:
    candidates = [arm.key for arm in experiment.candidates(segment) if arm.key in weights]
    even = sum(weights[arm] for arm in candidates) / len(candidates)
    return {arm: visitors * (weights[arm] - even) / GRAIN for arm in candidates}
