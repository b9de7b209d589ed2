"""Which of a few arms is best, for very many small contests at once.

One contest is one segment under one spread between segments. `stats.ranking` is exact for one contest; here thousands
are answered in one pass, for arms whose beliefs are correlated (they share the base of their segment).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
import scipy

from stats.posteriors import NormalPosterior
from stats.ranking import probability_best

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

# A Normal beyond this many standard deviations, and the mesh of one arm in standard deviations.
_REACH = 7.0
_MESH = np.linspace(-_REACH, _REACH, 29)
_SMALLEST = 1e-300
_SPAN = 1e-12
# Contests of more arms are worth a grid of their own.
_FEW = 12
# Log odds of a variance below this are Normal for every purpose here, and their cumulants need no gamma functions.
_NARROW = 1e-4
_NEWTON_STEPS = 6
_SMALL_STEP = 1e-6
# From here on the series of polygamma functions have all digits.
_LARGE = 30.0
# How near to 1/2 a rate has log odds that are more symmetric than its cube root.
_EVEN = 0.25


def own_variances(covariance: Array, present: Flags) -> Array:
    """Variances v of independent arms whose differences vary as those of the correlated arms do.

    v_a + v_b is var(a - b) exactly for two or three arms, by least squares for more. Shapes: covariance
    (…, arms, arms), present and result (…, arms); 0 where absent.
    """
    both = present[..., :, None] & present[..., None, :]
    diagonal = np.diagonal(covariance, axis1=-2, axis2=-1)
    spread = np.where(both, diagonal[..., :, None] + diagonal[..., None, :] - 2 * covariance, 0.0)
    arms = present.sum(axis=-1, keepdims=True)
    by_arm = spread.sum(axis=-1)
    over_all = by_arm.sum(axis=-1, keepdims=True) / 2
    several = (by_arm - over_all / np.maximum(arms - 1, 1)) / np.maximum(arms - 2, 1)
    common = np.where(both, covariance, 0.0).sum(axis=-1) - np.where(present, diagonal, 0.0)
    variances = np.where(arms > 2, several, diagonal - common)
    return np.asarray(np.where(present, np.maximum(variances, 0.0), 0.0))


def symmetrised(mean: Array, variance: Array, typical: Array) -> tuple[Array, Array]:
    """Mean and variance of rates on an axis, increasing with the rate, on which their posteriors are nearly Normal.

    The rate is taken as the Beta whose log odds have this mean and variance, which is exact for an arm that stands
    alone. Where the typical rate is low, the axis is the cube root of the rate (Wilson and Hilferty 1931, "The
    distribution of chi-square"), where it is high that of the other outcome's, in between the log odds. Arms that are
    compared need one `typical` rate.
    """
    turned = np.where(typical > 0.5, -1.0, 1.0)
    logs = _log_root_moments(mean * turned, variance)
    root = np.exp(logs[0])
    spread = root**2 * np.expm1(np.maximum(logs[1] - 2 * logs[0], 0.0))
    even = np.abs(typical - 0.5) < _EVEN
    return np.where(even, mean, turned * root), np.where(even, variance, spread)


def best(mean: Array, variance: Array, present: Flags) -> Array:
    """The chance of each of independent Normal arms to be the highest; shapes (contests, arms); 0 where absent."""
    arms = present.sum(axis=-1)
    shares = np.where(present, 1.0, 0.0) / np.maximum(arms, 1)[:, None]
    pairs = np.flatnonzero(arms == 2)
    if len(pairs):
        shares[pairs] = _better(mean[pairs], variance[pairs], present[pairs])
    more = np.flatnonzero((arms > 2) & (arms <= _FEW))
    if len(more):
        shares[more] = _highest(mean[more], variance[more], present[more])
    for contest in np.flatnonzero(arms > _FEW):
        ranked = present[contest]
        sds = np.maximum(np.sqrt(variance[contest, ranked]), _SPAN * np.abs(mean[contest, ranked]).max() + _SMALLEST)
        posteriors = [NormalPosterior(*arm) for arm in zip(mean[contest, ranked].tolist(), sds.tolist(), strict=True)]
        shares[contest, ranked] = probability_best(posteriors)
    return np.asarray(shares)


def _better(mean: Array, variance: Array, present: Flags) -> Array:
    """In closed form for two arms, wherever they stand in the row."""
    signs = np.where(np.cumsum(present, axis=1) == 1, 1.0, -1.0) * present
    gap = (signs * mean).sum(axis=1)
    sd = np.sqrt(np.where(present, variance, 0.0).sum(axis=1))
    # Arms known without any error: the higher one is certain, equal ones share.
    score = gap / np.maximum(sd, _SPAN**2)
    return np.asarray(np.where(present, scipy.special.ndtr(signs * score[:, None]), 0.0))


def _highest(mean: Array, variance: Array, present: Flags) -> Array:
    """On a mesh fine wherever some arm is: what each stretch adds to the highest arm's distribution is divided among
    the arms by the growth of their log distributions, exact where these keep their ratio within a stretch."""
    origin = np.max(np.where(present, mean, -np.inf), axis=1, keepdims=True)
    largest = np.sqrt(np.max(np.where(present, variance, 0.0), axis=1, keepdims=True))
    unit = np.where(largest > 0, largest, 1.0)
    sd = np.maximum(np.sqrt(variance) / unit, _SPAN)
    centre = np.where(present, (mean - origin) / unit, 0.0)
    mesh = np.where(present[:, :, None], centre[:, :, None] + sd[:, :, None] * _MESH, -_REACH)
    mesh = np.sort(mesh.reshape(len(mean), -1), axis=1)
    log_cdf = scipy.special.log_ndtr((mesh[:, None, :] - centre[:, :, None]) / sd[:, :, None])
    log_cdf = np.where(present[:, :, None], log_cdf, 0.0)
    growth = np.diff(log_cdf, axis=2)
    together = growth.sum(axis=1)
    added = np.diff(np.exp(log_cdf.sum(axis=1)), axis=1)
    shares = (growth * (added / np.maximum(together, _SMALLEST))[:, None, :]).sum(axis=2)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _log_root_moments(logit: Array, variance: Array) -> tuple[Array, Array]:
    """log E[p^(1/3)] and log E[p^(2/3)] of the Beta with this mean and variance of its log odds."""
    wide = variance > _NARROW
    alpha, beta = _beta_of(np.where(wide, logit, 0.0), np.where(wide, variance, 1.0))
    total = alpha + beta
    rate, log_rate = scipy.special.expit(logit), scipy.special.log_expit(logit)
    moments = []
    for power in (1 / 3, 2 / 3):
        exact = scipy.special.gammaln(alpha + power) - scipy.special.gammaln(alpha)
        exact -= scipy.special.gammaln(total + power) - scipy.special.gammaln(total)
        bend = power**2 * (1 - rate) ** 2 - power * rate * (1 - rate)
        moments.append(np.where(wide, exact, power * log_rate + 0.5 * variance * bend))
    return moments[0], moments[1]


def _beta_of(logit: Array, variance: Array) -> tuple[Array, Array]:
    """α and β with ψ(α) - ψ(β) = logit and ψ'(α) + ψ'(β) = variance, by Newton's method in log α and log β."""
    rate = scipy.special.expit(logit)
    alpha = 1 / (variance * (1 - rate)) + 0.5
    beta = 1 / (variance * rate) + 0.5
    for _ in range(_NEWTON_STEPS):
        slope_alpha, slope_beta = _trigamma(alpha), _trigamma(beta)
        off_mean = scipy.special.psi(alpha) - scipy.special.psi(beta) - logit
        off_variance = np.log((slope_alpha + slope_beta) / variance)
        bend_alpha = alpha * _tetragamma(alpha) / (slope_alpha + slope_beta)
        bend_beta = beta * _tetragamma(beta) / (slope_alpha + slope_beta)
        lean_alpha, lean_beta = alpha * slope_alpha, -beta * slope_beta
        determinant = lean_alpha * bend_beta - lean_beta * bend_alpha
        step_alpha = np.clip((lean_beta * off_variance - bend_beta * off_mean) / determinant, -1, 1)
        step_beta = np.clip((bend_alpha * off_mean - lean_alpha * off_variance) / determinant, -1, 1)
        alpha, beta = alpha * np.exp(step_alpha), beta * np.exp(step_beta)
        # The next step would be about the square of this one.
        if max(np.abs(step_alpha).max(initial=0.0), np.abs(step_beta).max(initial=0.0)) < _SMALL_STEP:
            break
    return alpha, beta


def _trigamma(x: Array) -> Array:
    """ψ'(x), where x is large by its series (Abramowitz and Stegun 1964, 6.4.12), at a tenth of the price."""
    square = 1 / (x * x)
    series = 1 / x + square / 2 + square / x * (1 / 6 - square * (1 / 30 - square * (1 / 42 - square / 30)))
    return _where_small(x, series, lambda small: scipy.special.zeta(2, small))


def _tetragamma(x: Array) -> Array:
    """ψ''(x), likewise (6.4.13)."""
    square = 1 / (x * x)
    series = -square * (1 + 1 / x + square * (1 / 2 - square * (1 / 6 - square * (1 / 6 - square * 3 / 10))))
    return _where_small(x, series, lambda small: -2 * scipy.special.zeta(3, small))


def _where_small(x: Array, series: Array, exact: Callable[[Array], Array]) -> Array:
    small = x < _LARGE
    series[small] = exact(x[small])
    return series
