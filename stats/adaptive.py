"""Means that stay true while the allocation follows the outcomes.

Where a lucky arm gets more visitors, its plain mean is too low and its plain interval too short, and a rising base rate
looks like a better arm. Within a stratum, a stretch of time with one propensity, neither happens. So each stratum gives
its own doubly robust estimate, and all of them are weighted by their visitors, whatever arm these had. Weights that do
not look at the outcomes keep the mean unbiased when rates drift (the estimator: Hadad et al. 2021,
https://doi.org/10.1073/pnas.2014602118, with uniform weights).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stats.checks import finite
from stats.checks import not_negative
from stats.checks import positive
from stats.checks import within
from stats.moments import Moments
from stats.posteriors import BetaPosterior
from stats.posteriors import NormalPosterior


@dataclass(frozen=True)
class Stratum:
    """One arm in one segment over a time in which its propensity did not change.

    Attributes:
        visitors: all visitors of the segment in that time, over all arms.
        propensity: the chance with which each of them was given this arm.
        n: visitors who had the arm.
        total, total_squares: Σx and Σx² over them.
    """

    visitors: float
    propensity: float
    n: float
    total: float
    total_squares: float

    def __post_init__(self) -> None:
        not_negative(self.visitors, "visitors")
        within(self.propensity, "propensity", low=0, high=1)
        within(self.n, "n", low=0, high=self.visitors)
        finite(self.total, "total")
        not_negative(self.total_squares, "total_squares")
        if self.n > 0 and self.propensity == 0:
            raise ValueError(f"n is {self.n} at a propensity of 0, must be 0 there")

    @property
    def moments(self) -> Moments:
        """The arm's own sums."""
        return Moments(self.n, self.total, self.total_squares)


@dataclass(frozen=True)
class Estimate:
    """An arm's mean per visitor.

    Attributes:
        mean: the estimate; for rates it may fall a little outside 0 to 1; 0 where the arm has no visitors.
        effective_n: how many visitors of a fixed allocation would tell as much; 0 where the arm has none.
        variance: of one visitor's value, so that the estimate's own is variance / effective_n; 0 below two visitors.
        n: visitors who had the arm.
        complete: False if the arm was closed (or in a combination unseen) for some of the visitors.
    """

    mean: float
    effective_n: float
    variance: float
    n: float
    complete: bool = True


def estimate(strata: Sequence[Stratum]) -> Estimate:
    """One arm's mean in one segment over strata in the order of time.

    Σ n_k Γ_k / Σ n_k with Γ_k = m_k + (s_k - n_ak m_k) / (n_k e_k): n_k visitors, e_k propensity, n_ak and s_k the
    arm's visitors and their sum, m_k its mean over earlier strata. Effective size (Σ n_k)² / Σ (n_k / e_k), less where
    outcomes varied more in the strata in which the arm was rare. The first stratum that the arm has visitors in gives
    its plain mean, at n_ak effective visitors: so a single stratum, a fixed policy, gives exactly s / n and n.

    Strata before that one say nothing about the arm and are left out, as are strata in which it was closed (propensity
    0, `complete` becomes False). A later stratum in which it was open but had no visitor keeps its weight: Γ_k = m_k.
    """
    used = [stratum for stratum in strata if stratum.visitors > 0]
    steps = _steps([stratum for stratum in used if stratum.propensity > 0])
    complete = all(stratum.propensity > 0 for stratum in used)
    if not steps:
        return Estimate(0.0, 0.0, 0.0, 0.0, complete)
    visitors = math.fsum(step.stratum.visitors for step in steps)
    mean = math.fsum(step.stratum.visitors * step.value for step in steps) / visitors
    own = sum((step.stratum.moments for step in steps), Moments())
    if len(steps) == 1:
        return Estimate(mean, own.n, own.variance, own.n, complete)
    size = visitors**2 / math.fsum(step.stratum.visitors**2 / step.expected for step in steps)
    return Estimate(mean, size / _unevenness(steps, mean), own.variance, own.n, complete)


