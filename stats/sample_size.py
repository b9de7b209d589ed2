"""How many visitors a fixed comparison needs."""

import math

import scipy

from stats.checks import between
from stats.checks import positive


def two_proportions(p1: float, p2: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Visitors per arm for a two-sided test of two rates; not rounded; infinite for equal rates.

    n = (z_{1-α/2} √(2 p̄ (1 - p̄)) + z_{power} √(p1 (1 - p1) + p2 (1 - p2)))² / (p1 - p2)², p̄ the mean of the rates
    (Fleiss 1981, "Statistical methods for rates and proportions", section 3.2; R's power.prop.test with strict = FALSE:
    rejecting on the wrong side does not count as power).
    """
    between(p1, "p1", low=0, high=1)
    between(p2, "p2", low=0, high=1)
    between(alpha, "alpha", low=0, high=1)
    between(power, "power", low=0, high=1)
    if p1 == p2:
        return math.inf
    pooled = (p1 + p2) / 2
    unequal = -float(scipy.special.ndtri(alpha / 2)) * math.sqrt(2 * pooled * (1 - pooled))
    found = float(scipy.special.ndtri(power)) * math.sqrt(p1 * (1 - p1) + p2 * (1 - p2))
    return (max(unequal + found, 0.0) / (p1 - p2)) ** 2


def detectable_rate(p1: float, visitors: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest rate above p1 that so many visitors per arm can tell from it: the inverse of `two_proportions`.

    1 where even that could not be told.
    """
    between(p1, "p1", low=0, high=1)
    positive(visitors, "visitors")
    highest = 1 - 1e-12

    def excess(p2: float) -> float:
        return two_proportions(p1, p2, alpha=alpha, power=power) - visitors

    if p1 >= highest or excess(highest) > 0:
        return 1.0
    return float(scipy.optimize.brentq(excess, p1 + (1 - p1) * 1e-9, highest, xtol=1e-14))
