"""Holding: what a worker has taken in a shard is held on, all of it in one transaction.

In a thread for each shard: one that does not answer keeps nobody from holding on what is in the others.
"""

import logging
from collections.abc import Callable
from collections.abc import Collection
from threading import Event
from threading import Thread
from typing import Protocol

from experiments.errors import StorageError
from experiments.storage.fences import Hold
from experiments.storage.placement import Placement
from experiments.storage.sharded_store import beside

LEASE_SECONDS = 5
_HOLDING_SECONDS = 1.0

log = logging.getLogger(__name__)


class Held(Protocol):
    """A partition that is held."""

    @property
    def hold(self) -> Hold:
        """By what."""

    def lose(self) -> None:
        """Know that somebody else has taken it."""


class Holding(Thread):
    """Holds on what a worker has in one shard, until stopped."""

    def __init__(self, placement: Placement, shard: str, held: Callable[[str], Collection[Held]]) -> None:
        super().__init__(name=f"holding in {shard}", daemon=True)
        self._placement = placement
        self._shard = shard
        self._held = held
        self._stopped = Event()

    def run(self) -> None:
        """Hold it on again and again, whatever goes wrong."""
        while not self._stopped.wait(_HOLDING_SECONDS):
            try:
                self._hold_on()
            except StorageError as error:
                log.info("shard %s: nothing is held on: %s", self._shard, error, extra={"event": "not_held_on"})
            except Exception:
                log.exception("shard %s: nothing is held on", self._shard, extra={"event": "not_held_on"})

    def _hold_on(self) -> None:
        held = self._held(self._shard)
        if not held:
            return
        holds = [each.hold for each in held]
        taken = beside(
            self._placement.store(self._shard), lambda session: session.fences.hold_on(holds, seconds=LEASE_SECONDS)
        )
        for each in held:
            if each.hold.partition in taken:
                each.lose()

    def stop(self) -> None:
        """Hold nothing on any more."""
        self._stopped.set()
        self.join()
