"""Folders of a spool: each held by the process that has it, for as long as that lives."""

import fcntl
import os
from pathlib import Path
from typing import BinaryIO

_ONLY_MINE = 0o700
_NEW = "new-"


def is_new(folder: Path) -> bool:
    """Whether somebody is about to hold it."""
    return folder.name.startswith(_NEW)


def taken(folder: Path) -> BinaryIO:
    """A new folder, held as long as what is given is open."""
    # Under a name that nobody looks at until it is locked: another process would take it for one that was left.
    new = folder.with_name(f"{_NEW}{folder.name}")
    new.mkdir(mode=_ONLY_MINE, parents=True)
    lock = free(new)
    assert lock is not None, "the name is random"
    new.rename(folder)
    keep_names(folder.parent)
    return lock


def free(folder: Path) -> BinaryIO | None:
    """The lock of a folder, or None where the process that has it is alive, or has just removed it."""
    try:
        lock = (folder / "lock").open("ab")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def keep_names(folder: Path) -> None:
    """Have on disk which files are in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
