"""What is known of each visitor: the first exposure, the totals, and outcomes that wait for an exposure."""

from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from experiments.storage.sqlite import Connection


class ExposureRow(NamedTuple):
    """A visitor's first exposure in an experiment; `weight` in ten-thousandths."""

    arm: str
    segment: str
    epoch: int
    weight: int
    at_ms: int
    asserted: bool


class Exposures:
    """First exposures, fixed for good."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, experiment: str, visitor: bytes) -> ExposureRow | None:
        """A visitor's exposure, or None."""
        row = self._connection.execute(
            "SELECT arm, segment, epoch, weight, at_ms, asserted FROM exposures WHERE experiment = ? AND visitor = ?",
            (experiment, visitor),
        ).fetchone()
        return None if row is None else _exposure(row)

    def of_visitor(self, visitor: bytes, experiments: Iterable[str]) -> dict[str, ExposureRow]:
        """A visitor's exposures, by those of the experiments where there is one."""
        found = {experiment: self.get(experiment, visitor) for experiment in experiments}
        return {experiment: row for experiment, row in found.items() if row is not None}

    def of_visitors(self, experiment: str, visitors: Sequence[bytes]) -> list[tuple[bytes, ExposureRow]]:
        """The exposures of those of some visitors who have one."""
        rows = self._connection.execute(
            "SELECT visitor, arm, segment, epoch, weight, at_ms, asserted FROM exposures"
            f" WHERE experiment = ? AND visitor IN ({', '.join('?' * len(visitors))})",
            (experiment, *visitors),
        )
        return [(bytes(row[0]), _exposure(row[1:])) for row in rows]

    def has_any(self, experiment: str) -> bool:
        """Whether anybody was ever exposed."""
        row = self._connection.execute("SELECT 1 FROM exposures WHERE experiment = ? LIMIT 1", (experiment,)).fetchone()
        return row is not None

    def insert(self, experiment: str, visitor: bytes, row: ExposureRow) -> None:
        """Keep a first exposure."""
        self._connection.execute(
            "INSERT INTO exposures (experiment, visitor, arm, segment, epoch, weight, at_ms, asserted)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (experiment, visitor, *row),
        )

    def all(self, experiment: str) -> list[tuple[bytes, ExposureRow]]:
        """Every visitor's exposure in an experiment."""
        rows = self._connection.execute(
            "SELECT visitor, arm, segment, epoch, weight, at_ms, asserted FROM exposures WHERE experiment = ?",
            (experiment,),
        )
        return [(bytes(row[0]), _exposure(row[1:])) for row in rows]


def _exposure(row: tuple[Any, ...]) -> ExposureRow:
    arm, segment, epoch, weight, at_ms, asserted = row
    return ExposureRow(arm, segment, epoch, weight, at_ms, bool(asserted))


class Totals:
    """What each visitor has reached in each metric, before any cap."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, experiment: str, visitor: bytes, metric: str, *, amount: int) -> int:
        """Add to a total; the total after it."""
        cursor = self._connection.execute(
            "INSERT INTO totals (experiment, visitor, metric, total) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (experiment, visitor, metric) DO UPDATE SET total = totals.total + excluded.total"
            " RETURNING total",
            (experiment, visitor, metric, amount),
        )
        return int(cursor.fetchone()[0])

    def get(self, experiment: str, visitor: bytes, metric: str) -> int:
        """A total; 0 where nothing was added."""
        row = self._connection.execute(
            "SELECT total FROM totals WHERE experiment = ? AND visitor = ? AND metric = ?",
            (experiment, visitor, metric),
        ).fetchone()
        return 0 if row is None else int(row[0])

    def all(self, experiment: str) -> dict[tuple[bytes, str], int]:
        """Every total of an experiment, by visitor and metric."""
        rows = self._connection.execute(
            "SELECT visitor, metric, total FROM totals WHERE experiment = ?", (experiment,)
        )
        return {(bytes(visitor), metric): total for visitor, metric, total in rows}


class Waiting:
    """Outcomes whose visitor is not known to be exposed: kept for one window, orphans after it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, experiment: str, visitor: bytes, event: int, *, until_ms: int) -> None:
        """Let an event wait for the visitor's exposure."""
        self._connection.execute(
            "INSERT INTO waiting (experiment, visitor, event, until_ms) VALUES (?, ?, ?, ?)",
            (experiment, visitor, event, until_ms),
        )

    def take(self, experiment: str, visitor: bytes, *, now_ms: int) -> list[int]:
        """The numbers of the events that waited for this exposure, in order; orphans stay behind."""
        rows = self._connection.execute(
            "DELETE FROM waiting WHERE experiment = ? AND visitor = ? AND until_ms > ? RETURNING event",
            (experiment, visitor, now_ms),
        )
        return sorted(row[0] for row in rows)

    def counts(self, experiment: str, *, now_ms: int) -> tuple[int, int]:
        """How many events wait, and how many have become orphans."""
        row = self._connection.execute(
            "SELECT coalesce(sum(until_ms > ?), 0), coalesce(sum(until_ms <= ?), 0) FROM waiting WHERE experiment = ?",
            (now_ms, now_ms, experiment),
        ).fetchone()
        return int(row[0]), int(row[1])
