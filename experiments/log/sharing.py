"""Sharing: workers share the partitions evenly; what is free, and what one held that is lost, is taken by the others.

Each looks at once where it hears that there is something to do, and now and then whatever it hears.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from math import ceil
from threading import Event
from time import monotonic

from experiments.errors import StorageError
from experiments.log.applying import Partition
from experiments.log.holding import LEASE_SECONDS
from experiments.log.holding import Holding
from experiments.log.leases import Leases
from experiments.log.leases import Lost
from experiments.signing import Keyring
from experiments.snapshot import Snapshots
from experiments.storage.bucket import LEASES
from experiments.storage.bucket import Bucket
from experiments.storage.fences import Hold
from experiments.storage.fences import Lease
from experiments.storage.log import Log
from experiments.storage.session import Session
from experiments.storage.sharded_store import ShardedStore
from experiments.storage.sharded_store import beside

_LOOKING_SECONDS = 0.5
#: Where all workers are heard, who tell at once what there is to look for.
_SELDOM_SECONDS = 2.0
_MOMENT_SECONDS = 0.05
#: Who is not heard by others, and lives, looks more often.
_UNSEEN_SECONDS = 1

log = logging.getLogger(__name__)


class Worker:
    """Holds its share of the partitions, as long as it runs."""

    def __init__(
        self, store: ShardedStore, snapshots: Snapshots, log: Log, *, name: str, keyring: Keyring
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._log = log
        self._keyring = keyring
        self._name = name
        self._held: dict[int, Partition] = {}
        self._holding: dict[str, Holding] = {}
        self._bucket = Bucket(log, LEASES)
        self._leases = Leases(self._bucket, name)
        self._workers = 1

    def run(self, ended: Event) -> None:
        """Take partitions until told to end, whatever goes wrong."""
        self._leases.start()
        while not ended.is_set():
            try:
                self._look()
            except StorageError as error:
                log.warning("partitions must wait: %s", error, extra={"event": "partitions_wait"})
            except Exception:
                log.exception("partitions must wait", extra={"event": "partitions_wait"})
            self._wait(ended)
        self._end()

    def _look(self) -> None:
        """Take what is free, as far as it is this worker's share, and let go of what is more."""
        silent = self._leases.silent()
        self._let_go([number for number, held in self._held.items() if not held.is_alive()])
        there = beside(self._store, partial(_stay, name=self._name, silent=silent))
        lost = {name: epochs for name, epochs in silent.items() if name not in there}
        share = ceil(self._store.placement.partitions / len(there))
        self._let_go(list(self._held)[share:])
        for shard in self._store.placement.shards():
            self._hold_on_in(shard)
            self._take(shard, lost, most=share - len(self._held))
        self._leases.tell(held.hold for held in self._held.values())
        self._leases.give_up(lost)
        self._workers = len(there)

    def _wait(self, ended: Event) -> None:
        """Wait until there may be something to look for, or it is time."""
        all_told = self._leases.are_all(workers=self._workers, partitions=self._store.placement.partitions)
        until = monotonic() + (_SELDOM_SECONDS if all_told else _LOOKING_SECONDS)
        while not ended.wait(_MOMENT_SECONDS) and monotonic() < until:
            if self._leases.has_news() or not all(held.is_alive() for held in self._held.values()):
                break

    def _hold_on_in(self, shard: str) -> None:
        if shard not in self._holding:
            self._holding[shard] = Holding(self._store.placement, shard, self._held_in)
            self._holding[shard].start()

    def _held_in(self, shard: str) -> list[Partition]:
        return [held for held in list(self._held.values()) if held.shard == shard]

    def _take(self, shard: str, lost: Lost, *, most: int) -> None:
        placement = self._store.placement
        numbers = [number for number in placement.partitions_of(shard) if number not in self._held]
        if most <= 0 or not numbers or placement.is_away(shard):
            # Nobody waits for it: others may be there.
            return
        try:
            holds = beside(
                placement.store(shard), partial(_taken, numbers=numbers, name=self._name, lost=lost, most=most)
            )
        except StorageError as error:
            log.info("shard %s: nothing can be taken: %s", shard, error, extra={"event": "not_taken"})
            return
        for hold in holds:
            self._begin(hold)
        _say_early(holds, lost)

    def _begin(self, hold: Hold) -> None:
        writer = self._store.placement.writer_of(hold.partition)
        held = self._held[hold.partition] = Partition(
            hold, writer, self._log, self._store, self._snapshots, keyring=self._keyring
        )
        held.start()

    def _end(self) -> None:
        self._let_go(list(self._held))
        for holding in self._holding.values():
            holding.stop()
        with suppress(StorageError):
            # Others find out once its time is over.
            beside(self._store, lambda session: session.workers.leave(self._name))
        self._leases.stop()
        self._bucket.close()

    def _let_go(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._held[number].stop()
        for number in numbers:
            self._held.pop(number).join()


def _stay(session: Session, *, name: str, silent: Lost) -> set[str]:
    """Say that a worker is there; who is, but for those who say so nowhere any more."""
    return session.workers.stay(name, seconds=LEASE_SECONDS, silent=silent, silent_seconds=_UNSEEN_SECONDS)


def _taken(session: Session, *, numbers: Sequence[int], name: str, lost: Lost, most: int) -> list[Hold]:
    """Some of these partitions that nobody holds, or who is lost."""
    leases = [Lease(*each, holder) for holder, epochs in lost.items() for each in epochs.items()]
    return session.fences.take(numbers, name, most=most, seconds=LEASE_SECONDS, lost=leases)


def _say_early(holds: Sequence[Hold], lost: Lost) -> None:
    """Tell whose partitions were taken before their leases were over, for all that is known."""
    before = {(hold.partition, hold.epoch - 1) for hold in holds}
    for name, epochs in lost.items():
        if n := len(before & epochs.items()):
            log.warning("%s is silent: %d of its partitions are taken", name, n, extra={"event": "taken_early"})
