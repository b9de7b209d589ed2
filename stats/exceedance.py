"""The chance that one arm's mean exceeds another's by a given difference or ratio.

With A the arm above and B the arm below, the integral over B's values y runs in a variable s that is B's own logit (or
log) when nothing is to be exceeded. A difference d or ratio ρ bends it, so that it still ends where A can no longer be
higher; A's and B's own logits t are then smooth functions of s.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
import scipy

from stats.densities import CORE_SCALE
from stats.densities import BetaDensities
from stats.densities import Densities
from stats.densities import GammaDensities
from stats.posteriors import BetaPosterior
from stats.posteriors import GammaPosterior
from stats.posteriors import beta_log_density
from stats.posteriors import gamma_log_density
from stats.quadrature import panels

Array = NDArray[np.float64]
Stretch = tuple[float, float, float]

# Beyond these distances from the bend of a map its curvature is below 3e-4 and 1e-17 of a panel.
_BEND = 8.0
_FLAT = 40.0
_LARGE_EXPONENT = 600.0


class Excess(NamedTuple):
    """At one margin.

    Attributes:
        chance: P(A exceeds B by the margin).
        density: how fast the chance falls as the margin grows.
    """

    chance: float
    density: float


class Link(NamedTuple):
    """How the two arms' own axes hang on the common variable s at one margin.

    Attributes:
        above, below: s -> t of A, of B.
        log_rate_above, log_rate_below: logarithms of their derivatives, at most 0; A's falls below `bend_above`, B's
            above `bend_below`.
        from_above, from_below: t -> s, -inf or inf outside the range.
        log_weight: t of A -> logarithm of what its density counts for in the fall of the chance, beside B's.
    """

    above: Callable[[Array], Array]
    below: Callable[[Array], Array]
    log_rate_above: Callable[[Array], Array]
    log_rate_below: Callable[[Array], Array]
    from_above: Callable[[float], float]
    from_below: Callable[[float], float]
    bend_above: float
    bend_below: float
    log_weight: Callable[[Array], Array]


@dataclass(frozen=True)
class Exceedance:
    """One arm over another, at any margin from 0 up to `limit`.

    Attributes:
        limit: the largest margin possible (1 for a difference of rates, otherwise infinite).
        spread: roughly the standard deviation of the margin.
        link: the map of the variable, given the margin.
        windows: the stretches of A's and of B's axis where they live, with their scales.
        log_density_above, log_density_below: of t.
        survival_above: t -> the chance that A's t is higher.
    """

    limit: float
    spread: float
    link: Callable[[float], Link]
    windows: tuple[list[Stretch], list[Stretch]]
    log_density_above: Callable[[Array], Array]
    log_density_below: Callable[[Array], Array]
    survival_above: Callable[[float], float]

    def at(self, margin: float) -> Excess:
        """Chance and density at this margin, by quadrature."""
        link = self.link(margin)
        stretches = _stretches(link, *self.windows)
        if not stretches:
            return Excess(0.0, 0.0)
        grid = panels(stretches)
        nodes, end = grid.nodes, grid.middles[-1] + grid.halves[-1]
        above, below = link.above(nodes), link.below(nodes)
        log_mass = self.log_density_below(below) + link.log_rate_below(nodes)
        log_density = self.log_density_above(above)
        survival = grid.cumulate(np.exp(log_density + link.log_rate_above(nodes))[None, :]).beyond[0]
        survival += self.survival_above(float(link.above(end)))
        falling = np.exp(np.minimum(log_mass + log_density + link.log_weight(above), _LARGE_EXPONENT))
        chance = float(grid.weights @ (np.exp(log_mass) * survival))
        return Excess(min(chance, 1.0), float(grid.weights @ falling))


def beta_by_difference(above: BetaPosterior, below: BetaPosterior) -> Exceedance:
    """P(A > B + d) for two rates."""
    return _of_rates(above, below, link=_rate_difference, limit=1.0, spread=math.hypot(above.sd, below.sd))


def beta_by_ratio(above: BetaPosterior, below: BetaPosterior) -> Exceedance:
    """P(A > ρB) for two rates; the margin is log ρ."""
    return _of_rates(above, below, link=_rate_ratio, limit=math.inf, spread=math.hypot(above.log_sd, below.log_sd))


def gamma_by_difference(above: GammaPosterior, below: GammaPosterior) -> Exceedance:
    """P(A > B + d) for two positive rates without an upper end."""
    return Exceedance(
        math.inf,
        math.hypot(above.sd, below.sd),
        _difference,
        _windows(GammaDensities([above]), GammaDensities([below])),
        lambda t: gamma_log_density(above.shape, above.rate, t),
        lambda t: gamma_log_density(below.shape, below.rate, t),
        lambda t: float(scipy.special.gammaincc(above.shape, above.rate * math.exp(t))),
    )


def _of_rates(
    above: BetaPosterior, below: BetaPosterior, *, link: Callable[[float], Link], limit: float, spread: float
) -> Exceedance:
    return Exceedance(
        limit,
        spread,
        link,
        _windows(BetaDensities([above]), BetaDensities([below])),
        lambda t: beta_log_density(above.alpha, above.beta, t),
        lambda t: beta_log_density(below.alpha, below.beta, t),
        lambda t: _beta_survival(above, t),
    )


def _beta_survival(posterior: BetaPosterior, t: float) -> float:
    """Taken from the nearer end of (0, 1), where the rate keeps its digits."""
    if t < 0:
        return float(scipy.special.betaincc(posterior.alpha, posterior.beta, scipy.special.expit(t)))
    return float(scipy.special.betainc(posterior.beta, posterior.alpha, scipy.special.expit(-t)))


def _rate_difference(d: float) -> Link:
    """y = (1 - d)·expit s, x = y + d: odds of x are (d + e^s)/(1 - d), odds of y are (1 - d) e^s/(1 + d e^s)."""
    log_rest = math.log1p(-d)
    log_d = math.log(d) if d else -math.inf
    return Link(
        lambda s: np.logaddexp(log_d, s) - log_rest,
        lambda s: s + log_rest - np.logaddexp(0, log_d + s),
        lambda s: scipy.special.log_expit(s - log_d),
        lambda s: scipy.special.log_expit(-log_d - s),
        lambda t: _log_difference(t + log_rest, log_d),
        lambda t: t - _log_difference(log_rest, log_d + t),
        log_d,
        -log_d,
        lambda t: -scipy.special.log_expit(t) - scipy.special.log_expit(-t),
    )


def _rate_ratio(log_ratio: float) -> Link:
    """y = expit(s)/ρ, x = expit s: odds of y are e^s/(ρ + (ρ - 1) e^s)."""
    log_d = math.log(-math.expm1(-log_ratio)) if log_ratio else -math.inf
    return Link(
        lambda s: s,
        lambda s: s - log_ratio - np.logaddexp(0, log_d + s),
        np.zeros_like,
        lambda s: scipy.special.log_expit(-log_d - s),
        lambda t: t,
        lambda t: t - _log_difference(-log_ratio, log_d + t),
        -math.inf,
        -log_d,
        lambda t: -scipy.special.log_expit(-t),
    )


def _difference(d: float) -> Link:
    """y = e^s, x = d + e^s."""
    log_d = math.log(d) if d else -math.inf
    return Link(
        lambda s: np.logaddexp(log_d, s),
        lambda s: s,
        lambda s: scipy.special.log_expit(s - log_d),
        np.zeros_like,
        lambda t: _log_difference(t, log_d),
        lambda t: t,
        log_d,
        math.inf,
        lambda t: -t,
    )


def _log_difference(larger: float, smaller: float) -> float:
    """log(e^larger - e^smaller); -inf where that is not positive."""
    if smaller >= larger:
        return -math.inf
    return larger + math.log(-math.expm1(smaller - larger))


def _windows(above: Densities, below: Densities) -> tuple[list[Stretch], list[Stretch]]:
    return _absolute(above), _absolute(below)


def _absolute(family: Densities) -> list[Stretch]:
    ends = [(float(window.lower[0]), float(window.upper[0]), float(window.scale[0])) for window in family.windows()]
    return [(family.origin + lower, family.origin + upper, scale) for lower, upper, scale in ends if upper > lower]


def _stretches(link: Link, above: list[Stretch], below: list[Stretch]) -> list[Stretch]:
    """Where the integrand lives in s, and how finely it varies there; nothing where the chance is 0."""
    highs = [_above_in_s(link, window) for window in above]
    lows = [_below_in_s(link, window) for window in below]
    top = max(upper for _, upper, _ in highs)
    lowest = min(lower for lower, _, _ in lows)
    last = max(lowest, link.bend_below) + _BEND + _FLAT
    highest = min(top, link.from_below(max(upper for _, upper, _ in below)))
    bends = [
        (min(top, link.bend_above) - _BEND - _FLAT, link.bend_above + _FLAT, CORE_SCALE),
        (link.bend_below - _FLAT, last, CORE_SCALE),
    ]
    whole = (lowest, highest, max(highest - lowest, CORE_SCALE))
    wanted = [*highs, *lows, *bends, whole]
    clipped = [(max(lower, lowest), min(upper, highest), scale) for lower, upper, scale in wanted]
    return [stretch for stretch in clipped if stretch[1] > stretch[0]]


def _above_in_s(link: Link, stretch: Stretch) -> Stretch:
    """A's stretch; far below the bend A's t no longer moves, and the rest is left to the bend."""
    lower, upper = link.from_above(stretch[0]), link.from_above(stretch[1])
    lower = max(lower, min(upper, link.bend_above) - _BEND)
    return lower, upper, _slowed(stretch[2], link.log_rate_above, upper)


def _below_in_s(link: Link, stretch: Stretch) -> Stretch:
    """B's stretch; far above the bend B's t no longer moves."""
    lower, upper = link.from_below(stretch[0]), link.from_below(stretch[1])
    upper = min(upper, max(lower, link.bend_below) + _BEND)
    return lower, upper, _slowed(stretch[2], link.log_rate_below, lower)


def _slowed(scale: float, log_rate: Callable[[Array], Array], s: float) -> float:
    """The scale in s where t moves fastest."""
    return scale * math.exp(min(-float(log_rate(np.array(s))), _LARGE_EXPONENT / 2))
