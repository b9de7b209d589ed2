"""How much higher one arm's mean is than another's: interval and probability, exact by quadrature.

P(A > B + d) = ∫ f_B(y) S_A(y + d) dy and P(A > ρB) = ∫ f_B(y) S_A(ρy) dy, with d >= 0 and ρ >= 1 (below that the arms
change places). The variable y runs over the part of B's range where A can still be higher, stretched by a logistic or
exponential map, so that the integrand is smooth however close the arms are to 0, to 1 or to each other.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from scipy import special

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
    method = ratio if relative else absolute
    return method(treatment, reference, tail)


def _beta_difference(treatment: BetaPosterior, reference: BetaPosterior, tail: float) -> Uplift:
    start = _normal_difference(treatment, reference, tail)
    low, high, probability = _quantiles(
        beta_by_difference(treatment, reference), beta_by_difference(reference, treatment), tail, (start.low, start.high)
    )
    return Uplift(start.mean, low, high, probability)


def _beta_ratio(treatment: BetaPosterior, reference: BetaPosterior, tail: float) -> Uplift:
    inverse = (reference.alpha + reference.beta - 1) / (reference.alpha - 1) if reference.alpha > 1 else math.inf
    half_width = -float(special.ndtri(tail)) * math.hypot(treatment.log_sd, reference.log_sd)
    middle = treatment.log_mean - reference.log_mean
    low, high, probability = _quantiles(
        beta_by_ratio(treatment, reference),
        beta_by_ratio(reference, treatment),
        tail,
        (middle - half_width, middle + half_width),
    )
    return Uplift(treatment.mean * inverse - 1, float(special.expm1(low)), float(special.expm1(high)), probability)


def _gamma_difference(treatment: GammaPosterior, reference: GammaPosterior, tail: float) -> Uplift:
    start = _normal_difference(treatment, reference, tail)
    low, high, probability = _quantiles(
        gamma_by_difference(treatment, reference),
        gamma_by_difference(reference, treatment),
        tail,
        (start.low, start.high),
    )
    return Uplift(start.mean, low, high, probability)


def _gamma_ratio(treatment: GammaPosterior, reference: GammaPosterior, tail: float) -> Uplift:
    """If T ~ Gamma(a, 1) and R ~ Gamma(b, 1) then T / (T + R) ~ Beta(a, b)."""
    scale = reference.rate / treatment.rate
    share = treatment.shape, reference.shape
    low = special.betaincinv(*share, tail) / special.betainccinv(*share[::-1], tail)
    high = special.betainccinv(*share, tail) / special.betaincinv(*share[::-1], tail)
    mean = treatment.mean * reference.rate / (reference.shape - 1) - 1 if reference.shape > 1 else math.inf
    probability = special.betaincc(*share, treatment.rate / (treatment.rate + reference.rate))
    return Uplift(mean, float(low) * scale - 1, float(high) * scale - 1, float(probability))


def _normal_difference(treatment: Posterior, reference: Posterior, tail: float) -> Uplift:
    mean = treatment.mean - reference.mean
    sd = math.hypot(treatment.sd, reference.sd)
    half_width = -float(special.ndtri(tail)) * sd
    return Uplift(mean, mean - half_width, mean + half_width, float(special.ndtr(mean / sd)))


def _normal_ratio(treatment: NormalPosterior, reference: NormalPosterior, tail: float) -> Uplift:
    probability = _normal_difference(treatment, reference, tail).probability
    quantile = float(special.ndtri(tail))
    mean = treatment.mean / reference.mean - 1 if reference.mean else math.inf
    leading = reference.mean**2 - (quantile * reference.sd) ** 2
    if leading <= 0:
        return Uplift(mean, -math.inf, math.inf, probability)
    middle = treatment.mean * reference.mean
    spread = middle**2 - leading * (treatment.mean**2 - (quantile * treatment.sd) ** 2)
    root = math.sqrt(max(spread, 0.0))
    return Uplift(mean, (middle - root) / leading - 1, (middle + root) / leading - 1, probability)


def _quantiles(
    above: Exceedance, below: Exceedance, tail: float, start: tuple[float, float]
) -> tuple[float, float, float]:
    """The two quantiles and P(treatment > reference); `above` measures treatment over reference, `below` the reverse."""
    probability = above.at(0.0).chance
    if 1 - probability > tail:
        low = -_solve(below, tail, _inside(-start[0], below))
    else:
        low = _solve(above, 1 - tail, _inside(start[0], above))
    if probability > tail:
        high = _solve(above, tail, _inside(start[1], above))
    else:
        high = -_solve(below, 1 - tail, _inside(-start[1], below))
    return low, high, probability


def _inside(start: float, exceedance: Exceedance) -> float:
    """A first guess within the margins that are possible."""
    if start <= 0:
        return min(exceedance.spread, exceedance.limit / 2)
    return start if start < exceedance.limit else exceedance.limit - exceedance.spread


def _solve(exceedance: Exceedance, chance: float, start: float) -> float:
    """Where the exceedance falls to this chance: Newton's method on normal scores, inside a bracket."""
    low, high = 0.0, exceedance.limit
    score = float(special.ndtri(chance))
    farthest = _LONGEST_STEP * exceedance.spread
    point = start
    for _ in range(_STEPS):
        here = exceedance.at(point)
        low, high = (point, high) if here.chance > chance else (low, point)
        gap = float(special.ndtri(here.chance)) - score
        step = _newton(here, gap, farthest)
        if abs(gap) <= _SMALL_GAP or high - low <= _NARROW * low:
            return min(max(point + step, low), high)
        inside = low < point + step < high
        point = point + step if inside else (low + min(high, 2 * low + farthest)) / 2
    return point


def _newton(here: Excess, gap: float, farthest: float) -> float:
    """The step to where the score should be right; the longest one where the chance says too little to tell."""
    own = float(special.ndtri(here.chance))
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
