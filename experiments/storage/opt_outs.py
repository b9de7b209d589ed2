"""Rows of opt-outs: visitors who object to being counted and tailored for, by the stand-ins of their ids."""

from collections.abc import Iterable
from typing import NamedTuple

from experiments.storage.connection import Connection


class OptOutRow(NamedTuple):
    """A visitor who objects, or no longer does."""

    visitor: bytes
    is_out: bool
    at_ms: int


class OptOuts:
    """Everybody who ever objected; each change has a version."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def keep(self, rows: Iterable[OptOutRow], *, version: int) -> None:
        """Keep what visitors want from now on."""
        self._connection.executemany(
            "INSERT INTO opt_outs (visitor, is_out, version, at_ms) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (visitor) DO UPDATE"
            " SET is_out = excluded.is_out, version = excluded.version, at_ms = excluded.at_ms"
            " WHERE opt_outs.is_out <> excluded.is_out",
            [(row.visitor, int(row.is_out), version, row.at_ms) for row in rows],
        )

    def get(self, visitor: bytes) -> OptOutRow | None:
        """What one visitor wants, or None where nothing was ever said."""
        row = self._connection.execute(
            "SELECT visitor, is_out, at_ms FROM opt_outs WHERE visitor = ?", (visitor,)
        ).fetchone()
        return None if row is None else OptOutRow(bytes(row[0]), bool(row[1]), row[2])

    def remove_taken_back(self, visitors: Iterable[bytes]) -> None:
        """Forget of visitors that they objected, where they no longer do."""
        self._connection.executemany(
            "DELETE FROM opt_outs WHERE visitor = ? AND is_out = 0", [(visitor,) for visitor in visitors]
        )

    def all(self) -> list[OptOutRow]:
        """What everybody wants of whom anything was ever said."""
        rows = self._connection.execute("SELECT visitor, is_out, at_ms FROM opt_outs")
        return [OptOutRow(bytes(visitor), bool(is_out), at_ms) for visitor, is_out, at_ms in rows]

    def after(self, version: int) -> dict[bytes, bool]:
        """What has changed since a version: who objects now, and who no longer does."""
        rows = self._connection.execute("SELECT visitor, is_out FROM opt_outs WHERE version > ?", (version,))
        return {bytes(visitor): bool(is_out) for visitor, is_out in rows}
