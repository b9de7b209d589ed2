"""Densities of many posteriors at once, each on the axis where it is smooth.

A Beta density is followed in t = logit x, a Gamma density in t = log x, a Normal density in t = x. There all three are
log-concave, and quadrature with panels of about one standard deviation finds every digit, from no visitors to 10^9.
An exponent is the log density less its value at the mode, written so that nothing large cancels (deviance form,
Loader 2000, "Fast and accurate computation of binomial probabilities").
"""

from collections.abc import Callable
from collections.abc import Sequence
from typing import NamedTuple
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
import scipy

from stats.posteriors import BetaPosterior
from stats.posteriors import GammaPosterior
from stats.posteriors import NormalPosterior
from stats.posteriors import Posterior

Array = NDArray[np.float64]

# A density counts as zero where it is below exp(-REACH) of its mode: 11 standard deviations of a Normal.
REACH = 64.0
# No feature of a density in logit or log is narrower than this once its counts are below one.
CORE_SCALE = 1.25
_CORE_MARGIN = 40.0
_HEAVY = 0.8
_LARGE_EXPONENT = 700.0


class Window(NamedTuple):
    """A stretch of the axis and how finely it must be cut there; arrays, one entry per posterior.

    Attributes:
        lower, upper: the ends, as offsets from the origin; upper <= lower where the window is empty.
        scale: the smallest length over which the density changes by its own size.
    """

    lower: Array
    upper: Array
    scale: Array


class Densities(Protocol):
    """What ranking needs of a family; positions are offsets from `origin`, which keeps narrow densities exact."""

    origin: float
    means: Array

    def windows(self) -> list[Window]:
        """Where each density lives, and how finely it varies there."""

    def exponents(self, positions: Array) -> Array:
        """Log density less its value at the mode; shape (posteriors, positions)."""

    def slopes(self, positions: Array) -> Array:
        """dx/dt at the positions."""


class BetaDensities:
    """Beta densities on the axis t = logit x."""

    def __init__(self, posteriors: Sequence[BetaPosterior]) -> None:
        alpha = np.array([posterior.alpha for posterior in posteriors], dtype=np.float64)
        beta = np.array([posterior.beta for posterior in posteriors], dtype=np.float64)
        highest = int(np.argmax(np.log(alpha) - np.log(beta)))
        self.origin = float(np.log(alpha[highest]) - np.log(beta[highest]))
        self.means = alpha / (alpha + beta)
        self._alpha = alpha
        self._beta = beta
        # Ratios to one arm keep the distance between two rates of 10^9 visitors to the last digit.
        self._offsets = np.log(alpha / alpha[highest]) - np.log(beta / beta[highest])
        # Seen from its rarer outcome a density has no large terms that cancel.
        self._side = np.where(alpha <= beta, 1.0, -1.0)
        self._rarer = np.minimum(alpha, beta)

    def windows(self) -> list[Window]:
        """See `Densities`."""
        alpha, beta = self._alpha, self._beta
        curvature = alpha * (beta / (alpha + beta))
        lower = self._offsets - _reach(*_falls(beta, alpha), curvature)
        upper = self._offsets + _reach(*_falls(alpha, beta), curvature)
        core_lower = _core(lower, self._offsets - _CORE_MARGIN + np.minimum(np.log(beta), 0.0), alpha)
        core_upper = -_core(-upper, -self._offsets - _CORE_MARGIN + np.minimum(np.log(alpha), 0.0), beta)
        scale = np.minimum(1 / np.sqrt(curvature), CORE_SCALE)
        return _parts(lower, core_lower, core_upper, upper, scales=(1 / alpha, scale, 1 / beta))

    def exponents(self, positions: Array) -> Array:
        """See `Densities`."""
        distance = self._side[:, None] * (positions - self._offsets[:, None])
        total = (self._alpha + self._beta)[:, None]
        exponents: Array = self._rarer[:, None] * distance - total * _log_growth(self._rarer[:, None] / total, distance)
        return exponents

    def slopes(self, positions: Array) -> Array:
        """See `Densities`."""
        t = self.origin + positions
        return np.asarray(scipy.special.expit(t) * scipy.special.expit(-t))


