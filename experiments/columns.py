"""Columns: the cells of one metric as arrays, so that what reads a hundred epochs pays for numbers only. Pure."""

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.codes import Codes
from experiments.codes import coded
from experiments.codes import gathered

Array = NDArray[np.float64]
Whole = NDArray[np.int64]

#: A cell: metric, epoch, day, segment, arm, visitors, the sums of their values and squared values, a context if any.
Cell = tuple[str, int, int, str, str, float, float, float] | tuple[str, int, int, str, str, float, float, float, str]


@dataclass(frozen=True, eq=False)
class Names:
    """Names, one for each cell: the different ones, and which of them each is, so that nobody compares texts."""

    different: Sequence[str]
    codes: Codes

    @classmethod
    def of(cls, names: Collection[str]) -> "Names":
        """Names as they are written."""
        return cls(*coded(names))

    def __iter__(self) -> Iterator[str]:
        return map(self.different.__getitem__, self.codes.tolist())

    def __getitem__(self, which: Any) -> "Names":
        return Names(self.different, self.codes[which])

    def is_same(self, other: "Names") -> bool:
        """Whether these are the same names, in the same order."""
        return list(self.different) == list(other.different) and np.array_equal(self.codes, other.codes)

    def groups(self) -> dict[str, Codes]:
        """Each name that there is, and the cells that have it, in order."""
        return {self.different[code]: cells for code, cells in gathered(self.codes)}

    def placed(self, place_by_name: Mapping[str, int]) -> Codes:
        """The place of each cell's name in another order."""
        places = np.zeros(len(self.different), np.intp)
        for code in np.flatnonzero(np.bincount(self.codes)).tolist():
            places[code] = place_by_name[self.different[code]]
        return places[self.codes]


class Columns(NamedTuple):
    """The cells of one metric, one an entry: where they are, visitors, and the sums of values and squared values.

    `day` is the UTC day of first exposure, in days since 1970; `context` is None where no cell has one.
    """

    epoch: Whole
    day: Whole
    segment: Names
    arm: Names
    n: Array
    total: Array
    total_squares: Array
    context: Names | None = None

    def at(self, which: Any) -> "Columns":
        """Some of the cells, by an index of arrays."""
        context = None if self.context is None else self.context[which]
        sums = self.n[which], self.total[which], self.total_squares[which]
        return Columns(self.epoch[which], self.day[which], self.segment[which], self.arm[which], *sums, context)

    def is_same(self, other: "Columns") -> bool:
        """Whether these are the same cells, in the same order."""
        names = self.segment.is_same(other.segment) and self.arm.is_same(other.arm)
        contexts = list(self.context or ()) == list(other.context or ())
        return names and contexts and all(map(np.array_equal, self._numbers(), other._numbers()))

    def _numbers(self) -> tuple[NDArray[Any], ...]:
        return self.epoch, self.day, self.n, self.total, self.total_squares

    def in_unit(self, unit: float) -> "Columns":
        """The same with sums in another unit; one of theirs is worth so many of it."""
        if unit == 1:
            return self
        return self._replace(total=self.total * unit, total_squares=self.total_squares * unit * unit)

    def by_segment(self) -> dict[str, "Columns"]:
        """The same cells, each segment's for itself."""
        return {name: self.at(cells) for name, cells in self.segment.groups().items()}

    def by_context(self) -> dict[str, "Columns"]:
        """The cells of each context that there is."""
        groups = {} if self.context is None else self.context.groups()
        return {name: self.at(cells) for name, cells in groups.items() if name}

    def contexts(self) -> Iterator[str | None]:
        """The context of each cell."""
        return repeat(None, len(self.n)) if self.context is None else iter(self.context)

    def visitors(self) -> dict[tuple[str, str], int]:
        """How many visitors each segment and arm has that has cells."""
        arms = len(self.arm.different)
        places = self.segment.codes * arms + self.arm.codes
        cells, visitors = np.bincount(places), np.bincount(places, self.n)
        return {
            (self.segment.different[place // arms], self.arm.different[place % arms]): round(visitors[place])
            for place in np.flatnonzero(cells).tolist()
        }


def columns_of(cells: Sequence[Cell]) -> Columns:
    """The columns of cells of one metric."""
    _, epoch, day, segment, arm, *sums = zip(*cells, strict=True) if cells else ((),) * 8
    n, total, total_squares = (np.array(column, np.float64) for column in sums[:3])
    contexts = [context for column in sums[3:] for context in column]
    return Columns(
        np.array(epoch, np.int64),
        np.array(day, np.int64),
        Names.of(segment),
        Names.of(arm),
        n,
        total,
        total_squares,
        Names.of(contexts) if any(contexts) else None,
    )


#: Of a metric or a segment that nobody is counted for.
NO_CELLS = columns_of([])


def by_metric(cells: Sequence[Cell]) -> dict[str, Columns]:
    """The columns of each metric that cells are of."""
    everything, metrics = columns_of(cells), Names.of([cell[0] for cell in cells])
    return {metric: everything.at(which) for metric, which in metrics.groups().items()}


#: Every metric's columns.
Table = Mapping[str, Columns]
