"""Successes and failures as Normal factors of a log odds, by expectation propagation.

The factor of a cell is chosen so that, with all other cells as they are, mean and variance of the cell's log odds are
those under its exact binomial likelihood (Minka 2001, "Expectation propagation for approximate Bayesian inference",
https://arxiv.org/abs/1301.2294). So a cell without conversions, of which a quadratic at the mode knows little, keeps
its moments. All cells are updated at once; likelihoods of log odds are log-concave, so factors are never negative.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from stats.hierarchy import Believed
from stats.hierarchy import Prior
from stats.hierarchy import Sites
from stats.hierarchy import believe

Array = NDArray[np.float64]

_NODES, _NODE_WEIGHTS = special.roots_hermitenorm(11)
_LOG_NODE_WEIGHTS = np.log(_NODE_WEIGHTS) + 0.5 * _NODES**2
_SWEEPS = 25
_CLOSE = 1e-3
_NEWTON_STEPS = 3
_FARTHEST_STEP = 5.0
_LEAST_PRECISION = 1e-3


class Outcomes(NamedTuple):
    """Successes and visitors of each cell, and the log odds from which its η counts; shape (segments, cells)."""

    successes: Array
    visitors: Array
    origin: Array


class Rates(NamedTuple):
    """What is believed of the log odds, and of the rates themselves; shapes (spreads, segments, cells).

    Attributes:
        believed: the log odds, whose log evidence is that of the outcomes.
        mean, variance: of the rate.
    """

    believed: Believed
    mean: Array
    variance: Array


class _Tilted(NamedTuple):
    """Moments of a cavity times the exact likelihood."""

    mean: Array
    variance: Array
    log_mass: Array
    rate_mean: Array
    rate_variance: Array


def rates(prior: Prior, outcomes: Outcomes) -> Rates:
    """The posterior for each spread of the prior."""
    sites = _first_sites(prior, outcomes)
    for _ in range(_SWEEPS):
        believed = believe(prior, sites)
        cavity = _cavity(believed, sites)
        tilted = _tilted(cavity, outcomes, believed.mean)
        moved = np.abs(tilted.mean - believed.mean) / np.sqrt(believed.variance)
        if moved.max(initial=0.0) < _CLOSE:
            break
        sites = _matched(tilted, cavity, outcomes)
    evidence = believed.log_evidence + (tilted.log_mass - _log_mass(cavity, sites)).sum(axis=(1, 2))
    return Rates(believed._replace(log_evidence=evidence), tilted.rate_mean, tilted.rate_variance)


def _first_sites(prior: Prior, outcomes: Outcomes) -> Sites:
    """The likelihoods as they look where no arm has an effect: where Newton's method on a logistic model starts."""
    rate = special.expit(outcomes.origin)
    shape = (len(prior.spreads), *outcomes.visitors.shape)
    precision = outcomes.visitors * rate * (1 - rate)
    shift = outcomes.successes - outcomes.visitors * rate
    return Sites(np.broadcast_to(precision, shape), np.broadcast_to(shift, shape))


def _cavity(believed: Believed, sites: Sites) -> Sites:
    """What all other cells say of a cell."""
    precision = np.maximum(1 / believed.variance - sites.precision, _LEAST_PRECISION)
    return Sites(precision, believed.mean / believed.variance - sites.shift)


def _tilted(cavity: Sites, outcomes: Outcomes, start: Array) -> _Tilted:
    """Gauss-Hermite quadrature around the mode (Liu and Pierce 1994, https://doi.org/10.1093/biomet/81.3.624)."""
    mode, curvature = _mode(cavity, outcomes, start)
    offsets = _NODES / np.sqrt(curvature)[..., None]
    rate = special.expit(outcomes.origin + mode)
    slope = outcomes.successes - cavity.precision * mode + cavity.shift
    exponents = slope[..., None] * offsets - 0.5 * cavity.precision[..., None] * offsets**2 + _LOG_NODE_WEIGHTS
    exponents -= outcomes.visitors[..., None] * np.log1p(rate[..., None] * np.expm1(offsets))
    highest = exponents.max(axis=-1, keepdims=True)
    shares = np.exp(exponents - highest)
    mass = shares.sum(axis=-1)
    shares /= mass[..., None]
    centre = (shares * offsets).sum(axis=-1)
    variance = (shares * (offsets - centre[..., None]) ** 2).sum(axis=-1)
    node_rates = special.expit((outcomes.origin + mode)[..., None] + offsets)
    rate_mean = (shares * node_rates).sum(axis=-1)
    at_mode = outcomes.successes * mode - outcomes.visitors * np.logaddexp(0, outcomes.origin + mode)
    at_mode += cavity.shift * mode - 0.5 * cavity.precision * mode**2
    scale = 0.5 * np.log(cavity.precision / curvature) - 0.5 * cavity.shift**2 / cavity.precision
    return _Tilted(
        mode + centre,
        variance,
        np.log(mass) + highest[..., 0] - 0.5 * np.log(2 * np.pi) + at_mode + scale,
        rate_mean,
        (shares * (node_rates - rate_mean[..., None]) ** 2).sum(axis=-1),
    )


def _mode(cavity: Sites, outcomes: Outcomes, start: Array) -> tuple[Array, Array]:
    """The highest point of cavity times likelihood, or near it, and the curvature there."""
    mode = start
    for _ in range(_NEWTON_STEPS):
        rate = special.expit(outcomes.origin + mode)
        slope = outcomes.successes - outcomes.visitors * rate + cavity.shift - cavity.precision * mode
        curvature = outcomes.visitors * rate * (1 - rate) + cavity.precision
        mode = mode + np.clip(slope / curvature, -_FARTHEST_STEP, _FARTHEST_STEP)
    rate = special.expit(outcomes.origin + mode)
    return mode, outcomes.visitors * rate * (1 - rate) + cavity.precision


def _matched(tilted: _Tilted, cavity: Sites, outcomes: Outcomes) -> Sites:
    """Sites that give the cells these moments; cells without visitors say nothing."""
    seen = outcomes.visitors > 0
    precision = np.where(seen, np.maximum(1 / tilted.variance - cavity.precision, 0.0), 0.0)
    return Sites(precision, np.where(seen, tilted.mean * (precision + cavity.precision) - cavity.shift, 0.0))


def _log_mass(cavity: Sites, sites: Sites) -> Array:
    """log ∫ of a normalised cavity times a site."""
    precision = cavity.precision + sites.precision
    shift = cavity.shift + sites.shift
    exponent = shift**2 / precision - cavity.shift**2 / cavity.precision
    return np.asarray(0.5 * np.log(cavity.precision / precision) + 0.5 * exponent)
