"""Sufficient statistics of a sample: three sums that add."""

from __future__ import annotations

from dataclasses import dataclass

from stats.checks import finite
from stats.checks import not_negative


@dataclass(frozen=True)
class Moments:
    """Number, sum and sum of squares of one value per visitor; two samples merge by adding.

    Attributes:
        n: visitors.
        total: Σx over them.
        total_squares: Σx² over them.
    """

    n: float = 0
    total: float = 0.0
    total_squares: float = 0.0

    def __post_init__(self) -> None:
        not_negative(self.n, "n")
        finite(self.total, "total")
        not_negative(self.total_squares, "total_squares")

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.n + other.n, self.total + other.total, self.total_squares + other.total_squares)

    @property
    def mean(self) -> float:
        """Σx / n; 0 without visitors."""
        return self.total / self.n if self.n else 0.0

    @property
    def variance(self) -> float:
        """Unbiased variance of one value, never negative; 0 below two visitors."""
        if self.n < 2:
            return 0.0
        return max(self.total_squares - self.total * self.mean, 0.0) / (self.n - 1)
