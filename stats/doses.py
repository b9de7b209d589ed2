"""What one more brings: the means of two groups of visitors of whom the second were given more of something."""

import math
from typing import NamedTuple

import scipy

from stats.checks import between
from stats.moments import Moments


class Contrast(NamedTuple):
    """The mean of those who were given more, less that of the others.

    Attributes:
        mean: the difference.
        low, high: its equal-tailed interval; infinite where a group has fewer than two visitors.
    """

    mean: float
    low: float
    high: float


def contrast(fewer: Moments, more: Moments, *, mass: float = 0.95) -> Contrast:
    """The difference of two means, by the normal approximation with each group's own variance.

    It is the effect of being given more where chance decided who was; else it is no more than how the two groups
    differ, by who comes back for more too.
    """
    mean = more.mean - fewer.mean
    if min(fewer.n, more.n) < 2:
        return Contrast(mean, -math.inf, math.inf)
    error = math.sqrt(fewer.variance / fewer.n + more.variance / more.n)
    half_width = -float(scipy.special.ndtri((1 - between(mass, "mass", low=0, high=1)) / 2)) * error
    return Contrast(mean, mean - half_width, mean + half_width)
