"""Means of arms whose propensities changed on the way: sums of strata in, estimates and posteriors out.

Within a stratum an arm's propensity is constant, so the arm's mean there is fair to its rivals; over strata the arms
met different visitors in different shares. Each stratum's mean is therefore estimated for *all* its visitors, by the
doubly robust score of an arm that is given at random with known probability:

    Γ_k = m_k + (s_k − n_ak·m_k) / (n_k·e_k),    estimate = Σ n_k·Γ_k / Σ n_k

with n_k the visitors of stratum k over all arms, n_ak and s_k the arm's own visitors and sum, e_k its propensity, and m_k
the arm's mean over earlier strata, which chance in stratum k cannot have touched (Robins, Rotnitzky & Zhao 1994,
https://doi.org/10.1080/01621459.1994.10476818; for adaptive propensities Hadad et al. 2021,
https://doi.org/10.1073/pnas.2014602118). The estimate is worth as many visitors of its own as Kish's effective size
(Kish 1965) says: (Σ w)² / Σ (w² / (n_k·e_k)) with w = n_k.
"""

from collections.abc import Sequence
from typing import NamedTuple

from stats.posteriors import BetaPosterior
from stats.posteriors import NormalPosterior


class Stratum(NamedTuple):
    """One arm in a time of constant propensity: `visitors` of all arms, the arm's own n, Σx and Σx²."""

    visitors: int
    propensity: float
    n: int
    total: float
    total_squares: float


class Estimate(NamedTuple):
    """A mean per visitor, the number of visitors it is worth, and the variance of one visitor's value.

    Without visitors all are 0.
    """

    mean: float = 0.0
    effective_n: float = 0.0
    variance: float = 0.0


def estimate(strata: Sequence[Stratum]) -> Estimate:
    """An arm's mean over all visitors of the strata, the oldest first; of a single stratum exactly its plain mean.

    A stratum before the arm's first visitor, or in which it had no chance, says nothing of it and is left out.
    """
    used = _informative(strata)
    if not used:
        return Estimate()
    first, n, total = used[0], 0, 0.0
    weights = scores = uncertainty = 0.0
    for stratum in used:
        expected = stratum.n if stratum is first else stratum.visitors * stratum.propensity
        earlier = stratum.total / stratum.n if stratum is first else total / n
        scores += stratum.visitors * (earlier + (stratum.total - stratum.n * earlier) / expected)
        weights += stratum.visitors
        uncertainty += stratum.visitors**2 / expected
        n, total = n + stratum.n, total + stratum.total
    return Estimate(scores / weights, weights**2 / uncertainty, _variance(used, n, total))


def _informative(strata: Sequence[Stratum]) -> list[Stratum]:
    possible = [stratum for stratum in strata if stratum.propensity > 0 and stratum.visitors > 0]
    start = next((index for index, stratum in enumerate(possible) if stratum.n > 0), len(possible))
    return possible[start:]


def _variance(strata: Sequence[Stratum], n: int, total: float) -> float:
    squares = sum(stratum.total_squares for stratum in strata)
    return max(squares / n - (total / n) ** 2, 0.0) * (n / (n - 1) if n > 1 else 1.0)


def combine(estimates: Sequence[Estimate], shares: Sequence[float]) -> Estimate:
    """Estimates of separate groups as one, each weighing its share: variances of weighted means add."""
    whole = sum(shares)
    weights = [share / whole for share in shares]
    if any(part.effective_n == 0 for part, weight in zip(estimates, weights, strict=True) if weight):
        return Estimate()
    mean = sum(weight * part.mean for part, weight in zip(estimates, weights, strict=True))
    spread = sum(weight**2 / part.effective_n for part, weight in zip(estimates, weights, strict=True) if weight)
    variance = sum(
        weight * (part.variance + (part.mean - mean) ** 2) for part, weight in zip(estimates, weights, strict=True)
    )
    return Estimate(mean, 1 / spread, variance)


def beta(found: Estimate, prior: BetaPosterior = BetaPosterior()) -> BetaPosterior:
    """What is believed of a rate: the prior after the estimate's effective successes and failures."""
    rate = min(max(found.mean, 0.0), 1.0)
    return prior.observe(rate * found.effective_n, (1 - rate) * found.effective_n)


def normal(found: Estimate) -> NormalPosterior:
    """What is believed of a mean: Normal around the estimate.

    One visitor's worth of doubt is added to the variance, as large as the value or its spread, so that a single visitor,
    or visitors who are all alike, prove nothing; without visitors the belief is as wide as it can be told.
    """
    if found.effective_n == 0:
        return NormalPosterior(0.0, 1e6)
    doubt = max(found.variance, found.mean**2, 1e-12) / found.effective_n
    return NormalPosterior(found.mean, ((found.variance + doubt) / found.effective_n) ** 0.5)
