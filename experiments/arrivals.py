"""Arrivals: on which day after their exposure visitors reach the goal, and in which part of its window. Pure."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.counting import LAG_BUCKETS
from experiments.model import Metric

Array = NDArray[np.float64]

_DAY_SECONDS = 86_400


class Arrivals(NamedTuple):
    """How the conversions of visitors who are exposed evenly over a day spread over that day and later ones.

    Attributes:
        days: the share that comes so many days later; sums to 1 with what is `late`.
        late: the share that comes after the last of these days.
        buckets: for each day, how what comes on it divides among the parts of the window; rows sum to 1.
    """

    days: Array
    late: float
    buckets: Array


def arrivals(goal: Metric, *, mean_seconds: float, days: int) -> Arrivals:
    """The arrivals during so many days: delays are exponential inside the goal's window, or none at all."""
    if mean_seconds == 0 and goal.from_seconds == 0:
        return Arrivals(np.ones(1), 0.0, np.eye(1, LAG_BUCKETS))
    edges = np.linspace(0.0, goal.window_seconds, LAG_BUCKETS + 1)
    within = np.diff(_come_by(edges, goal, mean_seconds=mean_seconds))
    most = min(days, int(np.ceil(goal.window_seconds / _DAY_SECONDS)) + 1)
    by_midnight = within * _over_by(np.arange(1.0, most + 1)[:, None], edges / _DAY_SECONDS)
    joint = np.diff(by_midnight, axis=0, prepend=0.0).clip(min=0.0)
    by_day = joint.sum(axis=1)
    # On a day on which nothing can come there is nothing to divide.
    joint[by_day == 0, 0] = 1.0
    return Arrivals(by_day, max(1 - float(by_day.sum()), 0.0), joint / joint.sum(axis=1, keepdims=True))


def _come_by(ages: Array, goal: Metric, *, mean_seconds: float) -> Array:
    """The share of conversions that have come by these ages."""
    waited = np.clip(ages - goal.from_seconds, 0, None)
    if mean_seconds == 0:
        return np.asarray((waited > 0).astype(np.float64))
    come = -np.expm1(-waited / mean_seconds)
    return np.asarray(come / come[-1])


def _over_by(midnights: Array, edges: Array) -> Array:
    """The chance that exposure and delay are over by a midnight, the delay even inside its bucket; times in days.

    The exposure lies evenly in the first day, so over a delay of L the chance is m - L between 0 and 1.
    """
    upper, lower = _area(midnights - edges[:-1]), _area(midnights - edges[1:])
    return np.asarray((upper - lower) / np.diff(edges))


def _area(time: Array) -> Array:
    """∫ of a chance that rises evenly from 0 to 1 during the first day."""
    return np.asarray(np.clip(time, 0, 1) ** 2 / 2 + np.maximum(time - 1, 0))
