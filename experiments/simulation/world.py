"""A world: what is true of a campaign's visitors, and where segments and arms stand in arrays. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.model import Experiment

Array = NDArray[np.float64]

_WEEK = 7


@dataclass(frozen=True)
class Values:
    """What a visitor who reaches the goal adds to it: mean and standard deviation, in the metric's unit."""

    mean: float = 1.0
    sd: float = 0.0


class World(NamedTuple):
    """What is true.

    Attributes:
        shares: of the visitors, by segment in the experiment's order; sum to 1.
        rates: of visitors who reach the goal inside its window, by segment and open arm; 0 beyond the open arms.
        values: what each of them adds to a goal that counts or sums.
        delay_seconds: how long they take on average; exponential, inside the goal's window.
        drift: by which all rates have changed at the end, as a share of what they were, in even steps.
        weekly: by which all rates swing within a week, as a share.
    """

    shares: Array
    rates: Array
    values: Values = Values()
    delay_seconds: float = 0.0
    drift: float = 0.0
    weekly: float = 0.0

    def course(self, days: int) -> Array:
        """What all rates are multiplied by on each of so many days."""
        day = np.arange(days)
        trend = 1 + self.drift * day / max(days - 1, 1)
        return np.asarray(trend * (1 + self.weekly * np.sin(2 * np.pi * day / _WEEK)))


class Places(NamedTuple):
    """Where segments and their open arms stand in arrays: names, and whether there is an arm; (segments, arms)."""

    segments: tuple[str, ...]
    arms: NDArray[np.object_]
    is_open: NDArray[np.bool_]

    def table(self, by_segment: Mapping[str, Mapping[str, float]]) -> Array:
        """Figures of open arms as an array, 0 where there is none."""
        table = np.zeros(self.arms.shape)
        for row, segment in zip(table, self.segments, strict=True):
            row[: len(by_segment[segment])] = list(by_segment[segment].values())
        return table

    def place(self, segment: str, arm: str) -> tuple[int, int]:
        """Row and column of an arm in a segment."""
        row = self.segments.index(segment)
        return row, self.arms[row].tolist().index(arm)


def places_of(experiment: Experiment) -> Places:
    """The places of an experiment's segments and arms, in the order of the draw."""
    rows = [[arm.key for arm in experiment.open_arms(segment)] for segment in experiment.segment_keys]
    widest = max(map(len, rows))
    arms = np.array([row + [""] * (widest - len(row)) for row in rows], np.object_)
    return Places(experiment.segment_keys, arms, np.asarray(arms != "", np.bool_))
