"""What was measured: figures by round, ours beside the peer's, and whether they reach what they should."""

from collections.abc import Mapping
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

import numpy as np


class Sample(NamedTuple):
    """One figure, measured once in each round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one: a neighbour on the machine spoils some rounds, seldom half of them."""
        return median(self.values)


class Unit(NamedTuple):
    """How a figure is written."""

    sign: str
    digits: int = 0

    def text(self, value: float) -> str:
        """A value with its unit."""
        return f"{value:,.{self.digits}f}{self.sign}"


PER_SECOND = Unit("/s")
MILLISECONDS = Unit(" ms", 2)
MICROSECONDS = Unit(" µs", 1)
SECONDS = Unit(" s", 2)
MEGABYTES = Unit(" MB")
PERCENT = Unit(" %")
_RATIO = Unit("", 2)
_MET = {True: "yes", False: "no", None: ""}


class Bound(NamedTuple):
    """What a figure should reach: the ratio to the peer's, or our own."""

    limit: float
    is_most: bool = False
    of_ratio: bool = True

    def holds(self, value: float) -> bool:
        """Whether a value keeps the bound."""
        return value <= self.limit if self.is_most else value >= self.limit


class Row(NamedTuple):
    """A line of the table; without a peer `theirs` is None, and `against` says why there is none."""

    what: str
    against: str
    unit: Unit
    ours: Sample
    theirs: Sample | None
    bounds: Sequence[Bound]

    @property
    def ratio(self) -> Sample | None:
        """Ours over theirs by round, since what disturbs a round disturbs both."""
        if self.theirs is None:
            return None
        return Sample(tuple(ours / theirs for ours, theirs in zip(self.ours.values, self.theirs.values, strict=True)))

    @property
    def met(self) -> bool | None:
        """Whether every bound holds; None where one cannot be told."""
        found = [self._figure(bound) for bound in self.bounds]
        if None in found or not found:
            return None
        return all(bound.holds(value) for bound, value in zip(self.bounds, found, strict=True) if value is not None)

    def _figure(self, bound: Bound) -> float | None:
        if not bound.of_ratio:
            return self.ours.median
        return None if self.ratio is None else self.ratio.median

    def cells(self) -> tuple[str, ...]:
        """The line's texts: what, against, ours, theirs, ratio, target, met."""
        return (
            self.what,
            self.against,
            spread(self.ours, self.unit),
            spread(self.theirs, self.unit),
            spread(self.ratio, _RATIO),
            "; ".join(map(self._target, self.bounds)),
            _MET[self.met],
        )

    def _target(self, bound: Bound) -> str:
        unit = _RATIO if bound.of_ratio else self.unit
        return f"{'at most' if bound.is_most else 'at least'} {unit.text(bound.limit)}"


COLUMNS = ("what", "against", "ours", "theirs", "ratio", "target", "met")


def spread(sample: Sample | None, unit: Unit) -> str:
    """The median, and the lowest and highest where there are several rounds."""
    if sample is None:
        return ""
    middle, low, high = (unit.text(value) for value in (sample.median, min(sample.values), max(sample.values)))
    return middle if len(sample.values) == 1 else f"{middle} ({low} to {high})"


class Curve(NamedTuple):
    """What something on a request costs as something else grows: microseconds by size."""

    what: str
    grows: str
    costs: Mapping[int, float]
    steepest: float

    @property
    def slope(self) -> float:
        """Of the cost over the size, both as logarithms: 0 is a cost that stays, 1 one that grows alike."""
        sizes, costs = np.log(list(self.costs)), np.log(list(self.costs.values()))
        return float(np.polyfit(sizes, costs, 1)[0])

    @property
    def met(self) -> bool:
        """Whether it is no steeper than it may be."""
        return self.slope <= self.steepest

    def cells(self) -> tuple[str, ...]:
        """The line's texts: what, what grows, costs, slope, target, met."""
        points = ", ".join(f"{size:,}: {MICROSECONDS.text(cost)}" for size, cost in self.costs.items())
        return self.what, self.grows, points, f"{self.slope:.2f}", f"at most {self.steepest:.2f}", _MET[self.met]


CURVE_COLUMNS = ("what", "grows", "cost by size", "slope", "target", "met")
