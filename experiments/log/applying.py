"""Applying: a worker takes partitions, reads the log of each, and applies it to the shard that has it.

What has been applied is said in the same transaction, by the number in each spool: whatever the log brings twice, in
another order or not at all, everything counts once. Who holds a partition is said there too: a worker that slept, and
whose partition was taken, finds nothing of its own kept.
"""

import logging
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from itertools import count
from math import ceil
from threading import Event
from threading import Thread

from experiments.admission import Admitted
from experiments.admission import Refusal
from experiments.application import applied
from experiments.errors import Fenced
from experiments.errors import StorageError
from experiments.log.entries import admitted
from experiments.log.erased import without_erased
from experiments.signing import Keyring
from experiments.snapshot import Entry
from experiments.snapshot import Snapshots
from experiments.storage.fences import Hold
from experiments.storage.log import Log
from experiments.storage.log_reader import Carried
from experiments.storage.session import Session
from experiments.storage.sharded_store import ShardedStore
from experiments.storage.sharded_store import beside
from experiments.storage.shared_writer import SharedWriter

LEASE_SECONDS = 5
_LOOKING_SECONDS = 0.5
_MOST_MESSAGES = 50
#: The log is told to forget so seldom that it costs nothing.
_PURGED_EVERY = 20

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

    def run(self, ended: Event) -> None:
        """Take partitions until told to end, whatever goes wrong."""
        while not ended.is_set():
            try:
                self._look()
            except StorageError as error:
                log.warning("partitions must wait: %s", error, extra={"event": "partitions_wait"})
            except Exception:
                log.exception("partitions must wait", extra={"event": "partitions_wait"})
            ended.wait(_LOOKING_SECONDS)
        self._let_go(list(self._held))
        with suppress(StorageError):
            # Others find out once its time is over.
            beside(self._store, lambda session: session.workers.leave(self._name))

    def _look(self) -> None:
        """Take what is free, as far as it is this worker's share, and let go of what is more."""
        workers = beside(self._store, lambda session: session.workers.stay(self._name, seconds=LEASE_SECONDS))
        self._let_go([number for number, held in self._held.items() if not held.is_alive()])
        share = ceil(self._store.placement.partitions / workers)
        self._let_go(list(self._held)[share:])
        for number in range(self._store.placement.partitions):
            if number not in self._held and len(self._held) < share:
                self._take(number)

    def _take(self, number: int) -> None:
        placement = self._store.placement
        if placement.is_away(placement.shard_of(number)):
            # Nobody waits for it: others may be there.
            return
        writer = placement.writer_of(number)
        try:
            hold = writer.run(
                lambda session: session.fences.take(number, self._name, seconds=LEASE_SECONDS), alone=False
            )
        except StorageError as error:
            log.info("partition %d cannot be taken: %s", number, error, extra={"event": "not_taken"})
            hold = None
        if hold is None:
            writer.close()
            return
        held = self._held[number] = Partition(
            hold, writer, self._log, self._store, self._snapshots, keyring=self._keyring
        )
        held.start()

    def _let_go(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._held[number].stop()
        for number in numbers:
            self._held.pop(number).join()


class Partition(Thread):
    """A partition that is held: what the log brings is applied, until it is let go or somebody else has taken it."""

    def __init__(
        self,
        hold: Hold,
        writer: SharedWriter,
        log: Log,
        store: ShardedStore,
        snapshots: Snapshots,
        *,
        keyring: Keyring,
    ) -> None:
        super().__init__(name=f"partition {hold.partition}", daemon=True)
        self._hold = hold
        self._writer = writer
        self._log = log
        self._store = store
        self._snapshots = snapshots
        self._keyring = keyring
        self._shard = store.placement.shard_of(hold.partition)
        self._ended = Event()

    def stop(self) -> None:
        """Let it go soon."""
        self._ended.set()

    def run(self) -> None:
        """Apply until the end, whatever goes wrong; then let it go."""
        while self._is_here():
            try:
                self._follow()
            except Fenced as error:
                log.warning("%s", error, extra={"event": "fenced"})
                break
            except StorageError as error:
                log.warning("%s must wait: %s", self.name, error, extra={"event": "partition_waits"})
                self._ended.wait(_LOOKING_SECONDS)
            except Exception:
                log.exception("%s must wait", self.name, extra={"event": "partition_waits"})
                self._ended.wait(LEASE_SECONDS)
        self._leave()

    def _is_here(self) -> bool:
        """Whether it is still this worker's, and where it was."""
        return not self._ended.is_set() and self._store.placement.shard_of(self._hold.partition) == self._shard

    def _follow(self) -> None:
        """Apply what comes after what the shard says is applied: a commit that was not answered may have been kept."""
        self._hold, numbers = self._writer.run(self._read, alone=False)
        reader, purged = self._log.reader(self._hold.partition, after=self._hold.position), 0
        for turn in count(1):
            if not self._is_here():
                return
            messages = reader.read(most=_MOST_MESSAGES, seconds=_LOOKING_SECONDS)
            hold = self._hold._replace(position=reader.position)
            numbers = self._writer.run(partial(self._apply, hold, messages, numbers), alone=False)
            self._hold = hold
            # Where nothing comes it may be since there is no room.
            if reader.position.sequence > purged and (not messages or turn % _PURGED_EVERY == 0):
                purged = reader.position.sequence
                self._log.purge(hold.partition, up_to=purged)

    def _read(self, session: Session) -> tuple[Hold, dict[str, int]]:
        position = session.fences.position(self._hold.partition)
        hold = self._hold._replace(position=position)
        _check(session, hold)
        return hold, session.positions.of(hold.partition)

    def _apply(
        self, hold: Hold, messages: Sequence[Carried], numbers: Mapping[str, int], session: Session
    ) -> dict[str, int]:
        """Apply what follows on what has been applied; up to where that is now, by writer."""
        _check(session, hold)
        reached, read = dict(numbers), list[Admitted | Refusal]()
        for message in messages:
            before = reached.get(message.writer, 0)
            if message.first <= before + 1:
                fresh = self._understood(message, message.bodies[before + 1 - message.first:])
                read += chain.from_iterable(fresh)
                reached[message.writer] = before + len(fresh)
        moved = {writer: number for writer, number in reached.items() if numbers.get(writer) != number}
        if moved:
            applied(session, without_erased(session, read, keyring=self._keyring))
            session.positions.move(hold.partition, moved)
            session.fences.count(hold.partition, seconds=LEASE_SECONDS)
        return reached

    def _understood(self, message: Carried, bodies: Sequence[bytes]) -> list[list[Admitted | Refusal]]:
        """What entries say, up to the first that is none: its node brings what it has kept by this number again."""
        understood = []
        try:
            for body in bodies:
                understood.append(admitted(body, self._entries_at))
        except ValueError as error:
            log.warning(
                "an entry of %s for partition %d waits, and what comes after it: %s; is this the newest version?",
                message.writer, message.partition, error, extra={"event": "entry_waits"},
            )
        return understood

    def _entries_at(self, version: int) -> Mapping[str, Entry]:
        """The experiments, at least as new as a version."""
        if self._snapshots.latest.version < version:
            self._snapshots.refresh()
        return self._snapshots.latest.entries

    def _leave(self) -> None:
        try:
            self._writer.run(lambda session: session.fences.leave(self._hold), alone=False)
        except StorageError:
            log.info("partition %d is free later", self._hold.partition, extra={"event": "left"})
        self._writer.close()


def _check(session: Session, hold: Hold) -> None:
    """See that nobody else has taken a partition, and hold it on.

    :raises Fenced: if somebody has.
    """
    if not session.fences.keep(hold, seconds=LEASE_SECONDS):
        raise Fenced(f"partition {hold.partition}: epoch {hold.epoch} is over, another worker has it")
