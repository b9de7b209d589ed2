"""Commits: how many a database has seen, read from the index of its log, which all processes share."""

import mmap
import struct
from pathlib import Path

from experiments.storage.sqlite import connect

# https://www.sqlite.org/walformat.html#the_wal_index_file_format: `iChange`, counted up by every transaction that
# wrote, when it becomes visible to others.
_CHANGE = struct.Struct("=I")
_OFFSET = 8


class Commits:
    """The number of commits by whomever; asking costs less than any statement would."""

    def __init__(self, path: Path) -> None:
        # An open connection that has read makes sure that the index is there, and stays.
        self._connection = connect(path)
        self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        with Path(f"{path}-shm").open("rb") as index:
            self._index = mmap.mmap(index.fileno(), mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ)

    def count(self) -> int:
        """A number that each commit makes one larger."""
        return int(_CHANGE.unpack_from(self._index, _OFFSET)[0])

    def close(self) -> None:
        """Let the index go."""
        self._index.close()
        self._connection.close()
