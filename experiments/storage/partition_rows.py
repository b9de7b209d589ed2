"""All that a database knows of a partition's visitors: read, put into another database, and removed."""

from collections.abc import Iterator
from typing import NamedTuple

from experiments.batches import batched
from experiments.storage.connection import Connection
from experiments.storage.connection import Row

_TABLES = ("events", "exposures", "totals", "waiting")
_CHUNK = 5000
#: Numbers that others are given meanwhile.
_GAP = 1_000_000


class Part(NamedTuple):
    """A partition, and of how many it is one."""

    number: int
    of: int


class PartitionRows:
    """The rows of visitors, by partition."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, part: Part) -> Iterator[tuple[str, list[str], list[Row]]]:
        """Table, columns, and rows, so many at a time."""
        for table in _TABLES:
            columns = self._columns(table)
            rows = self._connection.stream(
                f"SELECT {', '.join(columns)} FROM {table} WHERE partition_of(visitor, {part.of}) = {part.number}"
            )
            for some in batched(rows, size=_CHUNK):
                yield table, columns, some

    def put(self, table: str, columns: list[str], rows: list[Row]) -> None:
        """Put rows in as they were in another database."""
        self._connection.executemany(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", rows
        )

    def remove(self, part: Part) -> None:
        """Remove what is known of a partition's visitors."""
        for table in _TABLES:
            self._connection.execute(
                f"DELETE FROM {table} WHERE partition_of(visitor, ?) = ?", (part.of, part.number)
            )

    def number_on(self, part: Part) -> None:
        """Give events numbers from now on after those of this partition."""
        self._connection.execute(
            "SELECT setval(sequence, newest + ?) FROM (SELECT pg_get_serial_sequence('events', 'seq')::regclass"
            " AS sequence, coalesce(max(seq), 0) AS newest FROM events WHERE partition_of(visitor, ?) = ?) AS found"
            " WHERE newest >= nextval(sequence)",
            (_GAP, part.of, part.number),
        )

    def _columns(self, table: str) -> list[str]:
        rows = self._connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = ?::text::regclass AND attnum > 0 AND NOT attisdropped"
            " ORDER BY attnum",
            (table,),
        )
        return [str(name) for (name,) in rows]
