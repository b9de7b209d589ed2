"""A house whose visitors are in two databases, of which one has the experiments too, and whose events go by a log."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from threading import Event
from threading import Thread
from typing import Any

from experiments.log.appending import Appending
from experiments.log.collecting import collect
from experiments.log.keeping import Keeper
from experiments.log.keeping import Watch
from experiments.log.sharding import add_shard
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
from tests.experiments.moves import SOMEBODY
from tests.experiments.moves import move_partition
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
        self._watches = [Watch(store, self._spool, self._log, shard=shard) for shard in store.placement.names()]
        self._is_at_work = False

    def follow(self, house: House) -> None:
        """Go on where another one of the same visitors is."""
        self.now_ms, self._made = house.now_ms, house._made
        self.snapshots.refresh()

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
        for watch in self._watches:
            watch.look()
        self.tell()
        return not self._spool.sources()

    def tell(self) -> None:
        """Say what waits to be applied."""
        self._keeper.tell()

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
        return {name: self.store.placement.store(name) for name in self.store.placement.names()}

    def shard_of(self, visitor: str) -> str:
        """The name of the shard that a visitor is in."""
        return self.store.placement.shard_of(partition_of(stand_in(visitor), self.store.placement.partitions))

    def tables_of(self, visitor: str) -> dict[str, list[str]]:
        """The tables of each database that have a row of a visitor."""
        return {
            name: store.read(lambda session: rows_of(session, stand_in(visitor)))
            for name, store in self.shards().items()
        }

    def close(self) -> None:
        """Let everything go."""
        for watch in self._watches:
            watch.close()
        self._spool.close()
        self._log.close()
        self.store.close()


def stand_in(visitor: str) -> bytes:
    """What stands for a visitor."""
    return pseudonym(visitor, key=SECRETS.visitors)


def nothing(house: House) -> None:
    """What happens before visitors are divided, where nothing does."""


@contextmanager
def divided_house(
    postgres: Databases,
    folder: Path,
    *,
    log: str,
    shards: Sequence[str] = SHARDS,
    partitions: int = PARTITIONS,
    before: Callable[[House], None] = nothing,
) -> Iterator[Divided]:
    """One whose first shard is the database that it began with; partitions have been moved to the others in turn."""
    servers = [postgres.fresh() for _ in shards]
    begun, *added = (open_store(server, fingerprint=SECRETS.fingerprint) for server in servers)
    undivided = House(begun)
    before(undivided)
    deed = SOMEBODY._replace(now_ms=undivided.now_ms)
    for name, server, shard in zip(shards, servers, (begun, *added), strict=True):
        row = ShardRow(name, server.url)
        add_shard(begun, shard, row, partitions=partitions, log=token_hex(4), deed=deed)
    for shard in added:
        shard.close()
    store = open_shards(begun, fingerprint=SECRETS.fingerprint)
    for partition in range(partitions):
        if partition % len(shards):
            move_partition(store, partition, shards[partition % len(shards)])
    folder.mkdir()
    house = Divided(store, folder, log=log)
    house.follow(undivided)
    try:
        yield house
    finally:
        house.close()
