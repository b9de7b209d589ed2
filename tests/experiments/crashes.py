"""Crashes at every statement: a work done again and again by processes that are killed, each one statement later.

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
from typing import Any

from experiments.reallocation import reallocate_due
from experiments.storage import store
from experiments.storage import writer
from experiments.storage.sqlite import connect
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from tests.experiments.house import HOUR
from tests.experiments.house import SECRETS
from tests.experiments.house import START
from tests.experiments.house import House

KEY = "tiny"
SLOT_MS = START + 10 * HOUR


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


def _work(path: Path, work: str) -> None:
    if work == "migrate":
        return _migrate(path)
    opened = open_store(path, fingerprint=SECRETS.fingerprint, serving=True)
    house = House(opened)
    house.snapshots.refresh()
    WORKS[work](house)


def _fused(left: int) -> Callable[..., Any]:
    """`connect` for connections that write: the process is killed before the statement after so many."""

    def burn(_: str) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    def fused(path: Path, *, checkpoints: bool = False) -> Any:
        connection = connect(path, checkpoints=checkpoints)
        if checkpoints:
            connection.set_trace_callback(burn)
        return connection

    return fused


def _is_done(work: str, path: Path, *, left: int) -> bool:
    """Do the work in a process of its own; whether it came to its end."""
    child = os.fork()
    if child == 0:
        store.connect = writer.connect = _fused(left)
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
        if _is_done(work, copy, left=number):
            break
