"""Alarms: what needs somebody's attention in each experiment, looked up now and then for whoever polls."""

from threading import Lock
from time import monotonic

from experiments.overview import ConcernKind
from experiments.overview import overview
from experiments.snapshot import Snapshot
from experiments.storage.store import Store

#: It takes every cell of every experiment to say.
_FRESH_SECONDS = 60

Alarm = tuple[str, ConcernKind]


class Alarms:
    """The concerns of all live experiments, at most a minute old."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._until = float("-inf")
        self._found: set[Alarm] = set()

    def latest(self, store: Store, *, snapshot: Snapshot, now_ms: int) -> set[Alarm]:
        """Which experiment needs attention, and why."""
        with self._lock:
            if monotonic() >= self._until:
                found = overview(store, snapshot=snapshot, now_ms=now_ms)
                self._found = {(one.stored.experiment.key, why.kind) for one in found for why in one.concerns}
                self._until = monotonic() + _FRESH_SECONDS
            return self._found
