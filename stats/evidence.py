"""Calls that hold however often somebody looks.

Evidence is the logarithm of an e-process: under the hypothesis it speaks against, the chance that E ever reaches 1/α is
at most α, at any stopping time (Ville 1939; Ramdas et al. 2023, "Game-theoretic statistics and safe anytime-valid
inference", https://doi.org/10.1214/23-STS894). 0 says nothing, log 20 = 3 is a call at 5 %.

For conversions the process is conditional: whenever a visitor who had either the tailored or the mass arm converts, it
was the tailored one with chance e·r / (e·r + 1 - e), e the tailored arm's share of the two propensities and r the ratio
of the two rates. This needs no rate, so it survives any drift, late conversions and starved arms; the share must be the
one that was in force when the visitor was drawn. Wald's likelihood ratio against r = 1 is mixed over log r, half-normal
(Robbins 1970, "Statistical methods related to the law of the iterated logarithm").
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray
import scipy

from stats.adaptive import Estimate
from stats.checks import between
from stats.checks import finite
from stats.checks import not_negative
from stats.checks import positive
from stats.ratios import Ratios
from stats.ratios import ceilings
from stats.ratios import mixed
from stats.ratios import ratios
from stats.sequences import tuning

Array = NDArray[np.float64]

# Half the mass of the mixture lies below a gain of 18 %, a twentieth above 63 %.
PRIOR_SCALE = 0.25
_LARGE_EXPONENT = 700.0


def evidence_for_gain(
    conversions_tailored: ArrayLike, conversions_mass: ArrayLike, shares: ArrayLike, *, scale: float = PRIOR_SCALE
) -> Array:
    """Log evidence against "tailored converts no better than mass", of many contests at once.

    E = ∫ Π_k r^{t_k} / (e_k r + 1 - e_k)^{t_k + m_k} π(dr), log r half-normal of this scale. Shapes (…, strata), of
    the result (…).

    Args:
        conversions_tailored, conversions_mass: t_k and m_k, conversions per stratum of constant propensities.
        shares: e_k, propensity of tailored / (propensity of tailored + that of mass), one per stratum.
        scale: of log r.

    A stratum with a share of 0 or 1 offered no choice and says nothing. No conversions: 0.
    """
    contests, shape = _ratios(conversions_tailored, conversions_mass, shares, scale)
    return mixed(contests).reshape(shape)


def evidence_for_loss(
    conversions_tailored: ArrayLike, conversions_mass: ArrayLike, shares: ArrayLike, *, scale: float = PRIOR_SCALE
) -> Array:
    """Log evidence against "tailored converts no worse than mass": the same with the arms exchanged."""
    return evidence_for_gain(conversions_mass, conversions_tailored, 1 - np.asarray(shares, np.float64), scale=scale)


def evidence_for_no_gain(
    conversions_tailored: ArrayLike,
    conversions_mass: ArrayLike,
    shares: ArrayLike,
    *,
    margin: float,
    scale: float = PRIOR_SCALE,
) -> Array:
    """Log evidence against "tailored converts better by the margin or more", a ratio of at least 1 + margin.

    So arms that are practically equal come to an end: what matters is excluded. Under r = 1 + margin a conversion is
    the tailored arm's with chance e(1 + margin) / (e(1 + margin) + 1 - e), and this takes the place of the share.
    """
    if not (margin > -1 and math.isfinite(margin)):
        raise ValueError(f"margin is {margin}, must be finite and above -1")
    share = np.asarray(shares, dtype=np.float64)
    tilted = share * (1 + margin) / (share * (1 + margin) + 1 - share)
    return evidence_for_loss(conversions_tailored, conversions_mass, tilted, scale=scale)


def ceilings_for_gain(
    conversions_tailored: ArrayLike, conversions_mass: ArrayLike, shares: ArrayLike, *, scale: float = PRIOR_SCALE
) -> Array:
    """What `evidence_for_gain` cannot exceed, at a small part of its price.

    A contest that even this does not bring to log(1/α) cannot be called.
    """
    contests, shape = _ratios(conversions_tailored, conversions_mass, shares, scale)
    return ceilings(contests).reshape(shape)


def evidence_for_higher_mean(
    above: Estimate,
    below: Estimate,
    visitors: float,
    *,
    margin: float = 0.0,
    alpha: float = 0.05,
    tuned_for: float = 5000,
) -> float:
    """Log evidence against "the mean above exceeds the mean below by at most the margin", for values, counts, profit.

    `difference_process` with the variance of both arms' values averaged: an arm that is low by chance has too small a
    variance as well, and with its own the first looks would call too often. Against "at least δ higher" exchange the
    arms and hand in a margin of -δ. 0 while an arm has no visitors or no value has varied.

    Args:
        above, below: the arms' estimates from one segment.
        visitors: of the segment, over all arms.
        margin: in the unit of the mean.
        alpha, tuned_for: see `difference_process`.
    """
    if above.effective_n == 0 or below.effective_n == 0:
        return 0.0
    variance = (above.variance + below.variance) / 2 * (1 / above.effective_n + 1 / below.effective_n)
    difference = above.mean - below.mean - finite(margin, "margin")
    return difference_process(difference, variance, visitors, alpha=alpha, tuned_for=tuned_for)


def difference_process(
    difference: float,
    variance: float,
    n: float,
    *,
    unit_variance: float | None = None,
    alpha: float = 0.05,
    tuned_for: float = 5000,
) -> float:
    """Log evidence against "the difference is at most 0", from an estimate that is normal in the long run.

    S = n·difference has variance V = n²·variance, and e^{λS - λ²V/2} is mixed over a half-normal λ:
    E = 2 (1 + t)^{-1/2} exp(z² t / (2 (1 + t))) Φ(z √(t / (1 + t))), z = difference / √variance, t = ρ² V / unit
    variance (the one-sided normal mixture of Howard et al. 2021, https://doi.org/10.1214/20-AOS1991; with an estimated
    variance it holds in the limit: Waudby-Smith et al. 2021, https://arxiv.org/abs/2103.06476).

    Args:
        difference: the estimate of the mean of one arm less another.
        variance: the estimate's own variance. 0 says that nothing varied yet: the evidence is 0.
        n: visitors that the estimate speaks for, over all arms.
        unit_variance: of one visitor's share in S under an even split, 2·(variance of a value in one arm + in the
            other); t then grows with information when traffic moves away from an arm. Left out, t = ρ² n.
        alpha, tuned_for: ρ² is the one that is tightest at this level after so many visitors.
    """
    finite(difference, "difference")
    if not_negative(variance, "variance") == 0 or not_negative(n, "n") == 0:
        return 0.0
    size = n if unit_variance is None else n * n * variance / positive(unit_variance, "unit_variance")
    information = size * tuning(alpha=alpha, tuned_for=tuned_for)
    pull = information / (1 + information)
    z = difference / math.sqrt(variance)
    chance = float(scipy.special.log_ndtr(z * math.sqrt(pull)))
    return math.log(2) - 0.5 * math.log1p(information) + 0.5 * z * z * pull + chance


def closed_calls(log_evidences: ArrayLike, *, alpha: float = 0.05) -> NDArray[np.bool_]:
    """Which segments may be called so that the chance of any false call, ever, is at most alpha.

    Closed testing with the mean of E as evidence for a set, valid whatever the dependence (Vovk and Wang 2021,
    https://doi.org/10.1214/20-AOS2020): k is called if every set that holds k has a mean of at least 1/alpha. The worst
    set of each size is k with the smallest others, and others above k only help.
    """
    between(alpha, "alpha", low=0, high=1)
    logs = np.asarray(log_evidences, dtype=np.float64)
    if logs.ndim != 1 or np.isnan(logs).any():
        raise ValueError(f"log_evidences is {logs.tolist()}, must be a list of numbers")
    order = np.argsort(logs, kind="stable")
    evidences = np.exp(np.minimum(logs[order], _LARGE_EXPONENT / 2))
    below = np.cumsum(evidences) - evidences
    calls = np.empty(len(logs), dtype=np.bool_)
    for place in range(len(logs)):
        sizes = np.arange(1, place + 2)
        calls[order[place]] = ((evidences[place] + below[: place + 1]) * alpha >= sizes).all()
    return calls


def _ratios(tailored: ArrayLike, mass: ArrayLike, shares: ArrayLike, scale: float) -> tuple[Ratios, tuple[int, ...]]:
    """The contests as rows, and the shape that they came in."""
    positive(scale, "scale")
    arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in (tailored, mass, shares)))
    for array, name in zip(arrays[:2], ("conversions_tailored", "conversions_mass"), strict=True):
        if not (np.isfinite(array) & (array >= 0)).all():
            raise ValueError(f"{name} is {array.tolist()}, must be finite and not negative")
    if not ((arrays[2] >= 0) & (arrays[2] <= 1)).all():
        raise ValueError(f"shares is {arrays[2].tolist()}, must lie between 0 and 1")
    shape = arrays[0].shape[:-1]
    rows = (array.reshape(math.prod(shape), array.shape[-1]) for array in arrays)
    return ratios(*rows, scale=scale), shape
