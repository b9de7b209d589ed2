"""Posteriors in, shares of traffic out: how the arms of one segment divide the next visitors."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray

from stats.checks import not_negative
from stats.checks import positive
from stats.checks import within
from stats.posteriors import Posterior
from stats.ranking import probability_best

Array = NDArray[np.float64]

_ROUNDING = 1e-9
_UNDERFLOW = 1e-20


def even(n: int) -> Array:
    """The same weight for each of n arms."""
    if n < 1:
        raise ValueError(f"n is {n}, must be at least 1")
    return np.full(n, 1 / n)


def thompson(posteriors: Sequence[Posterior], *, floor: float = 0.0) -> Array:
    """Each arm as often as it is probably the best: Thompson sampling, exactly rather than by draws.

    Thompson 1933, "On the likelihood that one unknown probability exceeds another"; as weights of a batch: Scott 2010,
    https://doi.org/10.1002/asmb.874.
    """
    return by_chance(probability_best(posteriors), floor=floor)


def by_chance(best: ArrayLike, *, floor: float = 0.0) -> Array:
    """Thompson's weights from the arms' chances of being best."""
    return floored(_checked(best, "best"), floor)


def top_two(posteriors: Sequence[Posterior], *, floor: float = 0.0, share: float = 0.5) -> Array:
    """Top-two Thompson sampling: the supposed best arm with this share, otherwise the supposed best of the others.

    w_i = share·p_i + (1 - share)·Σ_{j≠i} p_j·p_i / (1 - p_j), p = P(best) (Russo 2020, "Simple Bayesian algorithms for
    best-arm identification", https://doi.org/10.1287/opre.2019.1911). Where no other arm has a chance above 1e-20, the
    second goes by the chance to be the best of the others. A single arm gets everything.
    """
    within(share, "share", low=0, high=1)
    best = probability_best(posteriors)
    if len(best) == 1:
        return floored(best, floor)
    challengers = [best[leader] * _challenger(posteriors, best, leader) for leader in range(len(best))]
    return floored(share * best + (1 - share) * np.sum(challengers, axis=0), floor)


def by_two_chances(best: ArrayLike, *, floor: float = 0.0, share: float = 0.5) -> Array:
    """Top-two weights from the arms' chances of being best; challengers of a certain leader divide evenly."""
    chances = _checked(best, "best")
    if len(chances) == 1:
        return floored(chances, floor)
    challengers = [chances[leader] * _without(chances, leader) for leader in range(len(chances))]
    return floored(share * chances + (1 - share) * np.sum(challengers, axis=0), floor)


def epsilon_greedy(posteriors: Sequence[Posterior], *, epsilon: float = 0.1, floor: float = 0.0) -> Array:
    """The arm with the highest mean, except for a share epsilon that all arms divide; equal means divide the rest too.

    Sutton and Barto 2018, "Reinforcement learning", section 2.2.
    """
    return by_mean([posterior.mean for posterior in posteriors], epsilon=epsilon, floor=floor)


def by_mean(means: ArrayLike, *, epsilon: float = 0.1, floor: float = 0.0) -> Array:
    """Epsilon-greedy weights from the arms' means."""
    within(epsilon, "epsilon", low=0, high=1)
    values = np.asarray(means, dtype=np.float64)
    if not values.size:
        raise ValueError("posteriors is empty, must have at least one arm")
    leaders = values == values.max()
    return floored(epsilon * even(len(values)) + (1 - epsilon) * leaders / leaders.sum(), floor)


def limit_step(previous: ArrayLike, target: ArrayLike, *, max_step: float) -> Array:
    """As far from the previous weights straight towards the target as no weight changes by more than max_step."""
    positive(max_step, "max_step")
    start = _checked(previous, "previous")
    end = _checked(target, "target")
    if start.shape != end.shape:
        raise ValueError(f"target has {len(end)} weights, must have {len(start)} as previous has")
    largest = float(np.abs(end - start).max())
    return end if largest <= max_step else start + (end - start) * (max_step / largest)


def _challenger(posteriors: Sequence[Posterior], best: Array, leader: int) -> Array:
    """How the other arms divide what is left when the leader may not be shown."""
    others = np.arange(len(best)) != leader
    rest = float(best[others].sum())
    shares = np.zeros(len(best))
    if rest > _UNDERFLOW:
        shares[others] = best[others] / rest
    else:
        shares[others] = probability_best([posterior for arm, posterior in enumerate(posteriors) if arm != leader])
    return shares


def _without(best: Array, leader: int) -> Array:
    """How the other arms divide what is left, by their chances; evenly where none has any."""
    others = np.arange(len(best)) != leader
    rest = float(best[others].sum())
    return np.where(others, best / rest if rest > _UNDERFLOW else 1 / (len(best) - 1), 0.0)


def floored(weights: Array, floor: float) -> Array:
    """floor + (1 - n·floor)·w: an additive floor keeps the order and the sum, which clipping does not."""
    n = len(weights)
    if n * not_negative(floor, "floor") > 1 + _ROUNDING:
        raise ValueError(f"floor is {floor}, must be at most 1/{n} for {n} arms")
    return floor + max(1 - n * floor, 0.0) * weights


def _checked(weights: ArrayLike, name: str) -> Array:
    array = np.asarray(weights, dtype=np.float64)
    if not (array >= 0).all() or abs(array.sum() - 1) > _ROUNDING or not array.size:
        raise ValueError(f"{name} is {array.tolist()}, must be weights from 0 to 1 that sum to 1")
    return array
