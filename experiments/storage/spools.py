"""The tables of spools: which processes keep what has not been applied, and which of them are lost."""

from collections.abc import Collection
from collections.abc import Iterable
from typing import NamedTuple

from experiments.storage.connection import Connection


class SpoolRow(NamedTuple):
    """What a process has said of its spool: when it looked last, and since when so much in it waits to be applied.

    `pending_ms` is None where nothing does; `place` is the machine and the folder.
    """

    writer: str
    pending_ms: int | None
    seen_ms: int
    place: str
    entries: int
    bytes: int

    @property
    def since_ms(self) -> int:
        """The time before which all that it accepted has been applied."""
        return self.seen_ms if self.pending_ms is None else min(self.pending_ms, self.seen_ms)


class LostSpool(NamedTuple):
    """A spool that somebody has given up: what was accepted there since then, and not applied, is not counted."""

    writer: str
    since_ms: int
    accepted_ms: int


_COLUMNS = ", ".join(SpoolRow._fields)
_LOST = ", ".join(LostSpool._fields)
_MOST_CLEARED = 100


class Spools:
    """Which processes keep what has not been applied."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def see(self, row: SpoolRow) -> None:
        """Keep what a process says of its spool; one that was given up and is there again is not lost."""
        self._connection.execute(
            f"INSERT INTO spools ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (writer)"
            " DO UPDATE SET pending_ms = excluded.pending_ms, seen_ms = excluded.seen_ms, place = excluded.place,"
            " entries = excluded.entries, bytes = excluded.bytes",
            row,
        )
        self._connection.execute("DELETE FROM lost_spools WHERE writer = ?", (row.writer,))

    def all(self) -> list[SpoolRow]:
        """Every spool, the one that holds the watermark back most first."""
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM spools ORDER BY least(pending_ms, seen_ms), writer")
        return [SpoolRow(*row) for row in rows]

    def has_any(self) -> bool:
        """Whether a node has one."""
        return self._connection.execute("SELECT 1 FROM spools LIMIT 1").fetchone() is not None

    def leave(self, writer: str) -> None:
        """Say that nothing waits there."""
        self._connection.execute("DELETE FROM spools WHERE writer = ?", (writer,))

    def end(self, writers: Iterable[str], *, at_ms: int) -> None:
        """Say that nothing waits there, and that nothing ever will: whoever had them has ended."""
        for writer in writers:
            self.leave(writer)
            self._connection.execute(
                "INSERT INTO ended_spools (writer, at_ms) VALUES (?, ?) ON CONFLICT (writer) DO NOTHING",
                (writer, at_ms),
            )

    def ended(self, writers: Collection[str]) -> set[str]:
        """Those of some spools that have ended."""
        listed = self._connection.among(list(writers))
        rows = self._connection.execute(
            f"SELECT writer FROM ended_spools WHERE writer {listed.condition}", listed.values
        )
        return {writer for (writer,) in rows}

    def to_clear(self, *, before_ms: int) -> list[str]:
        """Some of those that ended before a time, and have positions."""
        rows = self._connection.execute(
            "SELECT writer FROM ended_spools WHERE NOT is_clear AND at_ms < ? ORDER BY at_ms LIMIT ?",
            (before_ms, _MOST_CLEARED),
        )
        return [writer for (writer,) in rows]

    def clear(self, writers: Collection[str]) -> None:
        """Say that they have no positions any more."""
        listed = self._connection.among(list(writers))
        self._connection.execute(
            f"UPDATE ended_spools SET is_clear = TRUE WHERE writer {listed.condition}", listed.values
        )

    def lose(self, lost: LostSpool) -> None:
        """Give a spool up."""
        self.leave(lost.writer)
        self._connection.execute(
            f"INSERT INTO lost_spools ({_LOST}) VALUES (?, ?, ?) ON CONFLICT (writer) DO NOTHING", lost
        )

    def lost(self) -> list[LostSpool]:
        """The spools that were given up, the newest last."""
        rows = self._connection.execute(f"SELECT {_LOST} FROM lost_spools ORDER BY accepted_ms, writer")
        return [LostSpool(*row) for row in rows]

    def watermark(self, *, now_ms: int) -> int:
        """The time before which everything received has been applied."""
        row = self._connection.execute("SELECT min(least(pending_ms, seen_ms)) FROM spools").fetchone()
        return now_ms if row[0] is None else min(int(row[0]), now_ms)
