"""Has an uplift changed: what a treatment adds lately, less what it added before."""

import math
from typing import NamedTuple

import scipy

from stats.checks import between
from stats.posteriors import BetaPosterior
from stats.posteriors import NormalPosterior


class Change(NamedTuple):
    """A later difference less an earlier one.

    Attributes:
        mean: the expected change.
        low, high: its equal-tailed interval.
        p_value: two-sided, of no change.
    """

    mean: float
    low: float
    high: float
    p_value: float


class Pair(NamedTuple):
    """A treatment and what it is compared with, over one stretch of time."""

    treatment: BetaPosterior | NormalPosterior
    reference: BetaPosterior | NormalPosterior

    @property
    def mean(self) -> float:
        """The expected difference."""
        return self.treatment.mean - self.reference.mean

    @property
    def sd(self) -> float:
        """Of the difference."""
        return math.hypot(self.treatment.sd, self.reference.sd)


def change(before: Pair, lately: Pair, *, mass: float = 0.95) -> Change:
    """How the difference changed between two stretches of time with different visitors.

    The four means are independent, and their sum is taken as normal: with four parts it is closer to that than each of
    them. Asked once; whoever asks every day finds a change that is none more often than the p-value says.
    """
    mean, sd = lately.mean - before.mean, math.hypot(before.sd, lately.sd)
    half_width = -float(scipy.special.ndtri((1 - between(mass, "mass", low=0, high=1)) / 2)) * sd
    p_value = 2 * float(scipy.special.ndtr(-abs(mean) / sd))
    return Change(mean, mean - half_width, mean + half_width, p_value)
