"""Shares over time: how many visitors each segment had in each day or week, and whether its share moved. Pure."""

from collections.abc import Set
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.columns import Columns
from experiments.privacy.suppression import coarse_share
from experiments.privacy.suppression import hidden_counts
from experiments.times import date_of
from stats.drift import Share
from stats.drift import share_change

Array = NDArray[np.float64]

#: Over more days than these weeks are told, which begin on Mondays; the first Monday was the fifth day of 1970.
MOST_DAYS = 35
_MONDAY = 4
#: A share that moved by less than this part of itself is as it was, however sure that is.
LEAST_MOVE = 0.2
#: The chance that any share of an experiment is said to have moved in one look, though none has.
ALPHA = 0.05


@dataclass(frozen=True)
class Stretch:
    """A day or a week, by its first day (UTC): a segment's visitors, and their share; None where they are too few."""

    start: str
    visitors: int | None
    share: float | None


@dataclass(frozen=True)
class ShareMove:
    """A segment's share of the visitors before a day and since; `low` and `high` are of the difference.

    `moved` says that both are apart, at the error of all segments together, and by a fifth at least.
    """

    before: float
    lately: float
    low: float
    high: float
    moved: bool


class Counts(NamedTuple):
    """Visitors by segment (rows) and stretch (columns), and the first day of each stretch."""

    segments: tuple[str, ...]
    starts: NDArray[np.int64]
    days: int
    visitors: Array

    def stretches(self, *, withheld: Set[str], min_cell: int) -> dict[str, list[Stretch]]:
        """Every segment's, the oldest first; nothing of the segments of which some figures are `withheld`."""
        hidden = hidden_counts(self.visitors, min_cell=min_cell)
        hidden[[segment in withheld for segment in self.segments]] = True
        totals = self.visitors.sum(axis=0)
        dates = [date_of(start) for start in self.starts.tolist()]
        step = min_cell if withheld else 0
        return {
            segment: [
                Stretch(day, None, None) if is_hidden else Stretch(day, round(n), shown_share(n, total, min_cell=step))
                for day, n, total, is_hidden in zip(dates, row, totals.tolist(), hides, strict=True)
            ]
            for segment, row, hides in zip(self.segments, self.visitors.tolist(), hidden.tolist(), strict=True)
        }


def shown_share(n: float, total: float, *, min_cell: int) -> float | None:
    """A share of all visitors, so coarse that it leaves their number open by so many; None where there are none."""
    if not total:
        return None
    return coarse_share(n / total, round(total), min_cell=min_cell) if min_cell else n / total


def counted(exposures: Columns, segments: tuple[str, ...], *, today: int) -> Counts:
    """How many visitors came, from the first day on which any did until today."""
    # Clocks of several nodes are not all alike: some may have come tomorrow.
    first, last = int(exposures.day.min(initial=today)), int(exposures.day.max(initial=today))
    end = last + 1
    length = 1 if end - first <= MOST_DAYS else 7
    starts = np.arange(first if length == 1 else first - (first - _MONDAY) % 7, end, length)
    shape = len(segments), len(starts)
    rows = exposures.segment.placed({segment: place for place, segment in enumerate(segments)})
    cells = rows * shape[1] + (exposures.day - starts[0]) // length
    visitors = np.bincount(cells, exposures.n, minlength=shape[0] * shape[1]).astype(np.float64)
    return Counts(segments, starts, length, visitors.reshape(shape))


def share_moves(
    exposures: Columns, segments: tuple[str, ...], *, since_day: int, withheld: Set[str], min_cell: int
) -> dict[str, ShareMove | None]:
    """How the share of each segment moved; None where either side is too small to tell, or may not be shown."""
    rows = exposures.segment.placed({segment: place for place, segment in enumerate(segments)})
    lately = exposures.day >= since_day
    sides = [np.bincount(rows[side], exposures.n[side], minlength=len(segments)) for side in (~lately, lately)]
    hidden = np.logical_or(*hidden_counts(np.array(sides), min_cell=min_cell))
    totals = [float(side.sum()) for side in sides]
    mass, step = 1 - ALPHA / len(segments), min_cell if withheld else 0
    return {
        segment: None if hidden[place] or segment in withheld or not all(totals) else _move(
            (float(sides[0][place]), totals[0]), (float(sides[1][place]), totals[1]), mass=mass, min_cell=step
        )
        for place, segment in enumerate(segments)
    }


def _move(before: Share, lately: Share, *, mass: float, min_cell: int) -> ShareMove:
    low, high = share_change(before, lately, mass=mass)
    then, now = before[0] / before[1], lately[0] / lately[1]
    has_moved = (low > 0 or high < 0) and abs(now - then) >= LEAST_MOVE * max(then, now)
    if min_cell:
        then, now = (coarse_share(one[0] / one[1], round(one[1]), min_cell=min_cell) for one in (before, lately))
        low, high = round(low, 2), round(high, 2)
    return ShareMove(then, now, low, high, has_moved)
