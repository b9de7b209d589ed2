"""The table of what waits: outcomes whose visitor is not known to be exposed."""

from collections.abc import Collection
from collections.abc import Iterable
from typing import NamedTuple

from experiments.partitions import Span
from experiments.storage.connection import Connection
from experiments.storage.connection import Row
from experiments.storage.events import COLUMNS
from experiments.storage.events import EventRow
from experiments.storage.events import event_of

#: The counter of outcomes that waited for an exposure, and were removed.
ORPHANS = "orphans"


class WaitingCounts(NamedTuple):
    """How many events wait, how many have become orphans, and when the next one becomes one, if any waits."""

    waiting: int
    orphans: int
    next_ms: int | None


class WaitingRow(NamedTuple):
    """An event that waits, by its number too, and until when; after that it is an orphan."""

    number: int
    until_ms: int
    event: EventRow


def _number(row: Row) -> int:
    return int(row[0])


class Waiting:
    """Outcomes whose visitor is not known to be exposed: kept for one window, orphans after it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, rows: Iterable[tuple[str, bytes, int, int]]) -> None:
        """Let events wait: experiment, visitor, the event's number, until when."""
        self._connection.executemany(
            "INSERT INTO waiting (experiment, visitor, event, until_ms) VALUES (?, ?, ?, ?)", rows
        )

    def of_visitors(self, experiment: str, visitors: Collection[bytes]) -> list[WaitingRow]:
        """What waits for the exposures of some visitors, in the order of storing, orphans among it."""
        rows = self._connection.of_each(
            visitors,
            f"SELECT waiting.event, waiting.until_ms, {COLUMNS} FROM waiting"
            " JOIN events ON events.visitor = waiting.visitor AND events.seq = waiting.event"
            " WHERE waiting.experiment = ? AND waiting.visitor = ?",
            (experiment,),
        )
        return [WaitingRow(number, until_ms, event_of(row)) for number, until_ms, *row in sorted(rows, key=_number)]

    def remove(self, keys: Iterable[tuple[str, bytes, int]]) -> None:
        """Let events wait no more: experiment, visitor, the event's number."""
        self._connection.executemany("DELETE FROM waiting WHERE experiment = ? AND visitor = ? AND event = ?", keys)

    def counts(self, experiment: str, *, now_ms: int) -> tuple[int, int]:
        """How many events wait, and how many have become orphans, those removed since included; in shards too."""
        row = self._connection.execute(
            "SELECT here.waiting + coalesce(sum(there.waiting), 0), here.orphans + coalesce(sum(there.orphans), 0)"
            " + coalesce((SELECT n FROM counters WHERE experiment = ? AND name = ?), 0)"
            " FROM (SELECT count(*) FILTER (WHERE until_ms > ?) AS waiting,"
            " count(*) FILTER (WHERE until_ms <= ?) AS orphans FROM waiting WHERE experiment = ?) AS here"
            " LEFT JOIN collected_waiting AS there ON there.experiment = ? GROUP BY here.waiting, here.orphans",
            (experiment, ORPHANS, now_ms, now_ms, experiment, experiment),
        ).fetchone()
        return int(row[0]), int(row[1])

    def of_span(self, span: Span, *, now_ms: int) -> dict[str, WaitingCounts]:
        """Those of the visitors of a span, by experiment."""
        rows = self._connection.execute(
            "SELECT experiment, count(*) FILTER (WHERE until_ms > ?), count(*) FILTER (WHERE until_ms <= ?),"
            " min(until_ms) FILTER (WHERE until_ms > ?)"
            " FROM waiting WHERE visitor >= ? AND visitor < ? GROUP BY experiment",
            (now_ms, now_ms, now_ms, *span),
        )
        return {experiment: WaitingCounts(*counts) for experiment, *counts in rows}
