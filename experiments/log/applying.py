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
from time import monotonic

from experiments.admission import Admitted
from experiments.admission import Refusal
from experiments.application import applied
from experiments.errors import Fenced
from experiments.errors import StorageError
from experiments.log.entries import admitted
from experiments.log.erased import without_erased
from experiments.log.holding import LEASE_SECONDS
from experiments.log.holding import Holding
from experiments.log.leases import Leases
from experiments.log.leases import Lost
from experiments.signing import Keyring
from experiments.snapshot import Entry
from experiments.snapshot import Snapshots
from experiments.storage.bucket import LEASES
from experiments.storage.bucket import Bucket
from experiments.storage.fences import Hold
from experiments.storage.fences import Lease
from experiments.storage.log import Log
from experiments.storage.log_reader import Carried
from experiments.storage.log_reader import Reader
from experiments.storage.session import Session
from experiments.storage.sharded_store import ShardedStore
from experiments.storage.sharded_store import beside
from experiments.storage.shared_writer import SharedWriter

_LOOKING_SECONDS = 0.5
#: Where all workers are heard, who tell at once what there is to look for.
_SELDOM_SECONDS = 2.0
_MOMENT_SECONDS = 0.05
#: Who is not heard of by others, and lives, looks more often.
_UNSEEN_SECONDS = 1
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

    def _held_in(self, shard: str) -> list["Partition"]:
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
        self.hold = hold
        self.shard = store.placement.shard_of(hold.partition)
        self._writer = writer
        self._log = log
        self._store = store
        self._snapshots = snapshots
        self._keyring = keyring
        self._reader: Reader | None = None
        self._ended = Event()

    def stop(self) -> None:
        """Let it go soon."""
        self._ended.set()
        if self._reader:
            self._reader.stop()

    def lose(self) -> None:
        """Know that somebody else has it."""
        if not self._ended.is_set():
            log.warning("%s", _fenced(self.hold), extra={"event": "fenced"})
            self.stop()

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
        return not self._ended.is_set() and self._store.placement.shard_of(self.hold.partition) == self.shard

    def _follow(self) -> None:
        """Apply what comes after what the shard says is applied: a commit that was not answered may have been kept."""
        self.hold, numbers = self._writer.run(self._read, alone=False)
        self._reader = reader = self._log.reader(self.hold.partition, after=self.hold.position)
        purged = 0
        for turn in count(1):
            if not self._is_here():
                return
            messages = reader.read(most=_MOST_MESSAGES, seconds=_LOOKING_SECONDS)
            # What is idle is held on with all others of its shard.
            if reader.position != self.hold.position:
                hold = self.hold._replace(position=reader.position)
                numbers = self._writer.run(partial(self._apply, hold, messages, numbers), alone=False)
                self.hold = hold
            # Where nothing comes it may be since there is no room.
            if reader.position.sequence > purged and (not messages or turn % _PURGED_EVERY == 0):
                purged = reader.position.sequence
                self._log.purge(self.hold.partition, up_to=purged)

    def _read(self, session: Session) -> tuple[Hold, dict[str, int]]:
        position = session.fences.position(self.hold.partition)
        hold = self.hold._replace(position=position)
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
            self._writer.run(lambda session: session.fences.leave(self.hold), alone=False)
        except StorageError:
            log.info("partition %d is free later", self.hold.partition, extra={"event": "left"})
        self._writer.close()


def _check(session: Session, hold: Hold) -> None:
    """See that nobody else has taken a partition, and hold it on.

    :raises Fenced: if somebody has.
    """
    if not session.fences.keep(hold, seconds=LEASE_SECONDS):
        raise _fenced(hold)


def _fenced(hold: Hold) -> Fenced:
    return Fenced(f"partition {hold.partition}: epoch {hold.epoch} is over, another worker has it")


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
