"""How much higher one arm's mean is than another's: interval and probability, exact by quadrature.

P(A > B + d) = ∫ f_B(y) S_A(y + d) dy and P(A > ρB) = ∫ f_B(y) S_A(ρy) dy, with d >= 0 and ρ >= 1 (below that the arms
change places). The variable y runs over the part of B's range where A can still be higher, stretched by a logistic or
exponential map, so that the integrand is smooth however close the arms are to 0, to 1 or to each other.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace
from functools import lru_cache

import scipy

from stats.checks import between
from stats.exceedance import Exceedance
from stats.exceedance import Excess
from stats.exceedance import beta_by_difference
from stats.exceedance import beta_by_ratio
from stats.exceedance import gamma_by_difference
from stats.posteriors import BetaPosterior
from stats.posteriors import GammaPosterior
from stats.posteriors import NormalPosterior
from stats.posteriors import Posterior

_STEPS = 100
# Newton's error squares at each step: a last one from a millionth of a standard score leaves 1e-12.
_SMALL_GAP = 1e-6
_NARROW = 1e-14
_LONGEST_STEP = 8.0
# Normal scores beyond this are not known well enough to be followed.
_FAR = 7.0


@dataclass(frozen=True)
class Uplift:
    """Treatment over reference.

    Attributes:
        mean: the expected difference, or the expected ratio less 1 (infinite where that has no expectation: a reference
            with alpha or shape of at most 1; for Normal arms the ratio of the means less 1).
        low, high: the equal-tailed interval of that quantity.
        probability: P(treatment > reference).
    """

    mean: float
    low: float
    high: float
    probability: float


# A report asks for a thousand, nearly all of them once more when it is read again.
@lru_cache(maxsize=1 << 14)
def uplift(treatment: Posterior, reference: Posterior, *, relative: bool = False, mass: float = 0.95) -> Uplift:
    """The difference treatment - reference, or with `relative` treatment / reference - 1.

    Intervals are quantiles of the exact distribution, to about 1e-11 of its width. The relative interval of Normal arms
    is Fieller's (1954, https://doi.org/10.1111/j.2517-6161.1954.tb00159.x), and infinite where the reference cannot be
    told from 0. Raises ValueError unless both posteriors are of one kind.
    """
    tail = (1 - between(mass, "mass", low=0, high=1)) / 2
    kinds = type(treatment), type(reference)
    if kinds not in _METHODS:
        names = " and ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"treatment and reference are {names}, must both be Beta, both Gamma or both Normal")
    absolute, ratio = _METHODS[kinds]
    result = (ratio if relative else absolute)(treatment, reference, tail)
    return replace(result, probability=0.5) if treatment == reference else result


def _beta_difference(treatment: BetaPosterior, reference: BetaPosterior, tail: float) -> Uplift:
    directions = beta_by_difference(treatment, reference), beta_by_difference(reference, treatment)
    mean = treatment.mean - reference.mean
    return Uplift(mean, *_quantiles(*directions, tail, mean))


def _beta_ratio(treatment: BetaPosterior, reference: BetaPosterior, tail: float) -> Uplift:
    directions = beta_by_ratio(treatment, reference), beta_by_ratio(reference, treatment)
    low, high, probability = _quantiles(*directions, tail, treatment.log_mean - reference.log_mean)
    inverse = (reference.alpha + reference.beta - 1) / (reference.alpha - 1) if reference.alpha > 1 else math.inf
    least, most = float(scipy.special.expm1(low)), float(scipy.special.expm1(high))
    return Uplift(treatment.mean * inverse - 1, least, most, probability)


def _gamma_difference(treatment: GammaPosterior, reference: GammaPosterior, tail: float) -> Uplift:
    directions = gamma_by_difference(treatment, reference), gamma_by_difference(reference, treatment)
    mean = treatment.mean - reference.mean
    return Uplift(mean, *_quantiles(*directions, tail, mean))


def _gamma_ratio(treatment: GammaPosterior, reference: GammaPosterior, tail: float) -> Uplift:
    """If T ~ Gamma(a, 1) and R ~ Gamma(b, 1) then T / (T + R) ~ Beta(a, b), and R / (T + R) ~ Beta(b, a)."""
    own, rest = BetaPosterior(treatment.shape, reference.shape), BetaPosterior(reference.shape, treatment.shape)
    mass = 1 - 2 * tail
    odds = [
        share / remainder * reference.rate / treatment.rate if remainder else math.inf
        for share, remainder in zip(own.credible_interval(mass), reversed(rest.credible_interval(mass)), strict=True)
    ]
    mean = treatment.mean * reference.rate / (reference.shape - 1) - 1 if reference.shape > 1 else math.inf
    probability = rest.cdf(reference.rate / (treatment.rate + reference.rate))
    return Uplift(mean, odds[0] - 1, odds[1] - 1, probability)


def _normal_difference(treatment: Posterior, reference: Posterior, tail: float) -> Uplift:
    mean = treatment.mean - reference.mean
    sd = math.hypot(treatment.sd, reference.sd)
    half_width = -float(scipy.special.ndtri(tail)) * sd
    return Uplift(mean, mean - half_width, mean + half_width, float(scipy.special.ndtr(mean / sd)))


def _normal_ratio(treatment: NormalPosterior, reference: NormalPosterior, tail: float) -> Uplift:
    probability = _normal_difference(treatment, reference, tail).probability
    quantile = float(scipy.special.ndtri(tail))
    mean = treatment.mean / reference.mean - 1 if reference.mean else math.inf
    leading = reference.mean**2 - (quantile * reference.sd) ** 2
    if leading <= 0:
        return Uplift(mean, -math.inf, math.inf, probability)
    middle = treatment.mean * reference.mean
    spread = middle**2 - leading * (treatment.mean**2 - (quantile * treatment.sd) ** 2)
    root = math.sqrt(max(spread, 0.0))
    return Uplift(mean, (middle - root) / leading - 1, (middle + root) / leading - 1, probability)


def _quantiles(above: Exceedance, below: Exceedance, tail: float, middle: float) -> tuple[float, float, float]:
    """The two quantiles and P(treatment > reference), by treatment over reference and the reverse, about a middle."""
    probability = above.at(0.0).chance
    half_width = -float(scipy.special.ndtri(tail)) * above.spread
    if 1 - probability > tail:
        low = -_solve(below, tail, half_width - middle)
    else:
        low = _solve(above, 1 - tail, middle - half_width)
    if probability > tail:
        high = _solve(above, tail, middle + half_width)
    else:
        high = -_solve(below, 1 - tail, -middle - half_width)
    return low, high, probability


def _inside(start: float, exceedance: Exceedance) -> float:
    """A first guess within the margins that are possible."""
    if start <= 0:
        return min(exceedance.spread, exceedance.limit / 2)
    return start if start < exceedance.limit else exceedance.limit - exceedance.spread


def _solve(exceedance: Exceedance, chance: float, start: float) -> float:
    """Where the exceedance falls to this chance: Newton's method on normal scores, inside a bracket."""
    low, high = 0.0, exceedance.limit
    score = float(scipy.special.ndtri(chance))
    farthest = _LONGEST_STEP * exceedance.spread
    point = _inside(start, exceedance)
    for _ in range(_STEPS):
        here = exceedance.at(point)
        low, high = (point, high) if here.chance > chance else (low, point)
        gap = float(scipy.special.ndtri(here.chance)) - score
        step = _newton(here, gap, farthest)
        if abs(gap) <= _SMALL_GAP or high - low <= _NARROW * low:
            return min(max(point + step, low), high)
        inside = low < point + step < high
        point = point + step if inside else (low + min(high, 2 * low + farthest)) / 2
    return point


def _newton(here: Excess, gap: float, farthest: float) -> float:
    """The step to where the score should be right; the longest one where the chance says too little to tell."""
    own = float(scipy.special.ndtri(here.chance))
    if not (abs(own) < _FAR and here.density > 0):
        return math.copysign(farthest, gap)
    step = gap * math.exp(-0.5 * own * own) / math.sqrt(2 * math.pi) / here.density
    return max(-farthest, min(step, farthest))


_Method = Callable[..., Uplift]
_METHODS: dict[tuple[type, type], tuple[_Method, _Method]] = {
    (BetaPosterior, BetaPosterior): (_beta_difference, _beta_ratio),
    (GammaPosterior, GammaPosterior): (_gamma_difference, _gamma_ratio),
    (NormalPosterior, NormalPosterior): (_normal_difference, _normal_ratio),
}
