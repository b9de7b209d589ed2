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

import numpy as np
from numpy.typing import NDArray

from stats.checks import finite
from stats.checks import not_negative
from stats.checks import positive
from stats.checks import within
from stats.moments import Moments
from stats.posteriors import BetaPosterior
from stats.posteriors import NormalPosterior

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


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


class Strata(NamedTuple):
    """All arms of one segment over time: visitors, shape (strata); the rest as of `Stratum`, shape (strata, arms).

    Of several segments, shapes (segments, strata) and (segments, strata, arms).
    """

    visitors: Array
    propensity: Array
    n: Array
    total: Array
    total_squares: Array


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


#: Of an arm that nobody has had.
NOTHING = Estimate(0.0, 0.0, 0.0, 0.0)


def estimate(strata: Sequence[Stratum]) -> Estimate:
    """One arm's mean in one segment over strata in the order of time; see `estimates`."""
    columns = [[[getattr(stratum, name)] for stratum in strata] for name in Strata._fields[1:]]
    visitors = np.array([stratum.visitors for stratum in strata], dtype=np.float64)
    by_arm = (np.array(column, dtype=np.float64).reshape(1, -1, 1) for column in columns)
    return estimates(Strata(visitors[None], *by_arm))[0][0]


def estimates(strata: Strata) -> list[list[Estimate]]:
    """The mean of every arm of several segments, by segment, over its strata in the order of time.

    Σ n_k Γ_k / Σ n_k with Γ_k = m_k + (s_k - n_ak m_k) / (n_k e_k): n_k visitors, e_k propensity, n_ak and s_k the
    arm's visitors and their sum, m_k its mean over earlier strata. Effective size (Σ n_k)² / Σ (n_k / e_k), less where
    outcomes varied more in the strata in which the arm was rare. The first stratum that the arm has visitors in gives
    its plain mean, at n_ak effective visitors: so a single stratum, a fixed policy, gives exactly s / n and n.

    Strata before that one say nothing about the arm and are left out, as are strata in which it was closed (propensity
    0, `complete` becomes False). A later stratum in which it was open but had no visitor keeps its weight: Γ_k = m_k.
    """
    steps = _steps(strata)
    visitors = (steps.used * steps.visitors).sum(axis=1)
    n, total, squares = np.stack([strata.n, strata.total, strata.total_squares]).sum(axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        plain = total / n
        variances = np.where(n < 2, 0.0, np.maximum(squares - total * plain, 0.0) / (n - 1))
        means = (steps.used * steps.visitors * steps.value).sum(axis=1) / visitors
        sizes = visitors**2 / (steps.used * steps.visitors**2 / steps.expected).sum(axis=1)
        sizes = sizes / _unevenness(strata, steps, means)
    used = steps.used.sum(axis=1)
    figures = used, np.where(used > 1, means, plain), np.where(used > 1, sizes, n), variances, n, steps.complete
    return [
        [_summary(*arm) for arm in zip(*row, strict=True)]
        for row in zip(*(part.tolist() for part in figures), strict=True)
    ]


def _summary(used: int, mean: float, size: float, variance: float, n: float, complete: bool) -> Estimate:
    return Estimate(mean, size, variance, n, complete) if used else Estimate(0.0, 0.0, 0.0, 0.0, complete)


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


class _Steps(NamedTuple):
    """By stratum and arm: whether it is used, how many visitors of the arm its weight stands for, and Γ_k.

    Where a stratum is not used, `expected` is 1 and `value` 0.
    """

    visitors: Array
    used: Flags
    expected: Array
    value: Array
    complete: Flags


def _steps(strata: Strata) -> _Steps:
    visitors = np.broadcast_to(strata.visitors[..., None], strata.n.shape)
    came, is_open = visitors > 0, strata.propensity > 0
    before, total_before = strata.n.cumsum(axis=1) - strata.n, strata.total.cumsum(axis=1) - strata.total
    is_first = (before <= 0) & (strata.n > 0)
    used = came & is_open & ((before > 0) | is_first)
    # The plain mean in the first stratum, the mean so far later.
    known = np.where(is_first, strata.n, np.where(before > 0, before, 1.0))
    base = np.where(is_first, strata.total, total_before) / known
    expected = np.where(used, np.where(is_first, strata.n, visitors * strata.propensity), 1.0)
    value = np.where(used, base + (strata.total - strata.n * base) / expected, 0.0)
    return _Steps(visitors, used, expected, value, np.asarray((is_open | ~came).all(axis=1)))


def _unevenness(strata: Strata, steps: _Steps, means: Array) -> Array:
    """How much more outcomes varied where the estimate leans on few of the arm's visitors; at least 1.

    The ratio of two averages over strata of the variance about the mean, each stratum's estimated by inverse
    propensity: weighted by what the stratum adds to the estimate's variance, and by its visitors. Above 1 when a rate
    rises while traffic leaves the arm. Chance alone may not enlarge the effective size, so it never falls below 1.
    """
    leverages = steps.used * steps.visitors / steps.expected
    # Σ (x - mean)²
    about = means[:, None]
    squares = np.maximum(strata.total_squares - 2 * about * strata.total + strata.n * about**2, 0.0)
    leaned, plain = (leverages**2 * squares).sum(axis=1), (leverages * squares).sum(axis=1)
    visitors, nominal = (steps.used * steps.visitors).sum(axis=1), (steps.visitors * leverages).sum(axis=1)
    return np.where(plain > 0, np.maximum(leaned * visitors / (plain * nominal), 1.0), 1.0)