class GammaDensities:
    """Gamma densities on the axis t = log x."""

    def __init__(self, posteriors: Sequence[GammaPosterior]) -> None:
        shape = np.array([posterior.shape for posterior in posteriors], dtype=np.float64)
        rate = np.array([posterior.rate for posterior in posteriors], dtype=np.float64)
        highest = int(np.argmax(np.log(shape) - np.log(rate)))
        self.origin = float(np.log(shape[highest]) - np.log(rate[highest]))
        self.means = shape / rate
        self._shape = shape
        self._offsets = np.log(shape / shape[highest]) - np.log(rate / rate[highest])

    def windows(self) -> list[Window]:
        """See `Densities`."""
        shape = self._shape
        lower = self._offsets - _reach(lambda d: shape * (-d - np.expm1(-d)), lambda d: shape * np.expm1(-d), shape)
        upper = self._offsets + _reach(lambda d: shape * (d - np.expm1(d)), lambda d: -shape * np.expm1(d), shape)
        core_lower = _core(lower, self._offsets - _CORE_MARGIN, shape)
        scale = np.minimum(1 / np.sqrt(shape), CORE_SCALE)
        return _parts(lower, core_lower, upper, upper, scales=(1 / shape, scale, scale))

    def exponents(self, positions: Array) -> Array:
        """See `Densities`."""
        distance = np.minimum(positions - self._offsets[:, None], _LARGE_EXPONENT)
        exponents: Array = self._shape[:, None] * (distance - np.expm1(distance))
        return exponents

    def slopes(self, positions: Array) -> Array:
        """See `Densities`."""
        slopes: Array = np.exp(self.origin + positions)
        return slopes


class NormalDensities:
    """Normal densities on the axis t = x."""

    def __init__(self, posteriors: Sequence[NormalPosterior]) -> None:
        self.means = np.array([posterior.mean for posterior in posteriors], dtype=np.float64)
        self.origin = float(self.means.max())
        self._offsets = self.means - self.origin
        self._sds = np.array([posterior.sd for posterior in posteriors], dtype=np.float64)

    def windows(self) -> list[Window]:
        """See `Densities`."""
        reach = self._sds * np.sqrt(2 * REACH)
        return [Window(self._offsets - reach, self._offsets + reach, self._sds)]

    def exponents(self, positions: Array) -> Array:
        """See `Densities`."""
        exponents: Array = -0.5 * ((positions - self._offsets[:, None]) / self._sds[:, None]) ** 2
        return exponents

    def slopes(self, positions: Array) -> Array:
        """See `Densities`."""
        return np.ones_like(positions)


_FAMILIES: dict[type, Callable[..., Densities]] = {
    BetaPosterior: BetaDensities,
    GammaPosterior: GammaDensities,
    NormalPosterior: NormalDensities,
}


def densities(posteriors: Sequence[Posterior]) -> Densities:
    """The densities of posteriors of one kind; kinds may not be mixed, since they share no axis."""
    kinds = {type(posterior) for posterior in posteriors}
    if len(kinds) != 1 or not kinds <= _FAMILIES.keys():
        names = ", ".join(sorted(kind.__name__ for kind in kinds)) or "none"
        raise ValueError(f"posteriors are of kinds {names}, must all be of one kind: Beta, Gamma or Normal")
    return _FAMILIES[kinds.pop()](posteriors)


def _log_growth(share: Array, distance: Array) -> Array:
    """log(1 - share + share·exp(distance)), exact near 0 and free of overflow."""
    if distance.max() < _LARGE_EXPONENT:
        growth: Array = np.log1p(share * np.expm1(distance))
    else:
        growth = np.logaddexp(np.log1p(-share), np.log(share) + distance)
    return growth


def _falls(rising: Array, falling: Array) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """A Beta exponent and its slope, at a distance d from the mode towards the side that `falling` brings down."""
    total = rising + falling
    shares = np.log(rising / total), np.log(falling / total)
    odds = np.log(rising) - np.log(falling)

    def exponent(d: Array) -> Array:
        fall: Array = -falling * d - total * np.logaddexp(shares[0], shares[1] - d)
        return fall

    def slope(d: Array) -> Array:
        fall: Array = rising * scipy.special.expit(-odds - d) - falling * scipy.special.expit(odds + d)
        return fall

    return exponent, slope


def _reach(exponent: Callable[[Array], Array], slope: Callable[[Array], Array], curvature: Array) -> Array:
    """How far from its mode a log-concave density falls to exp(-REACH), or a little further.

    Newton's method on a concave function steps over the root from the inside and then comes back from the outside, so
    that stopping early is safe.
    """
    distance: Array = np.minimum(np.sqrt(2 * REACH / curvature), _LARGE_EXPONENT)
    for _ in range(6):
        distance = distance - (exponent(distance) + REACH) / slope(distance)
    return distance


def _core(end: Array, core: Array, count: Array) -> Array:
    """Where the curved part begins: at the very end, unless the tail is a long exponential (a count below one)."""
    return np.where(count < _HEAVY, np.maximum(end, core), end)


def _parts(
    lower: Array, core_lower: Array, core_upper: Array, upper: Array, *, scales: tuple[Array, Array, Array]
) -> list[Window]:
    parts = [
        Window(lower, core_lower, scales[0]),
        Window(core_lower, core_upper, scales[1]),
        Window(core_upper, upper, scales[2]),
    ]
    return [part for part in parts if (part.upper > part.lower).any()]
