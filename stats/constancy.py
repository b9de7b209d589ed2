"""Evidence that two streams of conversions do not favour an arm alike, however often one looks.

Whenever a visitor who had either of two arms converts, it was the first one with chance e·r / (e·r + 1 - e), e its
share of the two propensities and r the ratio of their rates: as in `stats.evidence`, this needs no rate. The question
is whether r is the same in two streams: before and after a day, or of two kinds. Nobody knows it, so the evidence
divides what a mixture over both ratios makes of the data by the most that equal ratios can: universal inference
(Wasserman, Ramdas and Balakrishnan 2020, https://doi.org/10.1073/pnas.1922664117), an e-process whatever base rates,
weights and delays do.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Ratios from 1/20 to 20, in steps of a tenth of log r.
STEP = 0.1
_LOG_RATIOS = np.arange(-30, 31) * STEP
_GROWTH = np.expm1(_LOG_RATIOS)
_HEIGHTS = np.exp(-0.5 * _LOG_RATIOS**2)
_PRIOR = _HEIGHTS / _HEIGHTS.sum()


class Change(NamedTuple):
    """Log evidence that the ratios differ by more than the margin, and whether the later one is the higher."""

    evidence: Array
    rises: NDArray[np.bool_]


def support(won: ArrayLike, lost: ArrayLike, share: ArrayLike) -> Array:
    """What conversions say of each log ratio: log likelihood, slope and information; shape (3, …, ratios).

    Supports of independent conversions add up.

    Args:
        won, lost: conversions of the first arm and of the second, one entry for each stratum.
        share: the propensity of the first / (its propensity + that of the second); one of 0 or 1 says nothing.
    """
    first, second, chance = (np.asarray(x, np.float64)[..., None] for x in (won, lost, share))
    told = (chance > 0) & (chance < 1)
    first, second, chance = np.where(told, first, 0.0), np.where(told, second, 0.0), np.where(told, chance, 0.5)
    both, grown = first + second, chance * _GROWTH
    found = np.empty((3, *np.broadcast_shapes(both.shape, grown.shape)))
    # Written in place: most of the time would go to finding memory for what stands between.
    likelihood, slope, information = found
    np.multiply(first, _LOG_RATIOS, out=likelihood)
    likelihood -= np.multiply(both, np.log1p(grown, out=slope), out=slope)
    expected = np.multiply(both, np.divide(chance + grown, np.add(grown, 1, out=grown), out=slope), out=slope)
    np.multiply(expected, np.divide(1 - chance, grown, out=grown), out=information)
    np.subtract(first, expected, out=slope)
    return found


def change(earlier: Array, later: Array, *, margin: float) -> Change:
    """Evidence against "the later ratio is the earlier one, but for a factor of at most 1 + margin".

    Ratios are taken to lie between 1/20 and 20; priors are Normal(0, 1) in log r. The margin is rounded to the grid.
    The highest points are found by one step of Newton's from the grid, which is right to some hundredths for
    10,000 conversions. Where one side has none, or the likeliest ratios are no further apart, evidence cannot speak for
    a change, and is 0.
    """
    steps = round(math.log1p(margin) / STEP)
    is_told = (earlier[2, ..., 0] > 0) & (later[2, ..., 0] > 0)
    if not is_told.any():
        return Change(np.zeros(is_told.shape), np.zeros(is_told.shape, np.bool_))
    apart = _peak_place(later) - _peak_place(earlier)
    found = np.zeros(apart.shape)
    far = is_told & (np.abs(apart) > steps)
    if far.any():
        found[far] = _beyond(earlier[:, far], later[:, far], steps)
    return Change(found, apart > 0)


def _beyond(earlier: Array, later: Array, steps: int) -> Array:
    """The evidence where the likeliest ratios are further apart than the margin, so that it is what binds."""
    alike = np.maximum(_peak(earlier, later, steps), _peak(later, earlier, steps))
    return np.asarray(_mixed(earlier) + _mixed(later) - alike)


def over_time(supports: Array) -> tuple[Array, Array]:
    """What each change from one stratum to the next would have before and after it, shapes (3, changes, ratios).

    Args:
        supports: of the strata in their order, shape (3, strata, ratios).
    """
    before = np.cumsum(supports, axis=1)
    return before[:, :-1], before[:, -1:] - before[:, :-1]


def at_some_time(evidence: ArrayLike, times: ArrayLike) -> float:
    """Log evidence that there was a change before some time, the k-th of which weighs 1/k(k + 1).

    Evidence is 1 for a change before the first conversion and for those to come; where there are none for a while, it
    is the same for a change at any time of it.

    Args:
        evidence: of a change before each stratum but the first.
        times: of the strata, whole numbers from 0.
    """
    logs, left = np.asarray(evidence, np.float64), 1 / (np.asarray(times, np.float64) + 1)
    if not len(logs):
        return 0.0
    return float(np.logaddexp.reduce([*(logs + np.log(left[:-1] - left[1:])), math.log(1 - left[0] + left[-1])]))


def _mixed(supports: Array) -> Array:
    highest = supports[0].max(axis=-1)
    return np.asarray(highest + np.log(np.exp(supports[0] - highest[..., None]) @ _PRIOR))


def _peak_place(supports: Array) -> NDArray[np.intp]:
    return np.asarray(supports[0].argmax(axis=-1))


def _peak(lower: Array, higher: Array, steps: int) -> Array:
    """The highest point of both at once, where one ratio is as many steps above the other, also between the grid's."""
    place = (lower[0, ..., : len(_LOG_RATIOS) - steps] + higher[0, ..., steps:]).argmax(axis=-1)
    height, slope, information = _at(lower, place) + _at(higher, place + steps)
    step = np.clip(slope / np.maximum(information, 1e-300), -STEP, STEP)
    return np.asarray(height + slope * step - 0.5 * information * step**2)


def _at(supports: Array, place: NDArray[np.intp]) -> Array:
    return np.take_along_axis(supports, place[None, ..., None], axis=-1)[..., 0]
