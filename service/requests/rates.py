"""Rates: how often somebody may ask, by token buckets that fill steadily. No clock inside; any thread may take."""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import NamedTuple

_MOST_BUCKETS = 50_000


class Rate(NamedTuple):
    """So many requests in so many seconds, all of them at once if need be."""

    requests: int
    seconds: int


class Standing(NamedTuple):
    """A bucket after a request: whether that passes, and how many more would.

    `seconds` is when the bucket is full again; for a request that does not pass, when one will.
    """

    passes: bool
    left: int
    seconds: int


class Buckets:
    """A bucket for each holder; the one that was not asked for longest is forgotten where there are too many."""

    def __init__(self, rate: Rate, *, most: int = _MOST_BUCKETS) -> None:
        self.rate = rate
        self._most = most
        self._lock = Lock()
        # A bucket is the moment at which it is full again, in parts of a millisecond so small that each request
        # takes a whole number of them.
        self._full_at: OrderedDict[Hashable, int] = OrderedDict()
        self._cost = rate.seconds * 1000
        self._depth = rate.requests * self._cost

    def take(self, holder: Hashable, *, now_ms: int) -> Standing:
        """Take one request out of the holder's bucket, if one is left."""
        now = now_ms * self.rate.requests
        with self._lock:
            # A clock that is set back must not keep a bucket empty for longer than it takes to fill.
            before = min(max(self._full_at.pop(holder, now), now), now + self._depth)
            full_at = before + self._cost
            spare = now + self._depth - full_at
            self._full_at[holder] = full_at if spare >= 0 else before
            if len(self._full_at) > self._most:
                self._full_at.popitem(last=False)
        if spare < 0:
            return Standing(False, 0, self._seconds(-spare))
        return Standing(True, spare // self._cost, self._seconds(full_at - now))

    def __len__(self) -> int:
        return len(self._full_at)

    def _seconds(self, parts: int) -> int:
        """The seconds that so many parts last, begun ones included."""
        return -(-parts // (self.rate.requests * 1000))
