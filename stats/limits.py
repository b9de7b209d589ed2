"""Limits: evidence that a rate or a mean is beyond a limit, however often one looks."""

import math

import scipy

from stats.checks import between
from stats.checks import not_negative
from stats.evidence import difference_process

#: Below this a double no longer holds a tail to its last digits.
_LEAST_TAIL = 1e-290


def rate_above(successes: float, visitors: float, *, limit: float) -> float:
    """Log evidence against "the rate is at most the limit".

    The likelihood of rates above the limit, mixed by Beta(1, 1/limit - 1) cut off below it, over that of the limit
    itself: a supermartingale for every rate up to the limit (Robbins 1970; Ville 1939). With B the beta function and S
    the upper tail of the Beta distribution at the limit l, for s of n,

        E = B(a + s, b + n - s)·S(a + s, b + n - s) / (B(a, b)·S(a, b)) / (l^s·(1 - l)^(n - s)).

    Visitors who may still convert count as not having done so, which only weakens it. Raises ValueError for a limit
    that is not between 0 and 1, or more successes than visitors.
    """
    between(limit, "limit", low=0, high=1)
    failures = not_negative(visitors - not_negative(successes, "successes"), "visitors - successes")
    alpha, beta = 1.0, 1 / limit - 1
    likelihood = successes * math.log(limit) + failures * math.log1p(-limit)
    return _log_tail(alpha + successes, beta + failures, limit) - _log_tail(alpha, beta, limit) - likelihood


def rate_below(successes: float, visitors: float, *, limit: float) -> float:
    """Log evidence against "the rate is at least the limit"."""
    return rate_above(visitors - successes, visitors, limit=1 - between(limit, "limit", low=0, high=1))


def mean_above(mean: float, variance: float, visitors: float, *, limit: float) -> float:
    """Log evidence against "the mean is at most the limit", from a mean and the variance of one visitor's value."""
    if not visitors or not variance:
        return 0.0
    return difference_process(mean - limit, variance / visitors, visitors)


def _log_tail(alpha: float, beta: float, limit: float) -> float:
    """Log of the beta integral from the limit to 1."""
    tail = float(scipy.special.betaincc(alpha, beta, limit))
    if tail >= _LEAST_TAIL:
        return float(scipy.special.betaln(alpha, beta)) + math.log(tail)
    # So far beyond its peak the integrand falls at least as fast as its tangent there: it is log-concave.
    fall = (beta - 1) / (1 - limit) - (alpha - 1) / limit
    return (alpha - 1) * math.log(limit) + (beta - 1) * math.log1p(-limit) - math.log(fall)
