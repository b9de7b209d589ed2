"""Successes and failures as Normal factors of a log odds, by expectation propagation.

The factor of a cell is chosen so that, with all other cells as they are, mean and variance of the cell's log odds are
those under its exact binomial likelihood (Minka 2001, "Expectation propagation for approximate Bayesian inference",
https://arxiv.org/abs/1301.2294). So a cell without conversions, of which a quadratic at the mode knows little, keeps
its moments. All cells are updated at once; likelihoods of log odds are log-concave, so factors are never negative.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
import scipy

from stats.hierarchy import Believed
from stats.hierarchy import Prior
from stats.hierarchy import Sites
from stats.hierarchy import believe

Array = NDArray[np.float64]

_SWEEPS = 25
_CLOSE = 1e-3
_HOPELESS = 3.0
_HOPELESS_BASE = 10
_NEWTON_STEPS = 50
_LONGEST_STEP = 2.0
# A mode needs no more than this of a standard deviation: the nodes reach far beyond.
_NEAR = 0.1
_LEAST_PRECISION = 1e-3


class Outcomes(NamedTuple):
    """Successes and visitors of each cell, shape (segments, cells), and the log odds from which η counts there.

    The origin has shape (segments, 1), and keeps differences between arms of a segment exact.
    """

    successes: Array
    visitors: Array
    origin: Array


class Rates(NamedTuple):
    """What is believed of the log odds, and of the rates themselves; shapes (spreads, segments, cells).

    Attributes:
        spreads: which of the prior's spreads these are; all others are out of the question.
        believed: the log odds, whose log evidence is that of the outcomes.
        mean, variance: of the rate.
    """

    spreads: NDArray[np.intp]
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
    """The posterior for each spread of the prior that may be true."""
    sites = first_sites(outcomes)
    believed = believe(prior, sites)
    spreads = _possible(believed.log_evidence, outcomes)
    prior, believed = prior._replace(spreads=prior.spreads[spreads]), believed.only(spreads)
    for sweep in range(_SWEEPS):
        believed = believe(prior, sites) if sweep else believed
        cavity = _cavity(believed, sites)
        tilted = _tilted(cavity, outcomes, believed.mean)
        moved = np.abs(tilted.mean - believed.mean) / np.sqrt(believed.variance)
        if moved.max(initial=0.0) < _CLOSE:
            break
        sites = _matched(tilted, cavity, outcomes)
    evidence = believed.log_evidence + (tilted.log_mass - _log_mass(cavity, sites)).sum(axis=(1, 2))
    return Rates(spreads, believed._replace(log_evidence=evidence), tilted.rate_mean, tilted.rate_variance)


def first_sites(outcomes: Outcomes) -> Sites:
    """Each likelihood as a quadratic where its cell has half a success and half a failure more."""
    rate = (outcomes.successes + 0.5) / (outcomes.visitors + 1)
    precision = outcomes.visitors * rate * (1 - rate)
    shift = outcomes.successes - outcomes.visitors * rate + precision * (scipy.special.logit(rate) - outcomes.origin)
    return Sites(precision[None], shift[None])


def _possible(log_evidence: Array, outcomes: Outcomes) -> NDArray[np.intp]:
    """The spreads that remain although a quadratic may be wrong by some units for every cell.

    Where cells differ beyond all measure no common mean describes them, and updates of all at once lose their way.
    """
    cells = np.count_nonzero(outcomes.visitors)
    return np.flatnonzero(log_evidence > log_evidence.max() - _HOPELESS * (cells + _HOPELESS_BASE))


def _cavity(believed: Believed, sites: Sites) -> Sites:
    """What all other cells say of a cell."""
    precision = np.maximum(1 / believed.variance - sites.precision, _LEAST_PRECISION)
    return Sites(precision, believed.mean / believed.variance - sites.shift)


def _tilted(cavity: Sites, outcomes: Outcomes, start: Array) -> _Tilted:
    """Gauss-Hermite quadrature around the mode (Liu and Pierce 1994, https://doi.org/10.1093/biomet/81.3.624)."""
    mode, curvature = _mode(cavity, outcomes, start)
    nodes, log_weights = _nodes()
    offsets = nodes / np.sqrt(curvature)[..., None]
    exponents = _fall(cavity, outcomes, mode, offsets) + log_weights
    highest = exponents.max(axis=-1, keepdims=True)
    shares = np.exp(exponents - highest)
    mass = shares.sum(axis=-1)
    shares /= mass[..., None]
    centre, variance = _moments(shares, offsets)
    log_mass = np.log(mass / np.sqrt(2 * np.pi * curvature)) + highest[..., 0] + _height(cavity, outcomes, mode)
    node_rates = scipy.special.expit((outcomes.origin + mode)[..., None] + offsets)
    return _Tilted(mode + centre, variance, log_mass, *_moments(shares, node_rates))


@cache
def _nodes() -> tuple[Array, Array]:
    """Nodes, and the logs of their weights without the density; made when first asked for, since scipy loads slowly."""
    nodes, weights = scipy.special.roots_hermitenorm(11)
    return nodes, np.log(weights) + 0.5 * nodes**2


def _moments(shares: Array, values: Array) -> tuple[Array, Array]:
    """Mean and variance over the last axis."""
    mean = (shares * values).sum(axis=-1)
    return mean, (shares * (values - mean[..., None]) ** 2).sum(axis=-1)


def _fall(cavity: Sites, outcomes: Outcomes, mode: Array, offsets: Array) -> Array:
    """Log of cavity times likelihood less that at the mode, so that counts of 1e9 cancel nothing."""
    rate = scipy.special.expit(outcomes.origin + mode)
    slope = outcomes.successes - cavity.precision * mode + cavity.shift
    fall = slope[..., None] * offsets - 0.5 * cavity.precision[..., None] * offsets**2
    return np.asarray(fall - outcomes.visitors[..., None] * np.log1p(rate[..., None] * np.expm1(offsets)))


def _height(cavity: Sites, outcomes: Outcomes, mode: Array) -> Array:
    """Log of normalised cavity times likelihood at the mode."""
    likelihood = outcomes.successes * mode - outcomes.visitors * np.logaddexp(0, outcomes.origin + mode)
    distance = mode - cavity.shift / cavity.precision
    return np.asarray(likelihood - 0.5 * cavity.precision * distance**2 + 0.5 * np.log(cavity.precision / (2 * np.pi)))


def _mode(cavity: Sites, outcomes: Outcomes, start: Array) -> tuple[Array, Array]:
    """The highest point of cavity times likelihood, or near it, and the curvature there, by Newton's method."""
    mode = start
    for _ in range(_NEWTON_STEPS):
        rate = scipy.special.expit(outcomes.origin + mode)
        curvature = outcomes.visitors * rate * (1 - rate) + cavity.precision
        slope = outcomes.successes - outcomes.visitors * rate + cavity.shift - cavity.precision * mode
        if (np.abs(slope) < _NEAR * np.sqrt(curvature)).all():
            break
        mode = mode + np.clip(slope / curvature, -_LONGEST_STEP, _LONGEST_STEP)
    return mode, curvature


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
