"""Soundness: whether a file is a database that holds together, page by page."""

from pathlib import Path
from time import monotonic

from pysqlite3 import dbapi2 as sqlite3

from experiments.storage.sqlite import EmbeddedConnection
from experiments.storage.sqlite import connect
from experiments.storage.sqlite import damaged
from experiments.storage.sqlite import translated

#: How long a start may look: some gigabytes take longer, and `verify` looks at them whole.
QUICK_SECONDS = 2.0

_STEPS_BETWEEN_LOOKS = 10_000


def check_soundness(path: Path) -> None:
    """Look through the whole file, indexes against tables.

    :raises StorageDamaged: naming the first fault.
    """
    connection = connect(path)
    try:
        with translated(path):
            fault = next(connection.faults(), None)
    finally:
        connection.close()
    if fault is not None:
        raise damaged(path, fault)


def check_quickly(path: Path) -> None:
    """Look through as much of the file as a start has time for.

    :raises StorageDamaged: naming the first fault.
    """
    connection, until = connect(path), monotonic() + QUICK_SECONDS
    connection.set_progress_handler(lambda: monotonic() > until, _STEPS_BETWEEN_LOOKS)
    try:
        with translated(path):
            (text,) = _first_row(connection)
    finally:
        connection.close()
    if text != "ok":
        raise damaged(path, text)


def _first_row(connection: EmbeddedConnection) -> tuple[str]:
    try:
        row: tuple[str] = connection.execute("PRAGMA quick_check(1)").fetchone()
        return row
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise
        return ("ok",)
