"""Rows of drafts: what somebody has typed of an experiment and not finished."""

from typing import Any
from typing import NamedTuple

import msgspec

from experiments.storage.connection import Connection


class DraftRow(NamedTuple):
    """A form as it was typed; `experiment` is empty for a new one."""

    email: str
    experiment: str
    body: dict[str, Any]
    saved_ms: int


class Drafts:
    """The forms that people have begun, one for each person and experiment."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, email: str, experiment: str) -> DraftRow | None:
        """One draft, or None."""
        row = self._connection.execute(
            "SELECT body, saved_ms FROM drafts WHERE email = ? AND experiment = ?", (email, experiment)
        ).fetchone()
        return None if row is None else DraftRow(email, experiment, msgspec.json.decode(row[0]), row[1])

    def keep(self, row: DraftRow) -> None:
        """Keep a draft in place of the one before."""
        self._connection.execute(
            "INSERT INTO drafts (email, experiment, body, saved_ms) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (email, experiment) DO UPDATE SET body = excluded.body, saved_ms = excluded.saved_ms",
            (row.email, row.experiment, msgspec.json.encode(row.body).decode(), row.saved_ms),
        )

    def remove(self, email: str, experiment: str) -> None:
        """Forget a draft."""
        self._connection.execute("DELETE FROM drafts WHERE email = ? AND experiment = ?", (email, experiment))

    def remove_of(self, email: str) -> None:
        """Forget every draft of a user."""
        self._connection.execute("DELETE FROM drafts WHERE email = ?", (email,))
