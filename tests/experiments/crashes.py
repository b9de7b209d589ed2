"""Crashes at every statement: a work done again and again by processes that are killed, each one statement later.

What a restore does to files counts as well, each time that one of them is opened, linked, renamed or removed.

`python -m tests.experiments.crashes WORK DATABASE FOLDER` leaves a copy of the database in the folder for each of them,
as `0.db`, `1.db` and so on; the last one's work was done. The statements count themselves: none can be forgotten.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from secrets import token_bytes
from typing import Any

from experiments.backups import restore
from experiments.reallocation import reallocate_due
from experiments.storage import copies
from experiments.storage import embedded_store
from experiments.storage import writer
from experiments.storage.sqlite import connect
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from tests.experiments.house import HOUR
from tests.experiments.house import SECRET
from tests.experiments.house import SECRETS
from tests.experiments.house import START
from tests.experiments.house import House

KEY = "tiny"
SLOT_MS = START + 10 * HOUR
_OF_FILES = {"open", "os.link", "os.remove", "os.rename"}


def crashed_copies(work: str, database: Path, folder: Path) -> list[Path]:
    """What the killed processes have left of the database, in the order of the statements."""
    subprocess.run([sys.executable, "-m", __name__, work, database, folder], check=True)
    return sorted(folder.glob("*.db"), key=lambda path: int(path.stem))


def record(house: House) -> None:
    """Two exposures and what they led to, among them what has waited."""
    house.record(
        *(house.exposure(KEY, visitor, id=f"{visitor}-saw") for visitor in ("ann", "bob")),
        *(house.event(visitor, "Signed Up", id=f"{visitor}-signed") for visitor in ("ann", "bob", "cem")),
    )


WORKS: dict[str, Callable[[House], object]] = {
    "record": record,
    "reallocate": lambda house: reallocate_due(house.store, now_ms=SLOT_MS),
    "pause": lambda house: house.act(KEY, "pause"),
}


def _migrate(path: Path) -> None:
    migrate_database(path, fingerprint=SECRETS.fingerprint)


def _restore(path: Path) -> None:
    restore(backup_beside(path.parent), path, secrets=SECRET, random=token_bytes, now_ms=START)


def backup_beside(folder: Path) -> Path:
    """The backup that is restored in a folder of copies."""
    return folder.with_name("backup.db")


def _work(path: Path, work: str) -> None:
    if work == "migrate":
        return _migrate(path)
    if work == "restore":
        return _restore(path)
    opened = open_store(path, fingerprint=SECRETS.fingerprint, serving=True)
    house = House(opened)
    house.snapshots.refresh()
    WORKS[work](house)


def _fuse(left: int) -> Callable[..., None]:
    """What kills the process when it is called after so many times."""

    def burn(*_: object) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    return burn


def _fused(burn: Callable[..., None]) -> Callable[..., Any]:
    """`connect` for connections that write."""

    def fused(path: Path, *, checkpoints: bool = False) -> Any:
        connection = connect(path, checkpoints=checkpoints)
        if checkpoints:
            connection.set_trace_callback(burn)
        return connection

    return fused


def _watch_files(folder: Path, burn: Callable[..., None]) -> None:
    def look(event: str, given: tuple[Any, ...]) -> None:
        if event in _OF_FILES and str(given[0]).startswith(str(folder)):
            burn()

    sys.addaudithook(look)


def _is_done(work: str, path: Path, *, left: int) -> bool:
    """Do the work in a process of its own; whether it came to its end."""
    child = os.fork()
    if child == 0:
        burn = _fuse(left)
        embedded_store.connect = writer.connect = copies.connect = _fused(burn)
        if work == "restore":
            _watch_files(path.parent, burn)
        try:
            _work(path, work)
        finally:
            # Nothing is closed: the last one, too, leaves its files as a killed one does.
            os._exit(1 if sys.exc_info()[0] else 0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise SystemExit(f"{work} fails by itself")
    return status == 0


if __name__ == "__main__":
    work, database, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    for number in count():
        copy = folder / f"{number}.db"
        shutil.copy(database, copy)
        if Path(f"{database}-wal").exists():
            shutil.copy(f"{database}-wal", f"{copy}-wal")
        if _is_done(work, copy, left=number):
            break
