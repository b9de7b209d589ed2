"""The counters: cells, lags and counts, all of them changed by adding only."""

from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from experiments.storage.sqlite import Connection


class CellKey(NamedTuple):
    """Which visitors a cell counts; `day` is the UTC day of first exposure, in days since 1970."""

    experiment: str
    epoch: int
    day: int
    segment: str
    arm: str
    asserted: bool
    metric: str


class CellRow(NamedTuple):
    """A cell: visitors, and the sums of their values and squared values, in the metric's integer unit."""

    key: CellKey
    n: int
    total: int
    total_squares: float


class Cells:
    """The sums that reports and reallocations read."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, changes: Mapping[CellKey, tuple[int, int, float]]) -> None:
        """Add visitors, sum and sum of squares to each cell."""
        self._connection.executemany(
            "INSERT INTO cells (experiment, epoch, day, segment, arm, asserted, metric, n, sum, sum2)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (experiment, epoch, day, segment, arm, asserted, metric) DO UPDATE SET"
            " n = cells.n + excluded.n, sum = cells.sum + excluded.sum, sum2 = cells.sum2 + excluded.sum2",
            [(*key, *change) for key, change in changes.items()],
        )

    def of(self, experiment: str) -> list[CellRow]:
        """Every cell of an experiment, erased visitors included, in the order of epochs and days."""
        rows = self._connection.execute(
            "SELECT experiment, epoch, day, segment, arm, asserted, metric, n, sum, sum2"
            " FROM cells WHERE experiment = ? ORDER BY epoch, day",
            (experiment,),
        )
        return [_cell(row) for row in rows]


def _cell(row: tuple[Any, ...]) -> CellRow:
    experiment, epoch, day, segment, arm, asserted, metric, n, total, total_squares = row
    key = CellKey(experiment, epoch, day, segment, arm, bool(asserted), metric)
    return CellRow(key, n, total, total_squares)


class Lags:
    """How long after the exposure metrics were met, for the delay curve."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, changes: Mapping[tuple[str, str, str, int], int]) -> None:
        """Add to (experiment, metric, segment, bucket)."""
        self._connection.executemany(
            "INSERT INTO lags (experiment, metric, segment, bucket, n) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (experiment, metric, segment, bucket) DO UPDATE SET n = lags.n + excluded.n",
            [(*key, n) for key, n in changes.items()],
        )

    def of(self, experiment: str) -> dict[tuple[str, str, int], int]:
        """The counts of an experiment by (metric, segment, bucket)."""
        rows = self._connection.execute(
            "SELECT metric, segment, bucket, n FROM lags WHERE experiment = ?", (experiment,)
        )
        return {(metric, segment, bucket): n for metric, segment, bucket, n in rows}


class Counters:
    """Plain counts of an experiment by name; those of no known experiment stand under the empty key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, changes: Iterable[tuple[tuple[str, str], int]]) -> None:
        """Add to (experiment, name)."""
        self._connection.executemany(
            "INSERT INTO counters (experiment, name, n) VALUES (?, ?, ?)"
            " ON CONFLICT (experiment, name) DO UPDATE SET n = counters.n + excluded.n",
            [(*key, n) for key, n in changes],
        )

    def of(self, experiment: str) -> dict[str, int]:
        """The counts of an experiment by name."""
        rows = self._connection.execute("SELECT name, n FROM counters WHERE experiment = ?", (experiment,))
        return dict(rows.fetchall())
