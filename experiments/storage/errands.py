"""Errands: what is fetched from sources and handed to sinks, each by one process at a time, and how it went."""

from typing import NamedTuple

from experiments.storage.connection import Connection
from experiments.storage.heads import Head


class ErrandRow(NamedTuple):
    """When an errand is due next, its failures since it last went well, the fault, and how far a source was read."""

    name: str
    due_ms: int
    failures: int
    fault: str
    reached: str


_COLUMNS = ", ".join(ErrandRow._fields)


class Errands:
    """One for each source and sink."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> list[ErrandRow]:
        """Every errand that was ever begun."""
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM errands ORDER BY name")
        return [ErrandRow(*row) for row in rows]

    def get(self, name: str) -> ErrandRow | None:
        """An errand; None where it was never begun."""
        row = self._connection.execute(f"SELECT {_COLUMNS} FROM errands WHERE name = ?", (name,)).fetchone()
        return None if row is None else ErrandRow(*row)

    def begin(self, name: str, *, now_ms: int) -> bool:
        """Enter an errand that is due at once; False where somebody has."""
        cursor = self._connection.execute(
            f"INSERT INTO errands ({_COLUMNS}) VALUES (?, ?, 0, '', '') ON CONFLICT DO NOTHING", (name, now_ms)
        )
        return bool(cursor.rowcount)

    def claim(self, name: str, *, until_ms: int, now_ms: int) -> ErrandRow | None:
        """Take an errand that is due; None where it is not, or another process is at it until its time is over."""
        cursor = self._connection.execute(
            "UPDATE errands SET due_ms = :until_ms WHERE name = :name AND due_ms <= :now_ms",
            {"name": name, "until_ms": until_ms, "now_ms": now_ms},
        )
        return self.get(name) if cursor.rowcount else None

    def keep(self, row: ErrandRow, *, until_ms: int) -> None:
        """Keep how it went; nothing where it took so long that another process has claimed it."""
        self._connection.execute(
            "UPDATE errands SET due_ms = :due_ms, failures = :failures, fault = :fault, reached = :reached"
            " WHERE name = :name AND due_ms = :until_ms",
            {**row._asdict(), "until_ms": until_ms},
        )


class Handed(NamedTuple):
    """A chain with more rows than a sink has been handed: up to which one it has, and where the chain ends."""

    chain: str
    number: int
    newest: int


class HandedNews:
    """How far each sink has got in each chain."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self, sink: str) -> None:
        """Take what there is for handed out: a new sink is told what comes."""
        self._connection.execute(
            "INSERT INTO handed (sink, chain, number) SELECT ?, chain, number FROM heads", (sink,)
        )

    def behind(self, sink: str) -> list[Handed]:
        """The chains of which it lacks rows."""
        rows = self._connection.execute(
            "SELECT heads.chain, coalesce(handed.number, 0), heads.number"
            " FROM heads"
            " LEFT JOIN handed ON handed.sink = ? AND handed.chain = heads.chain"
            " WHERE heads.number > coalesce(handed.number, 0)"
            " ORDER BY heads.chain",
            (sink,),
        )
        return [Handed(*row) for row in rows]

    def move(self, sink: str, head: Head) -> None:
        """Say that the rows of a chain up to this one are handed out."""
        self._connection.execute(
            "INSERT INTO handed (sink, chain, number) VALUES (?, ?, ?)"
            " ON CONFLICT (sink, chain) DO UPDATE SET number = excluded.number",
            (sink, head.chain, head.number),
        )
