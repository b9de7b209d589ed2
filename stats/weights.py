"""Weights of a policy: posteriors in, shares that sum to 1 out, computed exactly and not by sampling."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stats.checks import within
from stats.posteriors import Posterior
from stats.ranking import probability_best

Array = NDArray[np.float64]


def even(arms: int) -> Array:
    """Every arm alike."""
    return np.full(arms, 1 / arms)


def thompson(posteriors: Sequence[Posterior], *, floor: float = 0.0) -> Array:
    """Each arm by its probability of being best, what Thompson sampling (1933) gives on average, over a floor."""
    return above_floor(probability_best(posteriors), floor=floor)


def top_two(posteriors: Sequence[Posterior], *, floor: float = 0.0, share: float = 0.5) -> Array:
    """The arm believed best with probability `share`, else the best of the others (Russo 2020).

    https://doi.org/10.1287/opre.2019.1911; the challenger's law is P(j best) renormalised without the leader.
    """
    best = probability_best(posteriors)
    if len(best) == 1:
        return above_floor(best, floor=floor)
    rest = 1 - best
    odds = np.divide(best, rest, out=np.zeros_like(best), where=rest > 0)
    weights = share * best + (1 - share) * best * (odds.sum() - odds)
    certain = rest <= 0
    if certain.any():
        weights = share * best + (1 - share) * ~certain / (len(best) - 1)
    return above_floor(weights / weights.sum(), floor=floor)


def epsilon_greedy(posteriors: Sequence[Posterior], *, epsilon: float = 0.1, floor: float = 0.0) -> Array:
    """The arm of the highest mean, except for a share `epsilon` that all arms divide; equal means divide alike."""
    within(epsilon, "epsilon", low=0, high=1)
    means = np.array([posterior.mean for posterior in posteriors])
    leads = means == means.max()
    return above_floor((1 - epsilon) * leads / leads.sum() + epsilon / len(means), floor=floor)


def above_floor(weights: Array, *, floor: float) -> Array:
    """The weights raised above a floor by what keeps their order: f + (1 − n·f)·w.

    Raises ValueError where n floors are more than everything there is.
    """
    if not 0 <= floor * len(weights) <= 1 + 1e-12:
        raise ValueError(f"floor == {floor}, must be between 0 and 1/{len(weights)} for {len(weights)} arms")
    return floor + max(1 - len(weights) * floor, 0.0) * weights


def limit_step(previous: Array, target: Array, *, max_step: float) -> Array:
    """As far from `previous` towards `target` as no weight changes by more than `max_step`."""
    largest = float(np.max(np.abs(target - previous)))
    return target if largest <= max_step else previous + (target - previous) * (max_step / largest)
