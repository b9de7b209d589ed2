"""The pace of a writer: how many works it commits together, how long that takes, and how long they have waited."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_WORKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Histogram:
    """How many values are up to each bound; one thread adds, any thread reads."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def up_to(self) -> list[tuple[float, int]]:
        """Each bound, the last without end, with how many values are no larger."""
        found, reached = [], 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts.copy(), strict=True):
            reached += count
            found.append((bound, reached))
        return found


class Pace(NamedTuple):
    """What is known of a writer: of each commit its seconds, its works, and the wait of the work that came first."""

    commit_seconds: Histogram
    works: Histogram
    wait_seconds: Histogram


def new_pace() -> Pace:
    """The pace of a writer that has written nothing yet."""
    return Pace(Histogram(_SECONDS), Histogram(_WORKS), Histogram(_SECONDS))
