"""The counters: cells, lags and counts, all of them changed by adding only."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

from experiments.columns import Columns
from experiments.columns import by_metric
from experiments.storage.connection import Connection
from experiments.storage.connection import Listed
from experiments.storage.connection import Sums


class CellKey(NamedTuple):
    """Which visitors a cell counts; `day` is the UTC day of first exposure, in days since 1970.

    The `context` is empty where weights do not differ by it.
    """

    experiment: str
    epoch: int
    day: int
    segment: str
    arm: str
    asserted: bool
    metric: str
    context: str = ""


class CellRow(NamedTuple):
    """A cell: visitors, and the sums of their values and squared values, in the metric's integer unit."""

    key: CellKey
    n: int
    total: int
    total_squares: float


#: Visitors, sum and sum of squares of some cells.
CellSums = Mapping[CellKey, tuple[int, int, float]]

#: Of a cell that nobody is in.
NO_SUMS = (0, 0, 0.0)

#: Of estimates that go through contexts one after another the last digits depend on it, and more than those.
_ORDER = "epoch, day, segment, arm, asserted, metric, context"

_CELLS = Sums("cells", CellKey._fields, ("n", "sum", "sum2"))
_REMOVED = Sums("cells", CellKey._fields, ("n", "sum", "sum2", "removed_n", "removed_sum", "removed_sum2"))


def added(cells: CellSums, others: CellSums) -> CellSums:
    """The cells of two parts of the visitors, as they are of both."""
    return {
        key: (n + other_n, total + other_total, squares + other_squares)
        for key in cells.keys() | others.keys()
        for n, total, squares in [cells.get(key, NO_SUMS)]
        for other_n, other_total, other_squares in [others.get(key, NO_SUMS)]
    }


class Cells:
    """The sums that reports and reallocations read."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, changes: CellSums) -> None:
        """Add visitors, sum and sum of squares to each cell."""
        self._connection.executemany(
            self._connection.adding(_CELLS), [(*key, *change) for key, change in changes.items()]
        )

    def remove(self, changes: CellSums) -> None:
        """Say how much of each cell is no longer in the events; what it counts stays."""
        self._connection.executemany(
            self._connection.adding(_REMOVED),
            [(*key, 0, 0, 0.0, *change) for key, change in changes.items() if any(change)],
        )

    def removed(self, experiment: str) -> dict[CellKey, tuple[int, int, float]]:
        """How much of the cells of an experiment is no longer in the events, where that is any."""
        rows = self._connection.execute(
            "SELECT epoch, day, segment, arm, asserted, metric, context, removed_n, removed_sum, removed_sum2"
            " FROM cells WHERE experiment = ? AND (removed_n <> 0 OR removed_sum <> 0 OR removed_sum2 <> 0)",
            (experiment,),
        )
        return {
            CellKey(experiment, epoch, day, segment, arm, asserted == 1, metric, context): (n, total, squares)
            for epoch, day, segment, arm, asserted, metric, context, n, total, squares in rows
        }

    def of(self, experiment: str) -> list[CellRow]:
        """Every cell of an experiment, erased visitors included, in the order of their keys."""
        rows = self._connection.execute(
            "SELECT epoch, day, segment, arm, asserted, metric, context, n, sum, sum2"
            f" FROM cells WHERE experiment = ? ORDER BY {_ORDER}",
            (experiment,),
        )
        return [
            CellRow(CellKey(experiment, epoch, day, segment, arm, asserted == 1, metric, context), *sums)
            for epoch, day, segment, arm, asserted, metric, context, *sums in rows
        ]

    def columns(self, experiment: str, *, metrics: Sequence[str] | None = None) -> dict[str, Columns]:
        """The cells that estimates are made of, by metric: those of arms as they were drawn, none asserted.

        Of all metrics, or of some; in the order of their keys, so that what is added up is the same to the last bit
        whichever database has them.
        """
        wanted, listed = "", Listed("", ())
        if metrics is not None:
            listed = self._connection.among(metrics)
            wanted = f" AND metric {listed.condition}"
        rows = self._connection.execute(
            "SELECT metric, epoch, day, segment, arm, n, sum, sum2, context"
            f" FROM cells WHERE experiment = ? AND NOT asserted{wanted} ORDER BY {_ORDER}",
            (experiment, *listed.values),
        )
        return by_metric(rows.fetchall())

    def visitors_by_segment(self, experiment: str, *, metric: str, since_day: int) -> dict[str, int]:
        """How many visitors with this metric were first exposed in each segment, from a day on."""
        rows = self._connection.execute(
            "SELECT segment, sum(n) FROM cells WHERE experiment = ? AND metric = ? AND day >= ? GROUP BY segment",
            (experiment, metric, since_day),
        )
        return {segment: int(n) for segment, n in rows}

    def asserted_visitors(self, experiment: str, *, metric: str) -> int:
        """How many visitors with this metric were shown another arm than was drawn, by the word of the sender."""
        row = self._connection.execute(
            "SELECT coalesce(sum(n), 0) FROM cells WHERE experiment = ? AND asserted AND metric = ?",
            (experiment, metric),
        ).fetchone()
        return int(row[0])


class LagKey(NamedTuple):
    """Which first conversions a lag counts: `day` of the exposure, `bucket` of the metric's window since then."""

    experiment: str
    metric: str
    segment: str
    day: int
    bucket: int


_LAGS = Sums("lags", LagKey._fields, ("n",))


class Lags:
    """How long after the exposure metrics were met, for the delay curve."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, changes: Mapping[LagKey, int]) -> None:
        """Add visitors to each lag."""
        self._connection.executemany(
            self._connection.adding(_LAGS), [(*key, n) for key, n in changes.items()]
        )

    def by_segment(self, experiment: str, metric: str) -> dict[str, int]:
        """How many visitors of each segment met a metric."""
        rows = self._connection.execute(
            "SELECT segment, sum(n) FROM lags WHERE experiment = ? AND metric = ? GROUP BY segment",
            (experiment, metric),
        )
        return {segment: int(n) for segment, n in rows}

    def by_day(self, experiment: str, metric: str) -> dict[tuple[int, int], int]:
        """How many visitors met a metric, by (day of exposure, bucket)."""
        rows = self._connection.execute(
            "SELECT day, bucket, sum(n) FROM lags WHERE experiment = ? AND metric = ? GROUP BY day, bucket",
            (experiment, metric),
        )
        return {(day, bucket): int(n) for day, bucket, n in rows}


_COUNTERS = Sums("counters", ("experiment", "name"), ("n",))


class Counters:
    """Plain counts of an experiment by name; those of no known experiment stand under the empty key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, changes: Iterable[tuple[tuple[str, str], int]]) -> None:
        """Add to (experiment, name)."""
        self._connection.executemany(self._connection.adding(_COUNTERS), [(*key, n) for key, n in changes])

    def of(self, experiment: str) -> dict[str, int]:
        """The counts of an experiment by name."""
        rows = self._connection.execute("SELECT name, n FROM counters WHERE experiment = ?", (experiment,))
        return dict(rows.fetchall())
