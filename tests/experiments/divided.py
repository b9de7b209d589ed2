"""A house whose visitors are in two databases, of which one has the experiments too, and whose events go by a log."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from threading import Event
from threading import Thread
from typing import Any

from experiments.log.appending import Appending
from experiments.log.appending import Keeper
from experiments.log.collecting import collect
from experiments.log.sharding import add_shard
from experiments.log.sharding import move_partition
from experiments.log.sharing import Worker
from experiments.partitions import partition_of
from experiments.receipts import Receipt
from experiments.signing import pseudonym
from experiments.storage.log import Log
from experiments.storage.sharded_store import ShardedStore
from experiments.storage.sharded_store import open_shards
from experiments.storage.shards import ShardRow
from experiments.storage.shards import THIS_LOG
from experiments.storage.spool import Spool
from experiments.storage.store import OwnStore
from experiments.storage.store import open_store
from tests.experiments.histories import rows_of
from tests.experiments.house import House
from tests.experiments.house import SECRETS
from tests.experiments.house import START
from tests.postgres import Databases
from tests.service.processes import wait_until

PARTITIONS = 4
SHARDS = ("first", "second")


class Divided(House):
    """A node and, while it is at work, a worker."""

    store: ShardedStore

    def __init__(self, store: ShardedStore, folder: Path, *, log: str) -> None:
        super().__init__(store)
        self._spool = Spool(folder, lambda: self.now_ms)
        self._log = Log([log], name=store.read(lambda session: session.meta.get(THIS_LOG)) or "")
        self.log = Appending(
            store, self.snapshots, spool=self._spool, log=self._log, keyring=SECRETS, waits=True
        )
        self._keeper = Keeper(store, self._spool, self._log, place=str(folder))
        self._is_at_work = False

    def record(self, *items: object, **how: Any) -> list[Receipt]:
        """Record a batch, and have it counted if there is a worker."""
        receipts = super().record(*items, **how)
        if self._is_at_work:
            self.settle()
        return receipts

    def settle(self) -> None:
        """Let all that was accepted be applied, and bring what it counts."""
        wait_until(self._is_applied, what="all is applied")
        collect(self.store, now_ms=self.now_ms)

    def _is_applied(self) -> bool:
        self._keeper.look()
        return not self._spool.sources()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """A worker applies; what waits is counted when it has gone."""
        ended = Event()
        worker = Worker(self.store, self.snapshots, self._log, name="worker", keyring=SECRETS)
        thread = Thread(target=worker.run, args=(ended,))
        thread.start()
        self._is_at_work = True
        try:
            yield
            self.settle()
        finally:
            self._is_at_work = False
            ended.set()
            thread.join()

    def shards(self) -> dict[str, OwnStore]:
        """Each database that has visitors, by its name."""
        return {name: self.store.placement.store(name) for name in SHARDS}

    def shard_of(self, visitor: str) -> str:
        """The name of the shard that a visitor is in."""
        return self.store.placement.shard_of(partition_of(stand_in(visitor), PARTITIONS))

    def tables_of(self, visitor: str) -> dict[str, list[str]]:
        """The tables of each database that have a row of a visitor."""
        return {
            name: store.read(lambda session: rows_of(session, stand_in(visitor)))
            for name, store in self.shards().items()
        }

    def close(self) -> None:
        """Let everything go."""
        self._spool.close()
        self._log.close()
        self.store.close()


def stand_in(visitor: str) -> bytes:
    """What stands for a visitor."""
    return pseudonym(visitor, key=SECRETS.visitors)


@contextmanager
def divided_house(postgres: Databases, folder: Path, *, log: str) -> Iterator[Divided]:
    """One whose first shard is the database that it began with; each other partition has been moved."""
    control, second = (postgres.fresh() for _ in SHARDS)
    begun = open_store(control, fingerprint=SECRETS.fingerprint)
    added = open_store(second, fingerprint=SECRETS.fingerprint)
    for name, server, store in (("first", control, begun), ("second", second, added)):
        add_shard(begun, store, ShardRow(name, server.url), partitions=PARTITIONS, log=token_hex(4), now_ms=START)
    added.close()
    store = open_shards(begun, fingerprint=SECRETS.fingerprint)
    for partition in range(1, PARTITIONS, 2):
        move_partition(store, partition, "second")
    folder.mkdir()
    house = Divided(store, folder, log=log)
    try:
        yield house
    finally:
        house.close()
