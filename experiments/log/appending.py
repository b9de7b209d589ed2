"""Appending: a node's way in for events that go through a log."""

from collections import defaultdict
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import Future
from time import monotonic
from typing import TypeVar

from experiments.admission import Admission
from experiments.admission import Admitted
from experiments.admission import Lookups
from experiments.admission import Refusal
from experiments.assignment import Plan
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
from experiments.storage.spool import Spool

T = TypeVar("T")


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
