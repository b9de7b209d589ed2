"""Gauss-Legendre quadrature on panels that are fine only where some density is narrow."""

import functools
import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
import scipy

Array = NDArray[np.float64]

# Twenty nodes interpolate a Normal over two standard deviations to 1e-15.
NODES = 20
PANEL_WIDTH = 2.0
_SCALE_STEP = 1.25


class Cumulated(NamedTuple):
    """Integrals of rows of values, one column a node.

    Attributes:
        up_to: from the first panel's lower end to the node.
        beyond: from the node to the last panel's upper end.
    """

    up_to: Array
    beyond: Array


class Panels(NamedTuple):
    """Adjoining or separate intervals, in ascending order.

    Attributes:
        middles, halves: centre and half width of each.
    """

    middles: Array
    halves: Array

    @property
    def nodes(self) -> Array:
        """Every node, panel after panel; shape (panels · NODES)."""
        nodes: Array = (self.middles[:, None] + self.halves[:, None] * rule().nodes).ravel()
        return nodes

    @property
    def weights(self) -> Array:
        """The weight of every node."""
        weights: Array = (self.halves[:, None] * rule().weights).ravel()
        return weights

    def cumulate(self, values: Array) -> Cumulated:
        """Integrals of each row up to every node and beyond it; each keeps its small end exact."""
        rows = len(values)
        pieces = values.reshape(rows, len(self.halves), NODES) * self.halves[:, None]
        totals = pieces @ rule().weights
        below = np.zeros_like(totals)
        above = np.zeros_like(totals)
        np.cumsum(totals[:, :-1], axis=1, out=below[:, 1:])
        above[:, :-1] = np.cumsum(totals[:, :0:-1], axis=1)[:, ::-1]
        up_to = pieces @ rule().up_to + below[:, :, None]
        beyond = pieces @ rule().beyond + above[:, :, None]
        return Cumulated(up_to.reshape(rows, -1), beyond.reshape(rows, -1))


class Rule(NamedTuple):
    """A rule on (-1, 1): its nodes, their weights, and what integrates values up to each node and beyond it."""

    nodes: Array
    weights: Array
    up_to: Array
    beyond: Array


@functools.cache
def rule() -> Rule:
    """Nodes and weights on (-1, 1), and the matrices that integrate the interpolating polynomial up to each node.

    With ℓ_k = w_k Σ_j (2j + 1)/2 P_j(x_k) P_j and ∫_{-1}^x P_j = (P_{j+1} - P_{j-1})(x) / (2j + 1).
    """
    nodes, weights = scipy.special.roots_legendre(NODES)
    degrees = np.arange(NODES + 1)
    legendre = scipy.special.eval_legendre(degrees[:, None], nodes)
    integrals = np.vstack([1 + nodes, legendre[2:] - legendre[:-2]]) / 2
    up_to = weights[:, None] * (legendre[:NODES].T @ integrals)
    return Rule(nodes, weights, up_to, weights[:, None] - up_to)


def panels(stretches: Iterable[tuple[float, float, float]]) -> Panels:
    """Panels over the union of stretches (lower, upper, scale), the finest stretch winning where they overlap.

    Stretches of nearly one scale are taken as one from their lowest to their highest end, so that a thousand arms
    cost no more panels than two.
    """
    hulls = _hulls(stretches)
    taken: list[tuple[float, float]] = []
    cuts: list[Array] = []
    for step in sorted(hulls):
        free = _without(hulls[step], taken)
        cuts += [_cut(lower, upper, _SCALE_STEP**step * PANEL_WIDTH) for lower, upper in free]
        taken += free
    cuts.sort(key=lambda cut: float(cut[0]))
    lowers = np.concatenate([cut[:-1] for cut in cuts])
    uppers = np.concatenate([cut[1:] for cut in cuts])
    return Panels((lowers + uppers) / 2, (uppers - lowers) / 2)


def _hulls(stretches: Iterable[tuple[float, float, float]]) -> dict[int, tuple[float, float]]:
    hulls: dict[int, tuple[float, float]] = {}
    for lower, upper, scale in stretches:
        if upper > lower:
            step = math.floor(math.log(scale) / math.log(_SCALE_STEP))
            known = hulls.get(step, (lower, upper))
            hulls[step] = min(lower, known[0]), max(upper, known[1])
    return hulls


def _without(stretch: tuple[float, float], taken: list[tuple[float, float]]) -> list[tuple[float, float]]:
    free = [stretch]
    for start, end in taken:
        pieces = [piece for lower, upper in free for piece in ((lower, min(upper, start)), (max(lower, end), upper))]
        free = [(lower, upper) for lower, upper in pieces if upper > lower]
    return free


def _cut(lower: float, upper: float, width: float) -> Array:
    return np.linspace(lower, upper, math.ceil((upper - lower) / width) + 1)
