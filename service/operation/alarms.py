"""Alarms: what needs somebody's attention in each experiment, looked up now and then for whoever polls."""

from collections.abc import Callable
from collections.abc import Sequence
from threading import Lock
from time import monotonic

from experiments.overview import ConcernKind
from experiments.overview import Summary

#: While visitors come, it takes every cell of every experiment to say.
_FRESH_SECONDS = 60

Alarm = tuple[str, ConcernKind]


class Alarms:
    """The concerns of all live experiments, at most a minute old."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._until = float("-inf")
        self._found: set[Alarm] = set()

    def latest(self, look: Callable[[], Sequence[Summary]]) -> set[Alarm]:
        """Which experiment needs attention, and why; `look` takes every experiment in short."""
        with self._lock:
            if monotonic() >= self._until:
                self._found = {(one.stored.experiment.key, why.kind) for one in look() for why in one.concerns}
                self._until = monotonic() + _FRESH_SECONDS
            return self._found
