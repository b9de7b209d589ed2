"""All that a database knows of a partition's visitors: read, put into another database, and removed."""

from collections.abc import Iterator

from experiments.batches import batched
from experiments.partitions import Span
from experiments.storage.connection import Connection
from experiments.storage.connection import Row

_TABLES = ("events", "exposures", "totals", "waiting")
_CHUNK = 5000
#: Numbers that others are given meanwhile.
_GAP = 1_000_000


class PartitionRows:
    """The rows of visitors, by partition."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, span: Span) -> Iterator[tuple[str, list[str], list[Row]]]:
        """Table, columns, and rows, so many at a time."""
        for table in _TABLES:
            columns = self._columns(table)
            rows = self._connection.stream(
                f"SELECT {', '.join(columns)} FROM {table}"
                f" WHERE visitor >= '\\x{span.low.hex()}' AND visitor < '\\x{span.high.hex()}'"
            )
            for some in batched(rows, size=_CHUNK):
                yield table, columns, some

    def put(self, table: str, columns: list[str], rows: list[Row]) -> None:
        """Put rows in as they were in another database."""
        self._connection.executemany(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", rows
        )

    def remove(self, span: Span) -> None:
        """Remove what is known of a partition's visitors."""
        for table in _TABLES:
            self._connection.execute(f"DELETE FROM {table} WHERE visitor >= ? AND visitor < ?", span)

    def number_on(self, span: Span) -> None:
        """Give events numbers from now on after those of this partition."""
        self._connection.execute(
            "SELECT setval(sequence, newest + ?) FROM (SELECT pg_get_serial_sequence('events', 'seq')::regclass"
            " AS sequence, coalesce(max(seq), 0) AS newest FROM events WHERE visitor >= ? AND visitor < ?) AS found"
            " WHERE newest >= nextval(sequence)",
            (_GAP, *span),
        )

    def _columns(self, table: str) -> list[str]:
        rows = self._connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = ?::text::regclass AND attnum > 0 AND NOT attisdropped"
            " ORDER BY attnum",
            (table,),
        )
        return [str(name) for (name,) in rows]
