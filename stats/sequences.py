"""Intervals that hold at every look: however often they are read, all of them cover with the stated chance."""

import math

from stats.checks import between
from stats.checks import not_negative
from stats.checks import positive
from stats.checks import within


def difference(
    sum_a: float, n_a: float, sum_b: float, n_b: float, *, alpha: float = 0.05, tuned_for: float = 5000
) -> tuple[float, float]:
    """Rate of B less rate of A, for 0/1 outcomes under a fixed allocation.

    The normal-mixture confidence sequence of `difference_of_means`, cut to [-1, 1]. Without visitors in an arm it is
    (-1, 1). An arm in which nobody or everybody converted has no sample variance; there (s + 1) / (n + 2) stands in for
    the rate, so that the interval never shrinks to a point.

    Args:
        sum_a, sum_b: conversions.
        n_a, n_b: visitors.
        alpha: the chance that any interval ever misses.
        tuned_for: visitors of both arms at which the interval is narrowest for its kind.
    """
    rate_a, variance_a = _rate(sum_a, n_a, "a")
    rate_b, variance_b = _rate(sum_b, n_b, "b")
    if n_a == 0 or n_b == 0:
        return -1.0, 1.0
    low, high = difference_of_means(
        rate_a, variance_a, n_a, rate_b, variance_b, n_b, alpha=alpha, tuned_for=tuned_for
    )
    return max(low, -1.0), min(high, 1.0)


def difference_of_means(
    mean_a: float,
    variance_a: float,
    n_a: float,
    mean_b: float,
    variance_b: float,
    n_b: float,
    *,
    alpha: float = 0.05,
    tuned_for: float = 5000,
) -> tuple[float, float]:
    """Mean of B less mean of A, from the variance of one value in each arm.

    d ± √(s² · 2 (nρ² + 1) / (nρ)² · log(√(nρ² + 1) / α)) with n = n_a + n_b, s² = n · Var(d) and
    ρ = √((-2 log α + log(1 - 2 log α)) / tuned_for): the asymptotic confidence sequence of Waudby-Smith et al. (2021,
    https://arxiv.org/abs/2103.06476, version 7, equations 9 and 161). Without visitors in an arm: all numbers.
    """
    if n_a == 0 or n_b == 0:
        return -math.inf, math.inf
    middle = mean_b - mean_a
    half_width = radius(variance_a / n_a + variance_b / n_b, n_a + n_b, alpha=alpha, tuned_for=tuned_for)
    return middle - half_width, middle + half_width


def radius(variance: float, n: float, *, alpha: float = 0.05, tuned_for: float = 5000) -> float:
    """Half the width of the sequence at n visitors, for an estimate with this variance."""
    not_negative(variance, "variance")
    positive(n, "n")
    information = n * tuning(alpha=alpha, tuned_for=tuned_for)
    return math.sqrt(
        variance * 2 * (information + 1) / information * math.log(math.sqrt(information + 1) / alpha)
    )


def tuning(*, alpha: float = 0.05, tuned_for: float = 5000) -> float:
    """ρ² of the normal mixture that is tightest after `tuned_for` visitors."""
    between(alpha, "alpha", low=0, high=1)
    positive(tuned_for, "tuned_for")
    return (-2 * math.log(alpha) + math.log1p(-2 * math.log(alpha))) / tuned_for


def _rate(conversions: float, n: float, arm: str) -> tuple[float, float]:
    """Rate and variance of one outcome."""
    not_negative(n, f"n_{arm}")
    within(conversions, f"sum_{arm}", low=0, high=n)
    rate = conversions / n if n else 0.0
    assumed = rate if 0 < rate < 1 else (conversions + 1) / (n + 2)
    return rate, assumed * (1 - assumed)
