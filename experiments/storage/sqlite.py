"""SQLite: connections, schema, the lock of the one server, and SQLite's faults by our names."""

import errno
import fcntl
import os
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from time import monotonic
from time import sleep
from typing import IO
from typing import Any

from pysqlite3 import dbapi2 as sqlite3
from sqlite_utils import Database

from experiments.errors import StorageBusy
from experiments.errors import StorageDamaged
from experiments.errors import StorageError
from experiments.errors import StorageFull
from experiments.errors import StorageLocked
from experiments.storage.connection import Listed
from experiments.storage.connection import Row
from experiments.storage.connection import Sums
from experiments.storage.scripts import scripts_in

BUSY_SECONDS = 5

#: Bytes that the log may have before everything else waits until it is taken in.
LARGEST_LOG = 1 << 26

#: Pages that the writer lets the log have before it takes them in: those that are written again meanwhile go once.
_LOG_PAGES = 1000
#: Kibibytes of pages that the writer remembers: events of visitors in no order touch the same ones again and again.
_REMEMBERED_KB = 32 * 1024

_LOG_PATIENCE_MS = 500
_MOST_FAULTS = 20
_LEVELS = ("off", "normal", "full", "extra")

#: The number of the newest event, and the one that removed events have come to.
_NUMBERS = (
    "SELECT coalesce(max(seq), 0),"
    " coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'events_numbered'), 0)"
    " FROM events"
)
_STAND_IN = (
    "INSERT INTO events (seq, visitor, id, digest, kind, experiments, name, at_ms, received_ms, trusted, identified)"
    " VALUES (?, x'', x'', x'', '', '', '', 0, 0, 0, 0)"
)

#: How values are bound of which sqlite3 would ask two protocols first, in more time than it takes to store them.
_BOUND_AS = {bytes: bytearray, bool: int, type(None): lambda _: None}
for _kind, _bound in _BOUND_AS.items():
    sqlite3.register_adapter(_kind, _bound)


class EmbeddedConnection(sqlite3.Connection):  # type: ignore[misc]  # The library has no types.
    """A connection to the file, which has one writer at a time."""

    def stream(self, statement: str) -> Iterator[Any]:
        """The rows of a statement that finds many, never all of them in memory."""
        return iter(self.execute(statement))

    def of_each(self, visitors: Collection[bytes], question: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows of a question about each of these visitors; it ends with the visitor's place."""
        listed = self.among(visitors)
        rows: list[Any] = self.execute(f"{question[:-3]}{listed.condition}", (*values, *listed.values)).fetchall()
        return rows

    def of_events(self, keys: Collection[tuple[bytes, bytes]], question: str) -> list[Any]:
        """The rows of a question about each of these events; it ends with the places of visitor and id."""
        return [row for key in keys for row in self.execute(question, key)]

    def among(self, values: Collection[object]) -> Listed:
        """The condition that a column has one of these values."""
        return Listed(f"IN ({', '.join('?' * len(values))})", tuple(values))

    def adding(self, sums: Sums) -> str:
        """The statement that adds to a row of sums, or makes it."""
        return _adding(sums)

    def filling(self, table: str, columns: Sequence[str]) -> str:
        """The statement that puts a row into a table as it was in another database."""
        return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"

    def number_on(self) -> None:
        """Nothing to do: the next event is numbered after the newest."""

    def insert_events(self, statement: str, rows: Sequence[Row]) -> dict[tuple[bytes, bytes], int]:
        """Insert those events that are not there; their numbers, by visitor and id."""
        newest, numbered = self.execute(_NUMBERS).fetchone()
        if newest < numbered:
            return self._insert_after(numbered, statement, rows)
        if self.executemany(statement, rows).rowcount == len(rows):
            return {(visitor, id): number for number, (visitor, id, *_) in enumerate(rows, newest + 1)}
        kept = self.execute("SELECT visitor, id, seq FROM events WHERE seq > ?", (newest,))
        return {(visitor, id): number for visitor, id, number in kept}

    def _insert_after(
        self, numbered: int, statement: str, rows: Sequence[Row]
    ) -> dict[tuple[bytes, bytes], int]:
        """Insert events where the newest was removed: one that stands in for it keeps its number from being used."""
        self.execute(_STAND_IN, (numbered,))
        numbers = self.insert_events(statement, rows)
        self.execute("DELETE FROM events WHERE seq = ?", (numbered,))
        return numbers

    def hold(self, visitors: Iterable[bytes]) -> None:
        """Nothing to do: the one writer keeps everybody else from changing anything."""

    def facts(self) -> Mapping[str, str]:
        """How this connection and the file are set."""
        (level,), (mode,) = (self.execute(f"PRAGMA {name}").fetchone() for name in ("synchronous", "journal_mode"))
        return {"kind": "sqlite", "synchronous": _LEVELS[level], "journal_mode": mode}

    def faults(self) -> Iterator[str]:
        """What SQLite finds wrong with the file, a line for each; no more than it takes to know that it is bad."""
        rows = self.execute(f"PRAGMA integrity_check({_MOST_FAULTS})").fetchall()
        return (text for (text,) in rows if text != "ok")

    def pending(self) -> list[str]:
        """The steps of the schema that have not been taken."""
        return pending(self)

    def numbers_all_events(self) -> bool:
        """Whether a number that no event has is that of an event that is gone."""
        return True


@cache
def _adding(sums: Sums) -> str:
    names, keys = ", ".join((*sums.keys, *sums.sums)), ", ".join(sums.keys)
    added = ", ".join(f"{name} = {sums.table}.{name} + excluded.{name}" for name in sums.sums)
    places = ", ".join("?" * len((*sums.keys, *sums.sums)))
    return f"INSERT INTO {sums.table} ({names}) VALUES ({places}) ON CONFLICT ({keys}) DO UPDATE SET {added}"


def connect(path: Path, *, checkpoints: bool = False) -> EmbeddedConnection:
    """A connection that commits only when told, waits for a foreign lock, and leaves the WAL to the one writer."""
    with translated(path):
        connection: EmbeddedConnection = sqlite3.connect(
            str(path),
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            factory=EmbeddedConnection,
        )
        connection.execute("PRAGMA synchronous = FULL")
        # What is removed is overwritten, and what moves to another page leaves no copy: erased means gone.
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES if checkpoints else 0}")
        if checkpoints:
            connection.execute(f"PRAGMA cache_size = -{_REMEMBERED_KB}")
        return connection


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise SQLite's faults as ours, saying which file and what helps."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise _operational(error, path) from error
    except sqlite3.DatabaseError as error:
        raise damaged(path, str(error)) from error


