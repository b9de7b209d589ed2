"""Installations taken from one kind of database to the other, row by row: a backup of either is the same file."""

from collections.abc import Iterator
from pathlib import Path

from experiments.batches import batched
from experiments.errors import InvalidBackup
from experiments.storage.connection import Connection
from experiments.storage.session import Session
from experiments.storage.sqlite import EmbeddedConnection
from experiments.storage.sqlite import connect
from experiments.storage.sqlite import immediate
from experiments.storage.sqlite import migrate
from experiments.storage.sqlite import translated

_ROWS = 5000

#: What a new database has of its own.
_OWN = "migrations"


def pour_out(session: Session, path: Path) -> None:
    """Write everything that a session sees into an embedded database in a new file."""
    connection = connect(path, checkpoints=True)
    try:
        migrate(connection, path)
        with translated(path), immediate(connection):
            _pour(session.connection, connection, connection)
        with translated(path):
            # The whole of it must be in the one file that is kept.
            connection.execute("PRAGMA journal_mode = DELETE")
    finally:
        connection.close()


def pour_in(session: Session, path: Path) -> None:
    """Make everything in a file of an embedded database that of an installation where nothing is yet.

    :raises InvalidBackup: if anything is there.
    """
    if session.audit.last():
        raise InvalidBackup(
            "the database is in use, and nothing in it is overwritten: name an empty one in BESPOKE_DATABASE_URL"
        )
    connection = connect(path)
    try:
        with translated(path):
            _pour(connection, session.connection, connection)
    finally:
        connection.close()
    session.connection.number_on()


def _pour(source: Connection, target: Connection, embedded: EmbeddedConnection) -> None:
    for table, columns in _tables(embedded):
        if table == "meta":
            # It is not empty where nothing has happened yet.
            target.execute("DELETE FROM meta")
        rows = source.stream(f"SELECT {', '.join(columns)} FROM {table}")
        for batch in batched(rows, size=_ROWS):
            target.executemany(target.filling(table, columns), batch)


def _tables(embedded: EmbeddedConnection) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every table with its columns."""
    names = [name for (name,) in embedded.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    for name in names:
        if name != _OWN:
            yield name, tuple(row[1] for row in embedded.execute(f"PRAGMA table_info({name})"))
