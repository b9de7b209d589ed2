"""The embedded store: one SQLite file, which any thread reads and one writer writes."""

import logging
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import Event
from threading import Thread
from threading import local
from typing import IO
from typing import TypeVar
from weakref import WeakSet

from experiments.errors import StorageError
from experiments.model import Exposure
from experiments.storage.exposed import Exposed
from experiments.storage.location import CONTROL
from experiments.storage.log_file import check_log
from experiments.storage.pace import Pace
from experiments.storage.parts import Part
from experiments.storage.parts import Whole
from experiments.storage.session import Session
from experiments.storage.soundness import check_quickly
from experiments.storage.sqlite import check_known
from experiments.storage.sqlite import check_writable
from experiments.storage.sqlite import connect
from experiments.storage.sqlite import lock_for_serving
from experiments.storage.sqlite import migrate
from experiments.storage.sqlite import pending
from experiments.storage.sqlite import translated
from experiments.storage.visitors import VisitorKey
from experiments.storage.writer import DirectWriter
from experiments.storage.writer import GroupWriter

A = TypeVar("A")
T = TypeVar("T")

_PATIENCE_SECONDS = 2

log = logging.getLogger(__name__)


class SqliteStore:
    """An embedded database: any thread reads, one writer writes."""

    partitions = 1

    def __init__(self, path: Path, *, serving: bool = False) -> None:
        self._path = path
        self._lock: IO[str] | None = None
        if serving:
            # A command may be holding the file for as long as it takes a log in.
            self._lock = lock_for_serving(path, patience_seconds=_PATIENCE_SECONDS)
            check_writable(path)
        self._local = local()
        # Weak: a thread that ends takes its session, and so its connection, with it.
        self._sessions: WeakSet[Session] = WeakSet()
        self._exposed = Exposed(path) if serving else None
        self._writer = GroupWriter(path, self._exposed) if self._exposed else DirectWriter(path)
        self._filling = _Filling(self._exposed, self) if self._exposed else None

    def read(self, work: Callable[[Session], T]) -> T:
        """Run `work` on one consistent state of the database."""
        session = self._session()
        with translated(self._path):
            session.connection.execute("BEGIN")
            try:
                return work(session)
            finally:
                session.connection.execute("COMMIT")

    def transact(self, work: Callable[[Session], T]) -> T:
        """Run `work` in one write transaction; its result once it is on disk."""
        return self._writer.run(work)

    def transact_together(
        self,
        work: Callable[[Session, Sequence[A]], Sequence[T]],
        item: A,
        *,
        visitors: int = 1,
        partition: int = 0,
    ) -> T:
        """Run `work` on this item and on those that come meanwhile; its result once it is on disk."""
        return self._writer.run_together(work, item)

    def exposures_of(self, visitor: bytes, experiments: Iterable[str]) -> dict[str, Exposure]:
        """What exposures of a visitor fixed, by those of the experiments where there is one."""
        # It does not change, so that several statements need no transaction to agree.
        found = {}
        for experiment in experiments:
            exposure = self._exposure((experiment, visitor))
            if exposure is not None:
                found[experiment] = exposure
        return found

    def _exposure(self, key: VisitorKey) -> Exposure | None:
        return self._exposed.exposure(key, self._look_up) if self._exposed else self._look_up(key)

    def _look_up(self, key: VisitorKey) -> Exposure | None:
        with translated(self._path):
            row = self._session().exposures.get(*key)
        return None if row is None else row.fixed

    def parts(self) -> Sequence[Part]:
        """All visitors, who are in this one database."""
        return (Whole(self),)

    def part_of(self, visitor: bytes) -> Part:
        """All visitors again."""
        return Whole(self)

    def databases(self) -> Mapping[str, "SqliteStore"]:
        """This one."""
        return {CONTROL: self}

    def changes(self) -> int:
        """A number that differs once another connection has committed since this thread looked."""
        with translated(self._path):
            return int(self._session().connection.execute("PRAGMA data_version").fetchone()[0])

    def await_changes(self, stopped: Event, *, seconds: float) -> None:
        """Wait so long, less when stopped: a file tells nobody."""
        stopped.wait(seconds)

    def pace(self) -> Pace:
        """How its writer gets on."""
        return self._writer.pace

    def queued(self) -> int:
        """How many works wait for the writer."""
        return self._writer.queued()

    def is_reached(self) -> bool:
        """A file has no server that might not answer."""
        return True

    def forget_exposures(self) -> None:
        """Look up anew what exposures fixed, and keep nothing of them in the log; for when some have been removed."""
        if self._exposed:
            self._exposed.forget()
        self._writer.empty_log()

    def close(self) -> None:
        """Commit what waits and let the file go, whole: whoever closes it last takes the log in."""
        if self._filling:
            self._filling.stop()
        for session in list(self._sessions):
            session.connection.close()
        self._writer.close()
        if self._exposed:
            self._exposed.close()
        if self._lock:
            self._lock.close()

    def _session(self) -> Session:
        session: Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = Session(connect(self._path))
            self._sessions.add(session)
        return session


class _Filling(Thread):
    """Gathers who was exposed before this process began, while it answers already."""

    def __init__(self, exposed: Exposed, store: SqliteStore) -> None:
        super().__init__(name="filling", daemon=True)
        self._work = partial(exposed.fill, store.read)
        self._stopped = Event()
        self.start()

    def run(self) -> None:
        """Gather until done or stopped."""
        try:
            self._work(self._stopped)
        except StorageError as error:
            log.warning("who was exposed is looked up for every evaluation: %s", error, extra={"event": "not_filled"})

    def stop(self) -> None:
        """Gather no more."""
        self._stopped.set()
        self.join()


def migrate_embedded(path: Path) -> list[str]:
    """Create the file or bring it up to date; the names of the steps taken.

    :raises StorageDamaged: if it is not sound, as far as a start has time to look.
    :raises StorageError: if a newer version has been at work on it.
    """
    if path.exists():
        check_log(path)
        check_quickly(path)
    connection = connect(path, checkpoints=True)
    try:
        check_known(connection, path)
        return migrate(connection, path)
    finally:
        connection.close()


def pending_in(path: Path) -> list[str]:
    """The steps that a file has not taken.

    :raises StorageError: if it is missing, or a newer version has been at work on it.
    """
    if not path.exists():
        raise StorageError(f"{path} does not exist: `bespoke init` makes it")
    connection = connect(path)
    try:
        check_known(connection, path)
        with translated(path):
            return pending(connection)
    finally:
        connection.close()
