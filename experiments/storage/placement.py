"""Where partitions are: the shards as one process has them open."""

import logging
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from threading import Thread
from weakref import WeakSet

from experiments.errors import StorageError
from experiments.errors import StorageUnreachable
from experiments.storage.location import Server
from experiments.storage.reach import Reach
from experiments.storage.shared_writer import SharedWriter
from experiments.storage.store import OwnStore

_LOOKING_SECONDS = 0.25

log = logging.getLogger(__name__)


class Placement:
    """The shards that the control database names, and which partition is in which of them."""

    def __init__(self, control: OwnStore, *, open_shard: Callable[[Server], OwnStore]) -> None:
        self._control = control
        self._open = open_shard
        self._servers: dict[str, Server] = {}
        self._stores: dict[str, OwnStore] = {}
        self._shards: list[str] = []
        self._looks: dict[str, _Look] = {}
        self._writers = WeakSet[SharedWriter]()
        self.refresh()

    @property
    def partitions(self) -> int:
        """How many there are; none before there is a shard."""
        return len(self._shards)

    def refresh(self) -> None:
        """Look where partitions are now; a shard that cannot be reached yet is tried again the next time.

        :raises StorageError: if the control database cannot be asked, or a shard cannot be used.
        """
        rows, shards = self._control.read(lambda session: (session.shards.all(), session.shards.partitions()))
        for row in rows:
            self._name(row.name, Server(row.address))
            if row.name not in self._stores:
                self._try(row.name)
        self._shards = shards
        for name in self._servers.keys() - {row.name for row in rows}:
            self._let_go(name)

    def _name(self, shard: str, server: Server) -> None:
        """Know where a shard is; one that was taken out and added again may be another database."""
        former = self._servers.get(shard)
        self._servers[shard] = server
        if former not in (None, server):
            self._close(shard, former)

    def _try(self, shard: str) -> None:
        try:
            self._stores[shard] = self._open(self._servers[shard])
        except StorageUnreachable as error:
            log.warning("shard %s: %s", shard, error, extra={"event": "shard_away"})

    def _let_go(self, shard: str) -> None:
        """Forget a shard that is none any more; another thread may have done it."""
        self._close(shard, self._servers.pop(shard, None))

    def _close(self, shard: str, server: Server | None) -> None:
        """Let go of what is open of a shard where it was."""
        store, look = self._stores.pop(shard, None), self._looks.pop(shard, None)
        for writer in list(self._writers):
            if writer.server == server:
                writer.give_up()
        if look:
            look.stop()
        if store:
            store.close()

    def shard_of(self, partition: int) -> str:
        """The name of the shard that has a partition."""
        return self._shards[partition]

    def partitions_of(self, shard: str) -> list[int]:
        """The partitions that a shard has, in order."""
        return [partition for partition, name in enumerate(self._shards) if name == shard]

    def store(self, shard: str) -> OwnStore:
        """A shard, open.

        :raises StorageUnreachable: if it could not be opened so far.
        """
        if shard not in self._stores:
            raise StorageUnreachable(f"shard {shard}: {self._servers[shard]} cannot be reached: see whether it runs")
        return self._stores[shard]

    def store_of(self, partition: int) -> OwnStore:
        """The shard that has a partition, open.

        :raises StorageUnreachable: if it could not be opened so far.
        """
        return self.store(self._shards[partition])

    def server_of(self, shard: str) -> Server | None:
        """Where a shard is; None where it is none any more."""
        return self._servers.get(shard)

    def writer_of(self, partition: int) -> SharedWriter:
        """A writer for whoever holds a partition, with a connection of its own."""
        return self._writer(self.shard_of(partition), partition=partition)

    def writer_to(self, shard: str) -> SharedWriter:
        """A writer to a shard, with a connection of its own."""
        return self._writer(shard)

    def _writer(self, shard: str, *, partition: int | None = None) -> SharedWriter:
        server = self._servers[shard]
        writer = SharedWriter(server, Reach(server), partition=partition)
        self._writers.add(writer)
        return writer

    def shards(self) -> list[str]:
        """The shards that have a partition, by name."""
        return sorted(set(self._shards))

    def names(self) -> list[str]:
        """All shards, by name."""
        return sorted(self._servers)

    def is_away(self, shard: str) -> bool:
        """Whether a shard does not answer, as whoever looked last has found."""
        return shard not in self._stores or not self._stores[shard].is_reached()

    def look(self) -> None:
        """See from now on which shards answer, so that nobody waits for one that does not."""
        for shard, store in list(self._stores.items()):
            if shard not in self._looks:
                self._looks[shard] = _Look(shard, store)
                self._looks[shard].start()

    def close(self) -> None:
        """Let the shards go."""
        for look in self._looks.values():
            look.stop()
        for store in self._stores.values():
            store.close()


class _Look(Thread):
    """Looks whether a shard answers; beside those of the others, for one that is silent keeps whoever asks waiting."""

    def __init__(self, shard: str, store: OwnStore) -> None:
        super().__init__(name=f"look at {shard}", daemon=True)
        self._store = store
        self._stopped = Event()

    def run(self) -> None:
        """Look again and again, until stopped."""
        while not self._stopped.wait(_LOOKING_SECONDS):
            # Where it does not answer it is remembered as lost, and those who need it are told.
            with suppress(StorageError):
                self._store.changes()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        self.join()
