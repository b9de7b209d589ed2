"""Cells read as strata: for each segment and arm, the runs of epochs in which no propensity of the segment changed."""

from collections.abc import Mapping
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.allocation import GRAIN
from experiments.columns import Columns
from experiments.model import Allocation
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


def arm_strata(cells: Columns, allocations: Mapping[int, Allocation], *, segment: str) -> ArmStrata:
    """The strata of a segment's arms, the oldest first, from the segment's cells.

    Epochs that follow one another with the same weights are one stratum: in it the arms are compared as they stand.
    """
    epochs, epoch_of_cell = np.unique(cells.epoch, return_inverse=True)
    weights = [allocations[epoch].weights[segment] for epoch in epochs.tolist()]
    arms = {arm: place for place, arm in enumerate(dict.fromkeys(chain.from_iterable(weights)))}
    propensity = np.array([[of_epoch.get(arm, 0) for arm in arms] for of_epoch in weights], np.float64)
    propensity = propensity.reshape(len(epochs), len(arms)) / GRAIN
    begins = np.ones(len(epochs), np.bool_)
    begins[1:] = (propensity[1:] != propensity[:-1]).any(axis=1)
    table = _table(cells, (np.cumsum(begins) - 1)[epoch_of_cell], arms, strata=int(begins.sum()))
    visitors = Strata(table[0].sum(axis=1), propensity[begins], *table)
    ends = np.append(begins[1:], True)[: len(begins)]
    return ArmStrata(tuple(arms), visitors, tuple(zip(epochs[begins].tolist(), epochs[ends].tolist(), strict=True)))


def _table(cells: Columns, rows: NDArray[np.intp], column_by_arm: Mapping[str, int], *, strata: int) -> Array:
    """Visitors, sums and sums of squares; shape (3, strata, arms)."""
    table = np.zeros((3, strata * len(column_by_arm)))
    places = rows * len(column_by_arm) + cells.arm.placed(column_by_arm)
    for part, values in zip(table, (cells.n, cells.total, cells.total_squares), strict=True):
        part += np.bincount(places, values, minlength=len(part))
    return table.reshape(3, strata, len(column_by_arm))