def damaged(path: Path, fault: str) -> StorageDamaged:
    """What is said of a file that cannot be relied on."""
    line = " ".join(fault.split())
    return StorageDamaged(f"{path} is not a sound database ({line}): `bespoke restore FILE` brings a backup back")


def _operational(error: Exception, path: Path) -> StorageError:
    text = str(error)
    if "locked" in text or "busy" in text:
        return StorageBusy(f"{path} is locked by another process; try again")
    if "full" in text:
        return StorageFull(f"no space is left for {path}")
    if "readonly" in text:
        return StorageError(f"{path} cannot be written: check its owner and permissions")
    if "unable to open" in text:
        return StorageError(f"{path} cannot be opened: check that its folder exists, its owner and permissions")
    return StorageError(f"{path}: {text}")


@contextmanager
def accessible(path: Path) -> Iterator[None]:
    """Raise the system's faults with a file that lies beside a database as ours."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(f"no space is left for {path}") from error
        raise StorageError(f"{path} cannot be used ({error.strerror}): check its owner and permissions") from error


def check_writable(path: Path) -> None:
    """See that the database may be written: a connection would open it all the same, and refuse every event."""
    if not os.access(path, os.W_OK):
        raise StorageError(f"{path} cannot be written: check its owner and permissions")


@contextmanager
def immediate(connection: EmbeddedConnection) -> Iterator[None]:
    """A write transaction that takes the lock at once: a reader that turns writer would fail, not wait."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk rolls back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def migrate(connection: EmbeddedConnection, path: Path) -> list[str]:
    """Bring the schema up to date, each step in one transaction with its record; the names of the steps taken."""
    with translated(path):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied_at TEXT DEFAULT CURRENT_TIMESTAMP)"
        )
        return [name for name, statements in steps() if _apply(connection, name, statements)]


def steps() -> tuple[tuple[str, str], ...]:
    """All migrations, in order: name and SQL."""
    return scripts_in("migrations")


def _apply(connection: EmbeddedConnection, name: str, statements: str) -> bool:
    with immediate(connection):
        # Looked up under the lock: two processes may be starting at once.
        if connection.execute("SELECT 1 FROM migrations WHERE name = ?", (name,)).fetchone():
            return False
        for statement in split_statements(statements):
            connection.execute(statement)
        connection.execute("INSERT INTO migrations (name) VALUES (?)", (name,))
        return True


def split_statements(script: str) -> Iterator[str]:
    """The statements of a script: `executescript` would commit behind our back."""
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def pending(connection: EmbeddedConnection) -> list[str]:
    """The migrations that have not been applied."""
    applied = _applied(connection)
    return [name for name, _ in steps() if name not in applied]


def check_known(connection: EmbeddedConnection, path: Path) -> None:
    """See that no newer version has been at work: what it has written may mean something that is not known here.

    :raises StorageError: naming its migrations.
    """
    with translated(path):
        unknown = unknown_steps(connection)
    if unknown:
        raise StorageError(f"{path} is of a newer version, which knows {', '.join(unknown)}: install that one")


def unknown_steps(connection: EmbeddedConnection) -> list[str]:
    """The migrations that a newer version has applied."""
    return sorted(_applied(connection) - {name for name, _ in steps()})


def _applied(connection: EmbeddedConnection) -> set[str]:
    if "migrations" not in Database(connection).table_names():
        return set()
    return {row[0] for row in connection.execute("SELECT name FROM migrations")}


def lock_for_serving(path: Path, *, patience_seconds: float = 0) -> IO[str]:
    """Hold the file of the one server of this database; it is freed when the process ends, however it ends.

    :raises StorageLocked: if another server holds it.
    """
    beside = Path(f"{path}-serve.lock")
    with accessible(beside):
        holder = beside.open("a")
    until = monotonic() + patience_seconds
    while not _locked(holder):
        if monotonic() >= until:
            holder.close()
            raise StorageLocked(f"{path} is served by another process: one server for one file")
        sleep(0.02)
    return holder


def _locked(holder: IO[str]) -> bool:
    try:
        fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def log_is_large(path: Path) -> bool:
    """Whether the log has outgrown what a commit takes in by the way: somebody writes without a pause."""
    try:
        return Path(f"{path}-wal").stat().st_size > LARGEST_LOG
    except FileNotFoundError:
        return False


def take_log_in(connection: EmbeddedConnection) -> bool:
    """Move the whole log into the database and empty it; False where somebody is in the way for long."""
    connection.execute(f"PRAGMA busy_timeout = {_LOG_PATIENCE_MS}")
    try:
        is_busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not is_busy
    finally:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
