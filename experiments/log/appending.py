"""Appending: a node's way in for events that go through a log, and its care for them until the shards have them."""

import logging
from collections import defaultdict
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import Future
from threading import Event
from threading import Thread
from time import monotonic
from time import sleep
from typing import TypeVar

from experiments.admission import Admission
from experiments.admission import Admitted
from experiments.admission import Lookups
from experiments.admission import Refusal
from experiments.assignment import Plan
from experiments.errors import BespokeError
from experiments.errors import StorageBusy
from experiments.errors import StorageUnreachable
from experiments.events import Countable
from experiments.log.entries import receipt_at_the_door
from experiments.log.entries import written
from experiments.partitions import partition_of
from experiments.receipts import Receipt
from experiments.signing import Keyring
from experiments.snapshot import Snapshot
from experiments.snapshot import Snapshots
from experiments.storage.log import Log
from experiments.storage.log import PUBLISHING_SECONDS
from experiments.storage.session import Session
from experiments.storage.sharded_store import ShardedStore
from experiments.storage.sharded_store import beside
from experiments.storage.spool import Source
from experiments.storage.spool import Spool
from experiments.storage.spools import SpoolRow

_LOOKING_SECONDS = 0.5
#: What has not been applied for so long, while nothing before it was, may be lost to the log; ever more patience after.
_PATIENCE_SECONDS = 2.0
_MOST_PATIENCE_SECONDS = 30.0
_LEAVING_SECONDS = 5.0
_AGAIN_BYTES = 64 << 20

T = TypeVar("T")

log = logging.getLogger(__name__)


