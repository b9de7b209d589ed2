"""Shares: how large each segment was lately."""

from typing import NamedTuple

from experiments.counting import EXPOSURES
from experiments.privacy.suppression import withheld
from experiments.storage.store import Store
from experiments.times import DAY_MS
from experiments.times import day_of

RECENT_DAYS = 30


class RecentShares(NamedTuple):
    """The visitors who were first exposed lately: how many, and the share of each segment that is not too small."""

    visitors: int
    share_by_segment: dict[str, float]


def recent_shares(store: Store, key: str, *, now_ms: int, min_cell: int) -> RecentShares:
    """The segments' shares of the last days, those left out of which fewer than `min_cell` visitors could be told."""
    since = day_of(now_ms - RECENT_DAYS * DAY_MS)
    visitors = store.read(lambda session: session.cells.visitors_by_segment(key, metric=EXPOSURES, since_day=since))
    total = sum(visitors.values())
    hidden = withheld(visitors, min_cell=max(min_cell, 1))
    return RecentShares(total, {segment: n / total for segment, n in visitors.items() if segment not in hidden})
