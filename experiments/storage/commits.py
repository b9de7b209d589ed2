"""Commits beside the server: how many there were, in a number that all processes of a database share."""

import mmap
import os
import struct
from pathlib import Path

from experiments.storage.sqlite import accessible

_COUNT = struct.Struct("=Q")


class CommitsBeside:
    """The commits of commands; asking for their number costs less than any statement would.

    Not from SQLite's own files: whoever closes one of those takes away the locks that its process holds on it.
    """

    def __init__(self, path: Path) -> None:
        beside = Path(f"{path}-commits")
        with accessible(beside):
            file = os.open(beside, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                # A number in use is not changed by this. Whoever writes where a full disk has no place is killed.
                os.posix_fallocate(file, 0, _COUNT.size)
                self._shared = mmap.mmap(file, _COUNT.size)
            finally:
                os.close(file)

    def count(self) -> int:
        """A number that each commit of a command makes larger before anybody can see what it wrote."""
        return int(_COUNT.unpack_from(self._shared)[0])

    def announce(self) -> None:
        """Say that a commit comes; in its transaction, so that only one process does at a time."""
        _COUNT.pack_into(self._shared, 0, self.count() + 1)

    def close(self) -> None:
        """Let the number go."""
        self._shared.close()
