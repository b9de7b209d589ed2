"""The tombstones: who was erased, by marks that nobody can read, for as long as anything of them may still come."""

from collections.abc import Collection
from collections.abc import Iterable

from experiments.storage.connection import Connection

_STEP = 1000


class Tombstones:
    """Marks of the erased, each until its end."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def keep(self, marks: Iterable[tuple[bytes, int]]) -> None:
        """Keep marks, each with its end; the later one of a mark that is there."""
        self._connection.executemany(
            "INSERT INTO tombstones (mark, until_ms) VALUES (?, ?)"
            " ON CONFLICT (mark) DO UPDATE SET until_ms = excluded.until_ms"
            " WHERE excluded.until_ms > tombstones.until_ms",
            marks,
        )

    def of(self, marks: Collection[bytes]) -> dict[bytes, int]:
        """The ends of those of some marks that are there."""
        rows = self._connection.of_each(marks, "SELECT mark, until_ms FROM tombstones WHERE mark = ?")
        return {bytes(mark): until_ms for mark, until_ms in rows}

    def all(self) -> list[tuple[bytes, int]]:
        """Every mark with its end."""
        rows = self._connection.execute("SELECT mark, until_ms FROM tombstones")
        return [(bytes(mark), until_ms) for mark, until_ms in rows]

    def last_until_ms(self) -> int:
        """When the last of them ends; 0 where there is none."""
        return int(self._connection.execute("SELECT coalesce(max(until_ms), 0) FROM tombstones").fetchone()[0])

    def have_ended(self, *, now_ms: int) -> bool:
        """Whether any of them has."""
        row = self._connection.execute("SELECT 1 FROM tombstones WHERE until_ms <= ? LIMIT 1", (now_ms,)).fetchone()
        return row is not None

    def remove_ended(self, *, now_ms: int) -> int:
        """Forget some of those that have ended; how many."""
        return self._connection.execute(
            "DELETE FROM tombstones WHERE mark IN ("
            "SELECT mark FROM tombstones WHERE until_ms <= ? ORDER BY until_ms LIMIT ?)",
            (now_ms, _STEP),
        ).rowcount
