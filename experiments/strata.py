"""Cells read as strata: for each segment and arm, the runs of epochs in which no propensity of the segment changed."""

from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Mapping
from itertools import groupby
from math import inf
from typing import NamedTuple
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from experiments.allocation import GRAIN
from experiments.model import Allocation
from experiments.storage.cells import CellRow
from stats.adaptive import Estimate
from stats.adaptive import Strata
from stats.adaptive import estimates

Array = NDArray[np.float64]


class Sums(NamedTuple):
    """Visitors, and the sums of their values and squared values, in the metric's unit."""

    n: int = 0
    total: float = 0.0
    total_squares: float = 0.0


def add(left: Sums, right: Sums) -> Sums:
    """The sums of both."""
    return Sums(left.n + right.n, left.total + right.total, left.total_squares + right.total_squares)


class Summed(Protocol):
    """Sums of visitors who may count for less than one each."""

    @property
    def n(self) -> float:
        """Visitors."""

    @property
    def total(self) -> float:
        """The sum of their values."""

    @property
    def total_squares(self) -> float:
        """The sum of their squared values."""


#: The sums of one metric by (epoch, segment, arm).
EpochSums = Mapping[tuple[int, str, str], Sums]


def epoch_sums(cells: Iterable[CellRow], *, metric: str, unit: float, before_day: int | None = None) -> EpochSums:
    """The sums of a metric over days, for visitors exposed before a day; `unit` turns stored integers into units."""
    sums: dict[tuple[int, str, str], Sums] = {}
    last_day = inf if before_day is None else before_day
    for (_, epoch, day, segment, arm, asserted, of_metric), n, total, total_squares in cells:
        if of_metric == metric and not asserted and day < last_day:
            found, place = Sums(n, total * unit, total_squares * unit * unit), (epoch, segment, arm)
            sums[place] = add(sums[place], found) if place in sums else found
    return sums


#: The sums of one segment by (epoch, arm).
SegmentSums = Mapping[tuple[int, str], Summed]


def by_segment(sums: Mapping[tuple[int, str, str], Summed]) -> dict[str, dict[tuple[int, str], Summed]]:
    """The same sums, each segment's for itself."""
    parts: dict[str, dict[tuple[int, str], Summed]] = defaultdict(dict)
    for (epoch, segment, arm), found in sums.items():
        parts[segment][epoch, arm] = found
    return parts


class ArmStrata(NamedTuple):
    """The strata of a segment, the arms that their columns are of, and the first and last epoch of each row."""

    arms: tuple[str, ...]
    strata: Strata
    epochs: tuple[tuple[int, int], ...]

    def estimates(self) -> dict[str, Estimate]:
        """Every arm's mean per visitor."""
        return dict(zip(self.arms, estimates(self.strata), strict=True))

    def sums(self) -> dict[str, Sums]:
        """Every arm's sums as they stand."""
        columns = np.stack([self.strata.n, self.strata.total, self.strata.total_squares]).sum(axis=1).T
        rows = zip(self.arms, columns.tolist(), strict=True)
        return {arm: Sums(round(n), total, total_squares) for arm, (n, total, total_squares) in rows}


def arm_strata(sums: SegmentSums, allocations: Mapping[int, Allocation], *, segment: str) -> ArmStrata:
    """The strata of a segment's arms, the oldest first.

    Epochs that follow one another with the same weights are one stratum: in it the arms are compared as they stand.
    """
    runs = _runs(sums, allocations, segment)
    arms = {arm: place for place, arm in enumerate(dict.fromkeys(arm for weights, _ in runs for arm in weights))}
    propensity = np.array([[weights.get(arm, 0) / GRAIN for arm in arms] for weights, _ in runs])
    table = _table(sums, {epoch: number for number, (_, run) in enumerate(runs) for epoch in run}, arms)
    visitors = Strata(table[0].sum(axis=1), propensity.reshape(table[0].shape), *table)
    return ArmStrata(tuple(arms), visitors, tuple((run[0], run[-1]) for _, run in runs))


def _runs(
    sums: SegmentSums, allocations: Mapping[int, Allocation], segment: str
) -> list[tuple[dict[str, int], list[int]]]:
    """The weights that followed one another, each with its epochs."""
    epochs = sorted({epoch for epoch, _ in sums})
    runs = groupby(epochs, key=lambda epoch: allocations[epoch].weights[segment])
    return [(weights, list(run)) for weights, run in runs]


def _table(sums: SegmentSums, row_by_epoch: Mapping[int, int], column_by_arm: Mapping[str, int]) -> Array:
    """Visitors, sums and sums of squares; shape (3, strata, arms)."""
    table = np.zeros((3, len(set(row_by_epoch.values())), len(column_by_arm)))
    if sums:
        rows = [row_by_epoch[epoch] for epoch, _ in sums]
        columns = [column_by_arm[arm] for _, arm in sums]
        values = np.array([(one.n, one.total, one.total_squares) for one in sums.values()], dtype=np.float64)
        for part, column in zip(table, values.T, strict=True):
            np.add.at(part, (rows, columns), column)
    return table
