"""Applying: a worker reads the log of each partition that it holds, and applies it to the shard that has it.

What has been applied is said in the same transaction, by the number in each spool: whatever the log brings twice, in
another order or not at all, everything counts once. Who holds a partition is said there too: a worker that slept, and
whose partition was taken, finds nothing of its own kept.
"""

import logging
from collections.abc import Mapping
from collections.abc import Sequence
from functools import partial
from itertools import chain
from itertools import count
from threading import Event
from threading import Thread

from experiments.admission import Admitted
from experiments.admission import Refusal
from experiments.application import applied
from experiments.errors import Fenced
from experiments.errors import StorageError
from experiments.log.entries import admitted
from experiments.log.erased import without_erased
from experiments.log.holding import LEASE_SECONDS
from experiments.signing import Keyring
from experiments.snapshot import Entry
from experiments.snapshot import Snapshots
from experiments.storage.fences import Hold
from experiments.storage.log import Log
from experiments.storage.log_reader import Carried
from experiments.storage.log_reader import Reader
from experiments.storage.session import Session
from experiments.storage.sharded_store import ShardedStore
from experiments.storage.shared_writer import SharedWriter

_LOOKING_SECONDS = 0.5
_MOST_MESSAGES = 50
#: The log is told to forget so seldom that it costs nothing.
_PURGED_EVERY = 20

log = logging.getLogger(__name__)


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
        placement = self._store.placement
        is_in_place = placement.server_of(self.shard) == self._writer.server
        return not self._ended.is_set() and placement.shard_of(self.hold.partition) == self.shard and is_in_place

    def _follow(self) -> None:
        """Apply what comes after what the shard says is applied: a commit that was not answered may have been kept."""
        self.hold, numbers = self._writer.run(self._read, alone=False)
        self._reader = reader = self._log.reader(self.hold.partition, after=self.hold.position)
        purged = 0
        for turn in count(1):
            if not self._is_here():
                return
            messages = self._without_ended(reader.read(most=_MOST_MESSAGES, seconds=_LOOKING_SECONDS), numbers)
            # What is idle is held on with all others of its shard.
            if reader.position != self.hold.position:
                hold = self.hold._replace(position=reader.position)
                numbers = self._writer.run(partial(self._apply, hold, messages, numbers), alone=False)
                self.hold = hold
            # Where nothing comes it may be since there is no room.
            if reader.position.sequence > purged and (not messages or turn % _PURGED_EVERY == 0):
                purged = reader.position.sequence
                self._log.purge(self.hold.partition, up_to=purged)

    def _without_ended(self, messages: Sequence[Carried], numbers: Mapping[str, int]) -> Sequence[Carried]:
        """What is left without processes that have ended, how far which were applied is not known any more."""
        unknown = {message.writer for message in messages} - numbers.keys()
        if not unknown:
            return messages
        ended = self._store.read(lambda session: session.spools.ended(unknown))
        return [message for message in messages if message.writer not in ended]

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
