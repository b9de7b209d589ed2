"""Cells read as strata: for each segment and arm, the runs of epochs in which no propensity of the segment changed."""

from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Mapping
from itertools import groupby
from typing import NamedTuple
from typing import Protocol

from experiments.allocation import GRAIN
from experiments.model import Allocation
from experiments.storage.cells import CellRow
from stats.adaptive import Stratum


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
    sums: dict[tuple[int, str, str], Sums] = defaultdict(Sums)
    for key, n, total, total_squares in cells:
        if key.metric == metric and not key.asserted and (before_day is None or key.day < before_day):
            place = (key.epoch, key.segment, key.arm)
            sums[place] = add(sums[place], Sums(n, total * unit, total_squares * unit * unit))
    return sums


def strata(
    sums: Mapping[tuple[int, str, str], Summed], allocations: Mapping[int, Allocation], *, segment: str
) -> dict[str, list[Stratum]]:
    """The strata of every arm of a segment, the oldest first.

    Epochs that follow one another with the same weights are one stratum: in it the arms are compared as they stand.
    """
    epochs = sorted({epoch for epoch, of_segment, _ in sums if of_segment == segment})
    by_arm: dict[str, list[Stratum]] = defaultdict(list)
    for weights, run in groupby(epochs, key=lambda epoch: tuple(allocations[epoch].weights[segment].items())):
        run_sums = _run_sums(sums, list(run), segment, [arm for arm, _ in weights])
        visitors = sum(n for n, _, _ in run_sums.values())
        for arm, weight in weights:
            by_arm[arm].append(Stratum(visitors, weight / GRAIN, *run_sums[arm]))
    return by_arm


def _run_sums(
    sums: Mapping[tuple[int, str, str], Summed], epochs: list[int], segment: str, arms: list[str]
) -> dict[str, tuple[float, float, float]]:
    found = {arm: [sums[epoch, segment, arm] for epoch in epochs if (epoch, segment, arm) in sums] for arm in arms}
    return {
        arm: (
            sum(part.n for part in parts),
            sum(part.total for part in parts),
            sum(part.total_squares for part in parts),
        )
        for arm, parts in found.items()
    }


def _total(parts: Iterable[Sums]) -> Sums:
    total = Sums()
    for part in parts:
        total = add(total, part)
    return total


def plain_sums(sums: EpochSums, *, segment: str | None, arm: str) -> Sums:
    """The sums as they stand, over all epochs (and all segments where `segment` is None)."""
    return _total(
        value for (_, of_segment, of_arm), value in sums.items()
        if of_arm == arm and segment in (None, of_segment)
    )
