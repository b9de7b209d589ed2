"""Columns: the cells of one metric as arrays, so that what reads a hundred epochs pays for numbers only. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.codes import coded

Array = NDArray[np.float64]
Whole = NDArray[np.int64]
Names = NDArray[np.object_]

#: A cell: metric, epoch, day, segment, arm, visitors, and the sums of their values and squared values.
Cell = tuple[str, int, int, str, str, float, float, float]


class Columns(NamedTuple):
    """The cells of one metric, one an entry: where they are, visitors, and the sums of values and squared values.

    `day` is the UTC day of first exposure, in days since 1970.
    """

    epoch: Whole
    day: Whole
    segment: Names
    arm: Names
    n: Array
    total: Array
    total_squares: Array

    def at(self, which: Any) -> "Columns":
        """Some of the cells, by an index of arrays."""
        return Columns(*(column[which] for column in self))

    def in_unit(self, unit: float) -> "Columns":
        """The same with sums in another unit; one of theirs is worth so many of it."""
        if unit == 1:
            return self
        return self._replace(total=self.total * unit, total_squares=self.total_squares * unit * unit)

    def by_segment(self) -> dict[str, "Columns"]:
        """The same cells, each segment's for itself."""
        segments, codes = coded(self.segment.tolist())
        parts = np.split(np.argsort(codes, kind="stable"), np.bincount(codes).cumsum()[:-1])
        return {name: self.at(part) for name, part in zip(segments, parts, strict=False)}

    def visitors(self) -> dict[str, int]:
        """How many visitors each arm has."""
        arms, codes = coded(self.arm.tolist())
        return {arm: round(n) for arm, n in zip(arms, np.bincount(codes, self.n).tolist(), strict=True)}


def columns_of(cells: Sequence[Cell]) -> Columns:
    """The columns of cells of one metric."""
    _, epoch, day, segment, arm, *sums = zip(*cells, strict=True) if cells else ((),) * 8
    return Columns(
        np.array(epoch, np.int64),
        np.array(day, np.int64),
        np.array(segment, np.object_),
        np.array(arm, np.object_),
        *(np.array(column, np.float64) for column in sums),
    )


#: Of a metric or a segment that nobody is counted for.
NO_CELLS = columns_of([])


def by_metric(cells: Iterable[Cell]) -> dict[str, Columns]:
    """The columns of each metric that cells are of."""
    parts: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        parts[cell[0]].append(cell)
    return {metric: columns_of(part) for metric, part in parts.items()}


#: Every metric's columns.
Table = Mapping[str, Columns]
