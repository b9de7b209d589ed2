"""Replies: what requests with an idempotency key were answered, kept for a while."""

from typing import NamedTuple

from experiments.storage.connection import Connection

_STEP = 100


class ReplyRow(NamedTuple):
    """An answer by the API key and the idempotency key of its request; `digest` is of the request."""

    actor: str
    key: str
    digest: bytes
    status: int
    location: str | None
    body: bytes
    at_ms: int


class Replies:
    """The answers that may be asked for again."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, actor: str, key: str, *, since_ms: int) -> ReplyRow | None:
        """The answer of a request, or None; older ones are forgotten."""
        row = self._connection.execute(
            "SELECT actor, key, digest, status, location, body, at_ms FROM replies"
            " WHERE actor = ? AND key = ? AND at_ms >= ?",
            (actor, key, since_ms),
        ).fetchone()
        return None if row is None else ReplyRow(row[0], row[1], bytes(row[2]), row[3], row[4], bytes(row[5]), row[6])

    def keep(self, row: ReplyRow) -> None:
        """Keep an answer, in place of a forgotten one of its keys."""
        self._connection.execute(
            "INSERT INTO replies (actor, key, digest, status, location, body, at_ms) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (actor, key) DO UPDATE SET digest = excluded.digest, status = excluded.status,"
            " location = excluded.location, body = excluded.body, at_ms = excluded.at_ms",
            row,
        )

    def are_older(self, before_ms: int) -> bool:
        """Whether there are any from before a time."""
        row = self._connection.execute("SELECT 1 FROM replies WHERE at_ms < ? LIMIT 1", (before_ms,)).fetchone()
        return row is not None

    def forget(self, *, before_ms: int) -> int:
        """Delete the oldest answers from before a time, a few of them, so that no write waits for it; how many."""
        return self._connection.execute(
            "DELETE FROM replies WHERE (actor, key) IN ("
            "SELECT actor, key FROM replies WHERE at_ms < ? ORDER BY at_ms LIMIT ?)",
            (before_ms, _STEP),
        ).rowcount
