"""Likelihood ratios of many contests at once, mixed over how much better an arm may be.

A contest is the conversions that two arms had in strata of constant propensities; with e the first arm's share and r
the ratio of the rates, a conversion is that arm's with chance e·r / (e·r + 1 - e). f(u) is the log likelihood ratio of
u = log r against 0 less u² / (2 scale²): concave, and bending by 1 / scale² at least.
"""

import math
from typing import Any
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
import scipy

from stats.quadrature import NODES
from stats.quadrature import rule

Array = NDArray[np.float64]

_CEILING_STEPS = 5
_NEWTON_STEPS = 100
# A peak needs no more than this of the integrand's width: the nodes reach far beyond.
_NEAR = 1e-3
# What lies further down the slopes than e to the power of this is left out.
_REACH = 27.0
# As many widths as a Normal needs to fall so far, and those that one panel's nodes interpolate to 1e-12.
_FIRST_REACH = 7.5
_PANEL_WIDTHS = 7.5
_MORE = 1.3
# Contests times strata of one pass: what its points take stays in a processor's cache.
_ROOM = 1000


class Ratios(NamedTuple):
    """Contests; shapes (contests, strata), where a stratum that says nothing has no conversions.

    Attributes:
        won: conversions of the first arm.
        both: of the two together.
        share: e, strictly between 0 and 1.
        scale: of the half-normal over which u is mixed.
    """

    won: Array
    both: Array
    share: Array
    scale: float

    def at(self, u: Array) -> Array:
        """f at some points of each contest, none below 0; shapes (contests, points)."""
        told = self.won.sum(axis=1) - self.both.sum(axis=1)
        growth = np.log1p((1 - self.share)[:, None] * np.expm1(-u)[..., None]) @ self.both[..., None]
        return np.asarray(told[:, None] * u - growth[..., 0] - 0.5 * (u / self.scale) ** 2)

    def slope_and_bend(self, u: Array) -> tuple[Array, Array]:
        """f' and -f'' at one point of each contest."""
        chance = scipy.special.expit(scipy.special.logit(self.share) + u[:, None])
        mine = self.both * chance
        slope = (self.won - mine).sum(axis=1) - u / self.scale**2
        return slope, (mine * (1 - chance)).sum(axis=1) + self.scale**-2

    def only(self, contests: Any) -> "Ratios":
        """Some of the contests, by an index of arrays."""
        return Ratios(self.won[contests], self.both[contests], self.share[contests], self.scale)


def ratios(won: Array, lost: Array, share: Array, *, scale: float) -> Ratios:
    """The contests of arrays of shape (contests, strata); shares of 0 and 1 offer no choice."""
    choice = (share > 0) & (share < 1)
    won = np.where(choice, won, 0.0)
    return Ratios(won, won + np.where(choice, lost, 0.0), np.where(choice, share, 0.5), scale)


def mixed(contests: Ratios) -> Array:
    """log ∫ e^f(u) √(2/π) / scale du over u >= 0; Newton finds where it lives, quadrature integrates it."""
    found = np.zeros(len(contests.both))
    told = np.flatnonzero(contests.both.any(axis=1))
    at_once = max(_ROOM // contests.both.shape[1], 1) if len(told) else 1
    for first in range(0, len(told), at_once):
        some = told[first : first + at_once]
        found[some] = _integrated(contests.only(some))
    return found


def ceilings(contests: Ratios) -> Array:
    """What `mixed` cannot exceed: f(u) + f'(u)²·scale²/2 + log 2 at any u, the nearer to the peak the closer."""
    u = np.zeros(len(contests.both))
    best = np.full(len(u), np.inf)
    for _ in range(_CEILING_STEPS):
        slope, bend = contests.slope_and_bend(u)
        # Where the peak lies below u = 0 the integrand only falls.
        rise = np.where((u == 0) & (slope <= 0), 0.0, 0.5 * (slope * contests.scale) ** 2)
        best = np.minimum(best, contests.at(u[:, None])[:, 0] + rise)
        u = np.maximum(u + slope / bend, 0.0)
    return np.asarray(best + math.log(2))


def _integrated(contests: Ratios) -> Array:
    peak = _peaks(contests)
    highest = contests.at(peak[:, None])[:, 0]
    slope, bend = contests.slope_and_bend(peak)
    # Where even the start is past the peak, the integrand falls off at once.
    length = np.where(peak > 0, bend**-0.5, 1 / np.maximum(np.sqrt(bend), -slope))
    lower = np.maximum(peak - _reaches(contests, peak, highest, -length), 0.0)
    upper = peak + _reaches(contests, peak, highest, length)
    panels = max(1, math.ceil(float(((upper - lower) / length).max()) / _PANEL_WIDTHS))
    halves = (upper - lower) / (2 * panels)
    middles = lower[:, None] + halves[:, None] * (2 * np.arange(panels) + 1)
    nodes = (middles[..., None] + halves[:, None, None] * rule().nodes).reshape(len(peak), panels * NODES)
    values = np.exp(contests.at(nodes) - highest[:, None])
    integrals = (values.reshape(len(peak), panels, NODES) @ rule().weights).sum(axis=1) * halves
    return np.asarray(highest + np.log(integrals) + 0.5 * math.log(2 / math.pi) - math.log(contests.scale))


def _peaks(contests: Ratios) -> Array:
    """The highest points at u >= 0, or near them: Newton's method, or half of what is left where that leads out."""
    u, low = np.zeros(len(contests.both)), np.zeros(len(contests.both))
    slope, bend = contests.slope_and_bend(u)
    rising = slope > 0
    # The slope falls by 1 / scale² at least.
    high = np.maximum(slope, 0.0) * contests.scale**2
    for _ in range(_NEWTON_STEPS):
        step = slope / bend
        if (~rising | (np.abs(step) <= _NEAR / np.sqrt(bend))).all():
            break
        low, high = np.where(slope > 0, u, low), np.where(slope > 0, high, u)
        following = u + step
        inside = (low < following) & (following < high)
        u = np.where(rising, np.where(inside, following, (low + high) / 2), 0.0)
        slope, bend = contests.slope_and_bend(u)
    return u


def _reaches(contests: Ratios, peak: Array, highest: Array, length: Array) -> Array:
    """How far from the peak the integrand has fallen for good, on the side of a length's sign; at most to u = 0."""
    reach = np.abs(length) * _FIRST_REACH
    while True:
        points = np.maximum(peak + np.sign(length) * reach, 0.0)
        short = (points > 0) & (contests.at(points[:, None])[:, 0] > highest - _REACH)
        if not short.any():
            return reach
        reach = np.where(short, reach * _MORE, reach)
