"""Evidence that holds however often one looks: e-processes, as logarithms.

A hypothesis under which E is a supermartingale from 1 is refuted once E reaches 1/alpha, at any moment (Ville 1939; Ramdas et
al. 2023, https://doi.org/10.1214/23-STS894).

**Conversions.** Given that a visitor of either arm converts, the arm is the tailored one with probability
e·r / (e·r + 1 − e), where e is the tailored arm's share of both propensities at its assignment and r the ratio of the two
rates. Nothing else enters: not the base rate, nor its drift, nor how late the conversion came. The likelihood ratio of r
against r = 1, mixed over the r that one hopes for (log r half-normal, sd .25), is the evidence.

**Means.** The one-sided normal mixture of Howard, Ramdas, McAuliffe & Sekhon (2021,
https://doi.org/10.1214/20-AOS1991), on standardised estimates (asymptotic in the sense of Waudby-Smith et al. 2024,
https://doi.org/10.1214/24-AOS2408).
"""

from collections.abc import Sequence
from math import log
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import special

from stats.checks import not_negative
from stats.checks import positive

Array = NDArray[np.float64]

#: The spread of the log ratio that one hopes to find.
_HOPED_FOR = 0.25

#: Gauss-Legendre over 0 to 8 spreads; beyond, the prior holds less than 1e-14.
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(200)
_LOG_RATIOS = 4 * _HOPED_FOR * (_NODES + 1)
_LOG_PRIOR = np.log(4 * _HOPED_FOR * _NODE_WEIGHTS * 2 / _HOPED_FOR / sqrt(2 * np.pi)) - 0.5 * (
    _LOG_RATIOS / _HOPED_FOR
) ** 2


def evidence_for_gain(
    conversions_tailored: Sequence[float], conversions_mass: Sequence[float], shares: Sequence[float]
) -> float:
    """Log evidence that the tailored arm converts better, from each stratum's conversions and the tailored share.

    `shares` are e, the tailored arm's part of both arms' propensities, strictly between 0 and 1.
    """
    return _mixture(conversions_tailored, conversions_mass, shares, log_ratio=_LOG_RATIOS, against=0.0)


def evidence_for_loss(
    conversions_tailored: Sequence[float], conversions_mass: Sequence[float], shares: Sequence[float]
) -> float:
    """Log evidence that the tailored arm converts worse; arguments as for a gain."""
    return _mixture(conversions_tailored, conversions_mass, shares, log_ratio=-_LOG_RATIOS, against=0.0)


def evidence_for_no_gain(
    conversions_tailored: Sequence[float],
    conversions_mass: Sequence[float],
    shares: Sequence[float],
    *,
    margin: float,
) -> float:
    """Log evidence that the tailored arm does not convert `margin` better (.1 is a tenth); arguments as for a gain."""
    against = log(1 + not_negative(margin, "margin"))
    return _mixture(conversions_tailored, conversions_mass, shares, log_ratio=against - _LOG_RATIOS, against=against)


def _mixture(
    tailored: Sequence[float], mass: Sequence[float], shares: Sequence[float], *, log_ratio: Array, against: float
) -> float:
    mine, rivals, share = (np.asarray(column, dtype=float)[:, None] for column in (tailored, mass, shares))
    log_likelihood = mine * (log_ratio - against) - (mine + rivals) * (
        np.log1p(share * np.expm1(log_ratio)) - np.log1p(share * np.expm1(against))
    )
    return float(special.logsumexp(log_likelihood.sum(axis=0) + _LOG_PRIOR))


def evidence_of_excess(mean: float, standard_error: float, n: float, *, tuned_for: float = 5000.0) -> float:
    """Log evidence that a mean over n visitors is above 0; sharpest near `tuned_for` visitors.

    Without visitors or without spread there is none: 0.
    """
    if n <= 0 or standard_error <= 0:
        return 0.0
    scale = positive(tuned_for, "tuned_for") / (-2 * log(0.05) + log(1 - 2 * log(0.05)))
    z = mean / standard_error * sqrt(n / (n + scale))
    return log(2) + float(special.log_ndtr(z)) + 0.5 * log(scale / (n + scale)) + 0.5 * z * z


def closed_calls(log_evidences: Sequence[float], *, alpha: float = 0.05) -> list[bool]:
    """Which hypotheses are refuted with at most `alpha` chance of any wrong one among all, at any time.

    Closed testing (Marcus, Peritz & Gabriel 1976) with the mean of e-values, itself an e-value (Vovk & Wang 2021,
    https://doi.org/10.1214/20-AOS2020): a hypothesis falls if the mean over every set that holds it reaches 1/alpha. The
    hardest set of each size adds the weakest of the others.
    """
    return [_falls(index, log_evidences, log(1 / alpha)) for index in range(len(log_evidences))]


def _falls(index: int, log_evidences: Sequence[float], needed: float) -> bool:
    others = sorted(value for place, value in enumerate(log_evidences) if place != index)
    totals = np.logaddexp.accumulate(np.array([log_evidences[index], *others]))
    means = totals - np.log(np.arange(1, len(totals) + 1))
    return bool(means.min() >= needed)
