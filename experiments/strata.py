"""Cells read as strata: for each segment and arm, the runs of epochs in which no propensity of the segment changed."""

import math
from collections.abc import Mapping
from collections.abc import Sequence
from itertools import chain
from itertools import pairwise
from typing import NamedTuple
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from experiments.allocation import GRAIN
from experiments.columns import Columns
from experiments.model import Allocation
from stats.adaptive import Estimate
from stats.adaptive import Strata
from stats.adaptive import estimates

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Whole = NDArray[np.int64]

T = TypeVar("T")


class Sums(NamedTuple):
    """Visitors, and the sums of their values and squared values, in the metric's unit."""

    n: int = 0
    total: float = 0.0
    total_squares: float = 0.0


def add(left: Sums, right: Sums) -> Sums:
    """The sums of both."""
    return Sums(left.n + right.n, left.total + right.total, left.total_squares + right.total_squares)


class ArmStrata(NamedTuple):
    """The strata of a segment, the arms that their columns are of, and the first and last epoch of each row."""

    arms: tuple[str, ...]
    strata: Strata
    epochs: Whole


class SegmentStrata(NamedTuple):
    """The strata of all segments that have cells, a segment an entry; what is beyond its own strata and arms is 0.

    Attributes:
        arms: of each segment, in the order of the columns.
        strata: of shape (segments, strata, arms).
        epochs: the first and last epoch of each stratum; shape (segments, strata, 2).
    """

    arms: dict[str, tuple[str, ...]]
    strata: Strata
    epochs: Whole

    def of(self, segment: str) -> ArmStrata:
        """One segment's strata; none where it has no cells."""
        if segment not in self.arms:
            return ArmStrata((), Strata(np.zeros(0), *np.zeros((4, 0, 0))), np.zeros((0, 2), np.int64))
        place, arms = list(self.arms).index(segment), self.arms[segment]
        epochs, (visitors, *by_arm) = self.epochs[place], self.strata
        rows = np.count_nonzero(epochs[:, 0])
        own = Strata(visitors[place, :rows], *(part[place, :rows, : len(arms)] for part in by_arm))
        return ArmStrata(arms, own, epochs[:rows])

    def estimates(self) -> dict[str, dict[str, Estimate]]:
        """Every arm's mean per visitor, by segment."""
        return self._by_arm(estimates(self.strata))

    def sums(self) -> dict[str, dict[str, Sums]]:
        """Every arm's sums as they stand, by segment."""
        _, _, *sums = self.strata
        rows = np.stack(sums, axis=-1).sum(axis=1).tolist()
        return self._by_arm([[Sums(round(n), *totals) for n, *totals in row] for row in rows])

    def _by_arm(self, rows: Sequence[Sequence[T]]) -> dict[str, dict[str, T]]:
        named = zip(self.arms.items(), rows, strict=True)
        return {segment: dict(zip(arms, row, strict=False)) for (segment, arms), row in named}


class _Spans(NamedTuple):
    """The contexts and epochs in which each segment has cells, one after another, and which of these each cell is of.

    Attributes:
        names: of the segments.
        starts: the place of each segment's first context and epoch.
        segment, context: of each place, by number.
    """

    names: list[str]
    starts: Whole
    segment: Whole
    context: Whole
    epoch: Whole
    of_cell: Whole

    def weights(self, allocations: Mapping[int, Allocation], contexts: Sequence[str]) -> list[Mapping[str, int]]:
        """The weights of each segment and context in each epoch."""
        places = zip(self.epoch.tolist(), self.segment.tolist(), self.context.tolist(), strict=True)
        return [
            allocations[epoch].of(self.names[segment], contexts[context]) for epoch, segment, context in places
        ]

    def begins(self, propensity: Array) -> Flags:
        """The places with which a stratum begins: other weights than in the epoch before, or others' visitors."""
        begins = np.ones(len(propensity), np.bool_)
        begins[1:] = (propensity[1:] != propensity[:-1]).any(axis=1)
        begins[1:] |= (self.segment[1:] != self.segment[:-1]) | (self.context[1:] != self.context[:-1])
        return begins

    def rows(self, begins: Flags) -> Whole:
        """The stratum of each place, counted in its segment in the order of time."""
        rank, of_segment = np.empty(int(begins.sum()), np.int64), self.segment[begins]
        order = np.lexsort((self.epoch[begins], of_segment))
        rank[order] = np.arange(len(order))
        first = np.searchsorted(of_segment, np.arange(len(self.names)))
        rows: Whole = (rank - first[of_segment])[np.cumsum(begins) - 1]
        return rows