class Appending:
    """Events are admitted by the newest snapshot, kept in the spool, and handed on to the log.

    `waits` says whether an event is answered only once the log has it too.
    """

    def __init__(
        self, store: ShardedStore, snapshots: Snapshots, *, spool: Spool, log: Log, keyring: Keyring, waits: bool
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self.spool = spool
        self.log = log
        self.waits = waits
        self._keyring = keyring

    def take(self, events: Mapping[int, Countable], *, trusted: bool) -> dict[int, Receipt]:
        """Keep events; in the spool when this returns and, where that is promised, on several nodes of the log.

        :raises StorageError: if they are not; those in the spool may come to be counted, and once.
        """
        snapshot = self._snapshot()
        visitors = [event.visitor for event in events.values()]
        lookups = Lookups(self._plan_in, self._tombstones)
        admission = Admission(snapshot, lookups, keyring=self._keyring, visitors=visitors)
        read = {index: admission.admit(event, trusted=trusted) for index, event in events.items()}
        parts = self._parted(read)
        bodies = {partition: written(part, version=snapshot.version) for partition, part in parts.items()}
        published = self.log.publish(self.spool.append(bodies))
        if self.waits:
            _await(published)
        return {index: receipt_at_the_door(each) for index, each in read.items()}

    def asked(self, visitors: Collection[bytes], question: Callable[[Session, Sequence[bytes]], T]) -> list[T]:
        """What each shard answers of those of some visitors who are in it; it does not know what waits to be applied.

        :raises StorageUnreachable: if a shard cannot be asked.
        """
        placement, by_shard = self._store.placement, defaultdict[str, list[bytes]](list)
        for visitor in visitors:
            by_shard[placement.shard_of(partition_of(visitor, placement.partitions))].append(visitor)
        return [
            placement.store(shard).read(lambda session, some=some: question(session, some))  # type: ignore[misc]
            for shard, some in by_shard.items()
        ]

    def _snapshot(self) -> Snapshot:
        """The configuration as it is, or as it was last where the control database is away."""
        try:
            return self._store.read(self._snapshots.within)
        except StorageUnreachable:
            return self._snapshots.latest

    def _plan_in(self, newest: Plan, epoch: int) -> Plan | None:
        return self._store.read(lambda session: self._snapshots.epochs.plan(session, newest, epoch=epoch))

    def _tombstones(self, marks: Collection[bytes]) -> Mapping[bytes, int]:
        return self._store.read(lambda session: session.tombstones.of(marks))

    def _parted(self, read: Mapping[int, Admitted | Refusal]) -> dict[int, list[Admitted | Refusal]]:
        parts: dict[int, list[Admitted | Refusal]] = defaultdict(list)
        for each in read.values():
            visitor, _ = each.key if isinstance(each, Refusal) else each.row.key
            parts[partition_of(visitor, self._store.placement.partitions)].append(each)
        return parts


def _await(published: "list[Future[None]]") -> None:
    until = monotonic() + 2 * PUBLISHING_SECONDS
    for future in published:
        try:
            future.result(max(until - monotonic(), 0))
        except TimeoutError as error:
            raise StorageBusy("the log has not taken an event in time; sent again, it counts once") from error


class Keeper(Thread):
    """Lets go of what has been applied, publishes again what the log has lost, and tells what still waits.

    `place` is where the spool is, for people who look for it.
    """

    def __init__(self, store: ShardedStore, spool: Spool, log: Log, *, place: str) -> None:
        super().__init__(name="keeper", daemon=True)
        self._store = store
        self._spool = spool
        self._log = log
        self._place = place
        self._stopped = Event()
        self._stalls: dict[Source, _Stall] = {}

    def run(self) -> None:
        """Look again and again, whatever goes wrong, until stopped."""
        self.look()
        while not self._stopped.wait(_LOOKING_SECONDS):
            self.look()

    def tell(self) -> None:
        """Tell that there is a spool, before anything is accepted into it: else the watermark would not mind it.

        :raises StorageError: if the control database cannot be told.
        """
        beside(self._store, self._tell)

    def look(self) -> None:
        """Look once."""
        try:
            self._spool.adopt()
            self._keep()
            self.tell()
        except BespokeError as error:
            log.warning("what was accepted waits in the spool: %s", error, extra={"event": "spool_waits"})
        except Exception:
            # One that died here would leave events uncounted for ever.
            log.exception("what was accepted waits in the spool", extra={"event": "spool_waits"})

    def _keep(self) -> None:
        placement, writers = self._store.placement, self._spool.writers
        for shard in placement.shards():
            try:
                positions = placement.store(shard).read(lambda session: session.positions.of_writers(writers))
            except StorageUnreachable:
                continue
            here = {source: number for source, number in positions.items() if self._is_in(shard, source)}
            self._spool.pass_to(here)
            waiting = [source for source in self._spool.sources() if self._is_in(shard, source)]
            for source in waiting:
                self._watch(source, here.get(source, 0))
        self._stalls = {source: self._stalls[source] for source in self._spool.sources() if source in self._stalls}

    def _is_in(self, shard: str, source: Source) -> bool:
        return self._store.placement.shard_of(source.partition) == shard

    def _watch(self, source: Source, number: int) -> None:
        stall = self._stalls.get(source)
        if stall is None or stall.number != number:
            # What an earlier process has left was never published by this one.
            patience = _PATIENCE_SECONDS if source.writer == self._spool.writer or stall else 0.0
            stall = self._stalls[source] = _Stall(number, patience)
        if monotonic() >= stall.until:
            stall.wait_longer()
            if entries := self._spool.entries(source, most_bytes=_AGAIN_BYTES):
                self._log.publish_again(entries)
                log.info("%d entries are published again", len(entries), extra={"event": "published_again"})

    def _tell(self, session: Session) -> None:
        for writer in self._spool.writers:
            since_ms, at_ms, entries, size = self._spool.waits(writer)
            if since_ms is None and (self._stopped.is_set() or writer != self._spool.writer):
                session.spools.end(writer)
            else:
                session.spools.see(SpoolRow(writer, since_ms, at_ms, self._place, entries, size))

    def stop(self) -> None:
        """Look no more, once nothing waits or it has taken too long: what waits then is whoever starts next to mind."""
        self._stopped.set()
        self.join()
        until = monotonic() + _LEAVING_SECONDS
        self.look()
        while self._spool.sources() and monotonic() < until:
            sleep(_LOOKING_SECONDS / 5)
            self.look()


class _Stall:
    """Since when the first entry of a source has been the first."""

    def __init__(self, number: int, patience: float) -> None:
        self.number = number
        self._patience = patience
        self.until = monotonic() + patience

    def wait_longer(self) -> None:
        """Give it another while, twice as long."""
        self._patience = min(max(self._patience, _PATIENCE_SECONDS) * 2, _MOST_PATIENCE_SECONDS)
        self.until = monotonic() + self._patience
