"""Conversions that come late: how many of them can be seen by now.

Visitors who came lately have not converted less, they have had less time. Where a share F(age) of all conversions has
come by an age, n visitors of that age tell as much of the rate as n·F(age) who have had all the time they need:
conversions / Σ F(age) is the rate (Chapelle 2014, https://doi.org/10.1145/2623330.2623634; Vernade, Cappé and Perchet
2017, "Stochastic bandit models for delayed conversions", https://arxiv.org/abs/1706.09186).
"""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray

from stats.checks import not_negative
from stats.checks import within

Array = NDArray[np.float64]

_SERIES_BELOW = 0.1
_TERMS = 12
# Below this fall of a bucket's share its curve is straight to the last digit.
#: Over a shorter span the difference of two areas has no digits left.
_SHORTEST_SPAN = 1e-7
_FLAT = 1e-6


def observed_fraction(mean_delay: float, duration: float) -> float:
    """The share of all conversions seen by the end of a period in which visitors arrived evenly.

    1 - (1 - e^{-x}) / x with x = duration / mean_delay, for exponential delays (Chapelle 2014). 0 at the start, 1 where
    nothing is ever late. Both arguments in the same unit of time.
    """
    not_negative(mean_delay, "mean_delay")
    not_negative(duration, "duration")
    if duration == 0:
        return 0.0
    x = duration / mean_delay if mean_delay else math.inf
    if x < _SERIES_BELOW:
        return math.fsum((-1) ** (k + 1) * x**k / math.factorial(k + 1) for k in range(1, _TERMS))
    return 1 + math.expm1(-x) / x


@dataclass(frozen=True)
class DelayCurve:
    """The share of a window's conversions that have come by an age.

    Ages are parts of the window, which is cut into as many buckets of equal length as there are shares; inside a bucket
    those who still wait dwindle at a constant rate, in the last one evenly.

    Attributes:
        shares: F at the end of each bucket: from 0 to 1, never falling, 1 at the end of the last.
    """

    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.shares or self.shares[-1] != 1:
            raise ValueError(f"shares end with {self.shares[-1:]}, must end with 1")
        for before, after in zip((0.0, *self.shares), self.shares, strict=False):
            within(after, "share", low=before, high=1)

    def matured(self, youngest: float, oldest: float | None = None) -> float:
        """F at an age; given two ages, its mean over visitors whose ages lie evenly between them.

        Before the exposure it is 0, after the window 1.
        """
        if oldest is None:
            return 1 - self._waiting(youngest)
        within(youngest, "youngest", low=-math.inf, high=oldest)
        if youngest >= 1:
            return 1.0
        if oldest - youngest < _SHORTEST_SPAN:
            return 1 - self._waiting((youngest + oldest) / 2)
        return 1 - (self._waited(oldest) - self._waited(youngest)) / (oldest - youngest)

    def _waiting(self, age: float) -> float:
        """1 - F(age)."""
        if not 0 < age < 1:
            return float(age <= 0)
        bucket, part = self._place(age)
        start, end = self._ends(bucket)
        return start * (end / start) ** part if end > 0 else start * (1 - part)

    def _waited(self, age: float) -> float:
        """∫ (1 - F) from age 0 on; before the exposure everybody waits, so it is the age itself."""
        if age <= 0:
            return age
        bucket, part = self._place(min(age, 1.0))
        return (self._areas[bucket] + _area(*self._ends(bucket), part)) / len(self.shares)

    @cached_property
    def _areas(self) -> list[float]:
        """∫ (1 - F) up to the beginning of each bucket, in buckets."""
        return [0.0, *accumulate(_area(*self._ends(bucket), 1.0) for bucket in range(len(self.shares)))]

    def _place(self, age: float) -> tuple[int, float]:
        """The bucket of an age, and how far into it."""
        scaled = age * len(self.shares)
        bucket = min(int(scaled), len(self.shares) - 1)
        return bucket, scaled - bucket

    def _ends(self, bucket: int) -> tuple[float, float]:
        """1 - F at both ends of a bucket."""
        return (1 - self.shares[bucket - 1] if bucket else 1.0), 1 - self.shares[bucket]


def delay_curve(counts: ArrayLike, seen: ArrayLike) -> DelayCurve:
    """The delay curve from conversions of cohorts of which the young ones have been seen for a part of the window only.

    Young cohorts show quick conversions alone, so their plain shares would say that nothing is ever late. Counted
    backwards they are at no disadvantage: of those who converted by the end of bucket b in cohorts seen that far, the
    share that did so in b itself is d_b / R_b, and F(b - 1) = F(b)·(1 - d_b / R_b) from F = 1 at the end of the window
    (the product limit for truncated times in reverse: Lynden-Bell 1971, https://doi.org/10.1093/mnras/155.1.95;
    Lagakos, Barraj and De Gruttola 1988, https://doi.org/10.1093/biomet/75.3.515). With matured cohorts only these are
    their plain shares.

    Args:
        counts: conversions by cohort and bucket; shape (cohorts, buckets).
        seen: for each cohort how many of the buckets all of its visitors have lived through; later ones are left out.

    Raises ValueError where no cohort has been seen to the end of its window with a conversion: the end of the curve is
    then unknown.
    """
    table = np.atleast_2d(np.asarray(counts, dtype=np.float64))
    buckets = table.shape[1]
    within(float(table.min(initial=0)), "counts", low=0, high=math.inf)
    lived = np.arange(buckets) < np.asarray(seen)[:, None]
    if matured_conversions(table, seen) == 0:
        raise ValueError("no matured cohort has a conversion, must have one to say how long they take")
    fresh = np.where(lived, table, 0.0)
    known = np.where(lived, np.cumsum(fresh, axis=1), 0.0).sum(axis=0)
    # Where nobody had converted by the end of a bucket, nobody did in it.
    kept = np.clip(1 - fresh.sum(axis=0) / np.where(known > 0, known, 1.0), 0, 1)
    shares = np.append(np.cumprod(kept[:0:-1])[::-1], 1.0)
    return DelayCurve(tuple(shares.tolist()))


def matured_conversions(counts: ArrayLike, seen: ArrayLike) -> float:
    """The conversions of cohorts that have been seen to the end of their window."""
    table = np.atleast_2d(np.asarray(counts, dtype=np.float64))
    return float(table[np.asarray(seen) >= table.shape[1]].sum())


def information(rate: float, matured: float) -> float:
    """What one effective visitor tells of a rate when this share of the conversions can be seen; at most 1.

    n visitors give a variance of p (1 - pF) / (nF), and n·F matured ones p (1 - p) / (nF): the ratio (1 - p) / (1 - pF)
    is near 1 for a small rate.
    """
    within(rate, "rate", low=0, high=1)
    within(matured, "matured", low=0, high=1)
    return (1 - rate) / (1 - rate * matured) if rate * matured < 1 else 1.0


def _area(start: float, end: float, part: float) -> float:
    """∫ of a bucket's waiting share up to a part of it, from `start` to `end` at its whole length 1."""
    if end <= 0:
        return start * (part - part * part / 2)
    fall = math.log(start / end)
    if fall < _FLAT:
        return start * part - (start - end) * part * part / 2
    return start * -math.expm1(-fall * part) / fall
