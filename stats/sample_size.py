"""How many visitors a fixed comparison needs."""

import math

from scipy import special

from stats.checks import between


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
    unequal = -float(special.ndtri(alpha / 2)) * math.sqrt(2 * pooled * (1 - pooled))
    found = float(special.ndtri(power)) * math.sqrt(p1 * (1 - p1) + p2 * (1 - p2))
    return (max(unequal + found, 0.0) / (p1 - p2)) ** 2