def segment_strata(cells: Columns, allocations: Mapping[int, Allocation]) -> SegmentStrata:
    """The strata of every segment's arms, the oldest first.

    Epochs that follow one another with the same weights are one stratum: in it the arms are compared as they stand.
    Contexts have strata of their own, since their weights may differ.
    """
    spans = _spans(cells)
    weights = spans.weights(allocations, [""] if cells.context is None else cells.context.different)
    bounds = pairwise([*spans.starts.tolist(), len(weights)])
    arms = [tuple(dict.fromkeys(chain.from_iterable(weights[start:end]))) for start, end in bounds]
    propensity = _propensities(weights, [arms[segment] for segment in spans.segment.tolist()])
    begins = spans.begins(propensity)
    rows = spans.rows(begins)
    shape = len(arms), int(rows.max(initial=-1)) + 1, propensity.shape[1]
    shares, epochs = np.zeros(shape), np.zeros((*shape[:2], 2), np.int64)
    shares[spans.segment, rows] = propensity
    for end, at in enumerate((begins, np.append(begins[1:], True)[: len(begins)])):
        epochs[spans.segment[at], rows[at], end] = spans.epoch[at]
    cell_at = spans.segment[spans.of_cell], rows[spans.of_cell], _columns(cells, spans, arms)
    places = np.ravel_multi_index(cell_at, shape)
    sums = [np.bincount(places, values, math.prod(shape)) for values in (cells.n, cells.total, cells.total_squares)]
    table = np.stack(sums).reshape(3, *shape)
    visitors = Strata(table[0].sum(axis=2), shares, *table)
    return SegmentStrata(dict(zip(spans.names, arms, strict=True)), visitors, epochs)


def _propensities(weights: Sequence[Mapping[str, int]], arms: Sequence[Sequence[str]]) -> Array:
    """Of each row's arms, 0 where they have no weight; as wide as the widest row."""
    propensity = np.zeros((len(weights), max(map(len, arms), default=0)))
    for row, of_row, by_arm in zip(propensity, arms, weights, strict=True):
        row[: len(of_row)] = [by_arm.get(arm, 0) for arm in of_row]
    return propensity / GRAIN


def _spans(cells: Columns) -> _Spans:
    width = int(cells.epoch.max(initial=0)) + 1
    contexts = 1 if cells.context is None else len(cells.context.different)
    units = cells.segment.codes * contexts + (0 if cells.context is None else cells.context.codes)
    places, of_cell = np.unique(units * width + cells.epoch, return_inverse=True)
    found, epoch = np.divmod(places, width)
    codes, context = np.divmod(found, contexts)
    different, starts, segment = np.unique(codes, return_index=True, return_inverse=True)
    names = [cells.segment.different[code] for code in different.tolist()]
    return _Spans(names, starts, segment, context, epoch, of_cell)


def _columns(cells: Columns, spans: _Spans, arms: Sequence[Sequence[str]]) -> Whole:
    """The column of each cell's arm in its segment."""
    codes = {arm: code for code, arm in enumerate(cells.arm.different)}
    columns = np.zeros((len(arms), len(codes)), np.int64)
    for row, of_segment in zip(columns, arms, strict=True):
        known = [(codes[arm], column) for column, arm in enumerate(of_segment) if arm in codes]
        row[[code for code, _ in known]] = [column for _, column in known]
    return columns[spans.segment[spans.of_cell], cells.arm.codes]
