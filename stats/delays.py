"""Conversions that come late."""

import math

from stats.checks import not_negative

_SERIES_BELOW = 0.1
_TERMS = 12


def observed_fraction(mean_delay: float, duration: float) -> float:
    """The share of all conversions seen by the end of a period in which visitors arrived evenly.

    1 - (1 - e^{-x}) / x with x = duration / mean_delay, for exponential delays (Chapelle 2014,
    https://doi.org/10.1145/2623330.2623634, models delays so). 0 at the start, 1 where nothing is ever late.
    Both arguments in the same unit of time.
    """
    not_negative(mean_delay, "mean_delay")
    not_negative(duration, "duration")
    if duration == 0:
        return 0.0
    x = duration / mean_delay if mean_delay else math.inf
    if x < _SERIES_BELOW:
        return math.fsum((-1) ** (k + 1) * x**k / math.factorial(k + 1) for k in range(1, _TERMS))
    return 1 + math.expm1(-x) / x
