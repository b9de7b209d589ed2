"""What moving traffic gained over dividing it evenly, told from the same customers."""

from collections.abc import Mapping
from math import sqrt
from typing import NamedTuple

from service.demo.campaign import Counts

#: Two-sided 95 % of a normal distribution.
_WIDTH = 1.959964


class Gain(NamedTuple):
    """The visits of those reached, how many an even split would have brought, and the standard error of the gain."""

    reached: int
    actual: int
    even: float
    error: float

    @property
    def mean(self) -> float:
        """Visits gained."""
        return self.actual - self.even

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the gain."""
        return self.mean - _WIDTH * self.error, self.mean + _WIDTH * self.error


def gain_over(shares: Mapping[str, Mapping[str, float]], *, logged: Counts, posted: Counts) -> Gain:
    """The gain over fixed `shares` of the arms in each segment.

    Those who were reached are a fair sample of their segment, and so are the customers of each logged arm: the even
    split's visits are Σ over segments of the reached, times Σ over arms of share times the arm's rate among all who
    were logged under it. The two samples overlap, which makes the true error a little smaller than the one stated.
    """
    reached = {segment: _total(posted, segment, "visitors") for segment in shares}
    actual = {segment: _total(posted, segment, "visit") for segment in shares}
    even = {segment: _visits(logged, segment, shares[segment]) for segment in shares}
    variance = sum(
        actual[segment] * (1 - actual[segment] / reached[segment]) + reached[segment] ** 2 * even[segment][1]
        for segment in shares
        if reached[segment]
    )
    return Gain(
        sum(reached.values()),
        sum(actual.values()),
        sum(reached[segment] * even[segment][0] for segment in shares),
        sqrt(variance),
    )


def _total(counts: Counts, segment: str, what: str) -> int:
    return sum(n for (of_segment, _, of_what), n in counts.items() if (of_segment, of_what) == (segment, what))


def _visits(logged: Counts, segment: str, shares: Mapping[str, float]) -> tuple[float, float]:
    """Visits per customer under the shares, and the variance of that estimate; an arm that nobody had tells nothing."""
    mean, variance = 0.0, 0.0
    for arm, share in shares.items():
        n = logged[segment, arm, "visitors"]
        rate = logged[segment, arm, "visit"] / n if n else 0.0
        mean += share * rate
        variance += share**2 * rate * (1 - rate) / max(n, 1)
    return mean, variance
