"""The rows of the audit log."""

from collections.abc import Iterator
from typing import NamedTuple

from experiments.storage.connection import Connection
from experiments.storage.heads import AUDIT_LOG
from experiments.storage.heads import Head
from experiments.storage.heads import Heads


class AuditRow(NamedTuple):
    """One deed: `body` is canonical JSON that holds all of it, `hash` is over it and the row before."""

    number: int
    at_ms: int
    actor: str
    action: str
    subject: str
    body: str
    hash: str


_COLUMNS = "number, at_ms, actor, action, subject, body, hash"


class Audit:
    """Append-only: rows are added, read, and never changed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def append(self, row: AuditRow) -> None:
        """Add the next row; the write transaction keeps others from adding it too."""
        self._connection.execute(f"INSERT INTO audit ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        Heads(self._connection).move(Head(AUDIT_LOG, row.number, row.hash))

    def last(self) -> AuditRow | None:
        """The newest row."""
        row = self._connection.execute(f"SELECT {_COLUMNS} FROM audit ORDER BY number DESC LIMIT 1").fetchone()
        return None if row is None else AuditRow(*row)

    def rows(self) -> Iterator[AuditRow]:
        """Every row, the oldest first."""
        return (AuditRow(*row) for row in self._connection.execute(f"SELECT {_COLUMNS} FROM audit ORDER BY number"))

    def after(self, number: int, *, limit: int) -> list[AuditRow]:
        """The rows that follow one, the oldest first."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM audit WHERE number > ? ORDER BY number LIMIT ?", (number, limit)
        )
        return [AuditRow(*row) for row in rows]

    def newest(self, *, actor: str | None, subject: str | None, before: int | None, limit: int) -> list[AuditRow]:
        """The newest rows of an actor and on a subject, numbered below `before`; None leaves a condition out."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM audit"
            " WHERE (actor = :actor OR :actor IS NULL)"
            " AND (subject = :subject OR :subject IS NULL)"
            " AND (number < :before OR :before IS NULL)"
            " ORDER BY number DESC"
            " LIMIT :limit",
            {"actor": actor, "subject": subject, "before": before, "limit": limit},
        )
        return [AuditRow(*row) for row in rows]
