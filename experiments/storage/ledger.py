"""The ledger of allocations, and the slots of jobs."""

from collections.abc import Iterator
from typing import NamedTuple

from experiments.storage.connection import Connection
from experiments.storage.heads import Head
from experiments.storage.heads import Heads
from experiments.storage.heads import ledger_name


class LedgerRow(NamedTuple):
    """One decision about weights: `kind` published or unchanged, `body` canonical JSON, `hash` over it and the last."""

    experiment: str
    number: int
    epoch: int
    kind: str
    at_ms: int
    body: str
    hash: str


_COLUMNS = "experiment, number, epoch, kind, at_ms, body, hash"


class Ledger:
    """Append-only: rows are added, read, and never changed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def append(self, row: LedgerRow) -> bool:
        """Add the next row; False where somebody else has added it."""
        cursor = self._connection.execute(
            f"INSERT INTO ledger ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row
        )
        if cursor.rowcount:
            Heads(self._connection).move(Head(ledger_name(row.experiment), row.number, row.hash))
        return bool(cursor.rowcount)

    def last(self, experiment: str) -> LedgerRow | None:
        """The newest row of an experiment."""
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM ledger WHERE experiment = ? ORDER BY number DESC LIMIT 1", (experiment,)
        ).fetchone()
        return None if row is None else LedgerRow(*row)

    def newest_epoch(self, experiment: str) -> LedgerRow | None:
        """The row that made the newest epoch."""
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM ledger WHERE experiment = ? AND kind = 'published' ORDER BY number DESC LIMIT 1",
            (experiment,),
        ).fetchone()
        return None if row is None else LedgerRow(*row)

    def epoch(self, experiment: str, epoch: int) -> LedgerRow | None:
        """The row that made an epoch."""
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM ledger WHERE experiment = ? AND epoch = ? AND kind = 'published'",
            (experiment, epoch),
        ).fetchone()
        return None if row is None else LedgerRow(*row)

    def published(self, experiment: str) -> list[LedgerRow]:
        """The rows that made an epoch, the oldest first."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM ledger WHERE experiment = ? AND kind = 'published' ORDER BY number", (experiment,)
        )
        return [LedgerRow(*row) for row in rows]

    def newest_decisions(self, experiment: str, *, before: int | None, limit: int) -> list[LedgerRow]:
        """The newest rows numbered below `before` but for those that changed nothing; None leaves the bound out."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM ledger"
            " WHERE experiment = :experiment"
            " AND kind <> 'unchanged'"
            " AND (number < :before OR :before IS NULL)"
            " ORDER BY number DESC"
            " LIMIT :limit",
            {"experiment": experiment, "before": before, "limit": limit},
        )
        return [LedgerRow(*row) for row in rows]

    def after(self, experiment: str, number: int, *, limit: int) -> list[LedgerRow]:
        """The rows that follow one, the oldest first."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM ledger WHERE experiment = ? AND number > ? ORDER BY number LIMIT ?",
            (experiment, number, limit),
        )
        return [LedgerRow(*row) for row in rows]

    def rows(self, experiment: str) -> Iterator[LedgerRow]:
        """Every row of an experiment, the oldest first."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM ledger WHERE experiment = ? ORDER BY number", (experiment,)
        )
        return (LedgerRow(*row) for row in rows)


class Slots:
    """Which slots of which jobs are done."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def claim(self, job: str, experiment: str, slot: int, *, now_ms: int) -> bool:
        """Take a slot for oneself; False where it or a later one was taken before: who slept through is fenced."""
        cursor = self._connection.execute(
            "INSERT INTO slots (job, experiment, slot, at_ms) SELECT :job, :experiment, :slot, :at_ms"
            " WHERE NOT EXISTS ("
            "SELECT 1 FROM slots WHERE job = :job AND experiment = :experiment AND slot >= :slot)",
            {"job": job, "experiment": experiment, "slot": slot, "at_ms": now_ms},
        )
        return bool(cursor.rowcount)

    def last(self, job: str, experiment: str) -> int | None:
        """The newest slot that was taken."""
        row = self._connection.execute(
            "SELECT max(slot) FROM slots WHERE job = ? AND experiment = ?", (job, experiment)
        ).fetchone()
        return None if row[0] is None else int(row[0])