def combine(estimates: Sequence[Estimate], shares: Sequence[float]) -> Estimate:
    """The mean over segments of these shares of the visitors: mean Σ share·mean, size 1 / Σ (share² / effective_n).

    Segments in which the arm has no visitors are left out and the others' shares enlarged; `complete` is then False.
    Shares need not sum to 1. The variance is the one that gives the combined estimate its own.
    """
    if len(estimates) != len(shares):
        raise ValueError(f"shares has {len(shares)} entries, must have {len(estimates)} as estimates has")
    wanted = [(one, not_negative(share, "share")) for one, share in zip(estimates, shares, strict=True) if share != 0]
    known = [(one, share) for one, share in wanted if one.effective_n > 0]
    total = math.fsum(share for _, share in known)
    complete = len(known) == len(wanted) and all(one.complete for one, _ in known)
    if total == 0:
        return Estimate(0.0, 0.0, 0.0, 0.0, complete)
    weights = [(one, share / total) for one, share in known]
    size = 1 / math.fsum(weight**2 / one.effective_n for one, weight in weights)
    error = math.fsum(weight**2 * one.variance / one.effective_n for one, weight in weights)
    mean = math.fsum(weight * one.mean for one, weight in weights)
    return Estimate(mean, size, error * size, math.fsum(one.n for one, _ in known), complete)


def beta(estimate: Estimate, prior: BetaPosterior = BetaPosterior()) -> BetaPosterior:
    """The posterior of a rate from effective counts, the mean taken into [0, 1]."""
    rate = min(max(estimate.mean, 0.0), 1.0)
    successes = rate * estimate.effective_n
    return prior.observe(successes, estimate.effective_n - successes)


def normal(estimate: Estimate, *, prior_mean: float, prior_sd: float) -> NormalPosterior:
    """The posterior of a mean value, count or profit, by the central limit theorem.

    `prior_sd` is the standard deviation of one visitor's value as known without this arm, above 0: that of all arms
    together, or half a metric's cap. It counts as one visitor's worth of knowledge of the spread:
    sd² = ((n - 1)·variance + prior_sd²) / n / effective_n. Without visitors the posterior is Normal(prior_mean,
    prior_sd), with one it is that visitor's value with prior_sd. Where all values are the same (nobody bought yet)
    their variance of 0 says nothing, and the whole of prior_sd² stands in for it.
    """
    finite(prior_mean, "prior_mean")
    positive(prior_sd, "prior_sd")
    if estimate.effective_n == 0:
        return NormalPosterior(prior_mean, prior_sd)
    variance = prior_sd**2
    if estimate.variance > 0 and estimate.n > 1:
        variance = ((estimate.n - 1) * estimate.variance + prior_sd**2) / estimate.n
    return NormalPosterior(estimate.mean, math.sqrt(variance / estimate.effective_n))


class _Step(NamedTuple):
    """A stratum, how many visitors of the arm its weight stands for, and its own estimate Γ_k."""

    stratum: Stratum
    expected: float
    value: float


def _steps(strata: list[Stratum]) -> list[_Step]:
    steps: list[_Step] = []
    known = Moments()
    for stratum in strata:
        if known.n > 0:
            expected = stratum.visitors * stratum.propensity
            surprise = stratum.total - stratum.n * known.mean
            steps.append(_Step(stratum, expected, known.mean + surprise / expected))
        elif stratum.n > 0:
            steps.append(_Step(stratum, stratum.n, stratum.moments.mean))
        known += stratum.moments
    return steps


def _unevenness(steps: list[_Step], mean: float) -> float:
    """How much more outcomes varied where the estimate leans on few of the arm's visitors; at least 1.

    The ratio of two averages over strata of the variance about the mean, each stratum's estimated by inverse
    propensity: weighted by what the stratum adds to the estimate's variance, and by its visitors. Above 1 when a rate
    rises while traffic leaves the arm. Chance alone may not enlarge the effective size, so it never falls below 1.
    """
    leverages = [step.stratum.visitors / step.expected for step in steps]
    squares = [_squares_about(step.stratum, mean) for step in steps]
    leaned = math.fsum(leverage**2 * square for leverage, square in zip(leverages, squares, strict=True))
    plain = math.fsum(leverage * square for leverage, square in zip(leverages, squares, strict=True))
    visitors = math.fsum(step.stratum.visitors for step in steps)
    nominal = math.fsum(step.stratum.visitors * leverage for step, leverage in zip(steps, leverages, strict=True))
    return max(leaned * visitors / (plain * nominal), 1.0) if plain > 0 else 1.0


def _squares_about(stratum: Stratum, mean: float) -> float:
    """Σ (x - mean)²."""
    return max(stratum.total_squares - 2 * mean * stratum.total + stratum.n * mean * mean, 0.0)
