"""The smallest effect that a call by evidence finds with a given chance, looking once at the end of an even split."""

import math

import scipy

from stats.checks import between
from stats.checks import not_negative
from stats.checks import positive
from stats.evidence import difference_process
from stats.evidence import evidence_for_gain

_LARGEST_RATIO = 1000.0
_STEPS = 24


def detectable_ratio(conversions_mass: float, share: float, *, needed: float, power: float = 0.8) -> float:
    """The smallest ratio of two rates at which `evidence_for_gain` reaches what is needed; infinite where none does.

    Of N conversions in one stratum the tailored arm has t ~ Binomial(N, e r / (e r + 1 - e)), N taken as expected.

    Args:
        conversions_mass: expected of the mass arm.
        share: e, propensity of tailored / (propensity of tailored + that of mass).
        needed: the log evidence of a call.
        power: the chance to reach it.
    """
    not_negative(conversions_mass, "conversions_mass")
    between(share, "share", low=0, high=1)
    between(power, "power", low=0, high=1)
    low, high = 0.0, math.log(_LARGEST_RATIO)
    if _chance(conversions_mass, share, math.exp(high), needed) < power:
        return math.inf
    for _ in range(_STEPS):
        middle = (low + high) / 2
        reached = _chance(conversions_mass, share, math.exp(middle), needed) >= power
        low, high = (low, middle) if reached else (middle, high)
    return math.exp(high)


def _chance(conversions_mass: float, share: float, ratio: float, needed: float) -> float:
    odds = share / (1 - share) * ratio
    conversions = round(conversions_mass * (1 + odds))
    enough = _enough(conversions, share, needed)
    return float(scipy.special.bdtrc(enough - 1, conversions, odds / (1 + odds))) if enough <= conversions else 0.0


def _enough(conversions: int, share: float, needed: float) -> int:
    """The fewest of the conversions that must be the tailored arm's; one more than there are where all are too few."""
    low, high = math.floor(conversions * share), conversions + 1
    while high - low > 1:
        middle = (low + high) // 2
        reached = evidence_for_gain(middle, conversions - middle, share) >= needed
        low, high = (low, middle) if reached else (middle, high)
    return high


def detectable_difference(sd: float, visitors: float, *, needed: float, power: float = 0.8) -> float:
    """The same for means: the smallest difference that `difference_process` tells from 0.

    Args:
        sd: of the estimated difference.
        visitors: that it speaks for, over all arms.
    """
    positive(sd, "sd")
    positive(visitors, "visitors")
    low, high = 0.0, 1.0
    while difference_process(high, 1.0, visitors) < needed:
        low, high = high, 2 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        reached = difference_process(middle, 1.0, visitors) >= needed
        low, high = (low, middle) if reached else (middle, high)
    return (high + float(scipy.special.ndtri(between(power, "power", low=0, high=1)))) * sd
