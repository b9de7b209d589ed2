"""The peer that our calls are measured against: an always-valid interval of the difference, stratified by epoch.

The two-sided normal mixture of `stats.sequences`, at the level divided by the segments (Bonferroni). Naive sums over
epochs would be no fair peer: their false calls reach 39 %, and 100 % when the base rate doubles.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.campaigns import GOAL
from benchmarks.campaigns import MASS
from benchmarks.campaigns import Campaign
from benchmarks.campaigns import letter
from experiments.contests import ALPHA
from experiments.strata import segment_strata
from stats.sequences import radius

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Difference(NamedTuple):
    """An estimate of tailored less mass, its variance, and the visitors behind it."""

    mean: float
    variance: float
    visitors: float


def by_visitors(campaign: Campaign, segment: str) -> Difference:
    """Strata weighted by their visitors: the doubly robust means that the report prints."""
    strata = segment_strata(campaign.columns(GOAL)[GOAL], campaign.allocations)
    means, arms = strata.estimates()[segment], strata.of(segment)
    one, other = means[letter(segment)], means[MASS]
    if one.effective_n == 0 or other.effective_n == 0:
        return Difference(0.0, 1.0, 1.0)
    variance = one.variance / one.effective_n + other.variance / other.effective_n
    return Difference(one.mean - other.mean, variance, float(arms.strata.visitors.sum()))


def by_information(campaign: Campaign, segment: str) -> Difference:
    """Epochs weighted by n_T n_M / (n_T + n_M) (Mantel and Haenszel 1959): no weights give a narrower interval."""
    arms = segment_strata(campaign.columns(GOAL)[GOAL], campaign.allocations).of(segment)
    sums = np.stack([arms.strata.n, arms.strata.total])
    one, other = (sums[..., arms.arms.index(arm)] for arm in (letter(segment), MASS))
    seen = (one[0] > 0) & (other[0] > 0)
    if not seen.any():
        return Difference(0.0, 1.0, 1.0)
    one, other = one[:, seen], other[:, seen]
    weights = one[0] * other[0] / (one[0] + other[0])
    weights /= weights.sum()
    mean = float(weights @ (one[1] / one[0] - other[1] / other[0]))
    return Difference(mean, _variance(weights, one) + _variance(weights, other), float((one[0] + other[0]).sum()))


def finds(campaign: Campaign, difference: str, *, tuned_for: float = 5000) -> Flags:
    """For each segment whether the interval lies above 0; `difference` names the weights of the epochs."""
    found = [DIFFERENCES[difference](campaign, segment) for segment in campaign.segments]
    alpha = ALPHA / len(campaign.segments)
    return np.array([
        one.mean > radius(one.variance, one.visitors, alpha=alpha, tuned_for=tuned_for) for one in found
    ])


DIFFERENCES = {"by visitors": by_visitors, "by information": by_information}


def _variance(weights: Array, sums: Array) -> float:
    rate = sums[1].sum() / sums[0].sum()
    return float(rate * (1 - rate) * (weights**2 / sums[0]).sum())
