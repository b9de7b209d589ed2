"""What is known of visitors: first exposures and totals; of many at a time."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any
from typing import NamedTuple

from experiments.model import Exposure
from experiments.partitions import Span
from experiments.storage.connection import Connection

#: A visitor in an experiment.
VisitorKey = tuple[str, bytes]

#: Is told who is going to have been exposed.
Note = Callable[[Iterable[VisitorKey]], None]


class ExposureRow(NamedTuple):
    """A visitor's first exposure in an experiment; `weight` in ten-thousandths, `n` counts all of them.

    The `context` is what is stored of the visitor's attributes, None where that is nothing.
    """

    arm: str
    segment: str
    epoch: int
    weight: int
    at_ms: int
    asserted: bool
    context: str | None = None
    n: int = 1

    @property
    def fixed(self) -> Exposure:
        """What it fixed for good."""
        return Exposure(self.arm, self.segment, self.epoch, self.weight)


_FIXED = "arm, segment, epoch, weight, at_ms, asserted, context"
_EXPOSURE = f"{_FIXED}, n"


class Exposures:
    """First exposures, fixed for good."""

    def __init__(self, connection: Connection, note: Note | None = None) -> None:
        self._connection = connection
        self._note = note

    def get(self, experiment: str, visitor: bytes) -> ExposureRow | None:
        """A visitor's exposure, or None."""
        row = self._connection.execute(
            f"SELECT {_EXPOSURE} FROM exposures WHERE experiment = ? AND visitor = ?",
            (experiment, visitor),
        ).fetchone()
        return None if row is None else _exposure(row)

    def of_visitor(self, visitor: bytes, experiments: Collection[str]) -> dict[str, ExposureRow]:
        """A visitor's exposures, by those of the experiments where there is one."""
        listed = self._connection.among(experiments)
        rows = self._connection.execute(
            f"SELECT experiment, {_EXPOSURE} FROM exposures WHERE visitor = ? AND experiment {listed.condition}",
            (visitor, *listed.values),
        )
        return {experiment: _exposure(row) for experiment, *row in rows}

    def of_visitors(self, experiment: str, visitors: Collection[bytes]) -> list[tuple[bytes, ExposureRow]]:
        """The exposures of those of some visitors who have one."""
        rows = self._connection.of_each(
            visitors, f"SELECT visitor, {_EXPOSURE} FROM exposures WHERE experiment = ? AND visitor = ?", (experiment,)
        )
        return [(bytes(row[0]), _exposure(row[1:])) for row in rows]

    def has_any(self, experiment: str) -> bool:
        """Whether anybody was ever exposed."""
        row = self._connection.execute("SELECT 1 FROM exposures WHERE experiment = ? LIMIT 1", (experiment,)).fetchone()
        return row is not None

    def insert(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Keep first exposures: experiment, visitor, and the columns of the exposure."""
        kept = list(rows)
        if self._note:
            self._note((experiment, visitor) for experiment, visitor, *_ in kept)
        self._connection.executemany(
            f"INSERT INTO exposures (experiment, visitor, {_EXPOSURE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", kept
        )

    def add(self, changes: Iterable[tuple[str, bytes, int]]) -> None:
        """Count further exposures: experiment, visitor, how many."""
        self._connection.executemany(
            "UPDATE exposures SET n = n + ?3 WHERE experiment = ?1 AND visitor = ?2", changes
        )

    def within(self, span: Span, experiment: str, *, limit: int) -> list[tuple[bytes, ExposureRow]]:
        """The first exposures of a span in an experiment, in the order of visitors."""
        rows = self._connection.execute(
            f"SELECT visitor, {_EXPOSURE} FROM exposures WHERE experiment = ? AND visitor >= ? AND visitor < ?"
            " ORDER BY visitor LIMIT ?",
            (experiment, *span, limit),
        )
        return [(bytes(row[0]), _exposure(row[1:])) for row in rows]

    def removed(self, experiment: str, visitors: Collection[bytes] | None = None) -> list[tuple[bytes, ExposureRow]]:
        """The exposures of everybody, or of some, of whom exposure events were removed; `n` counts those."""
        rows = _of_some(
            self._connection,
            f"SELECT visitor, {_FIXED}, removed_n FROM exposures WHERE removed_n > 0 AND experiment = ?",
            experiment,
            visitors,
        )
        return [(bytes(row[0]), _exposure(row[1:])) for row in rows]

    def mark_removed(self, rows: Iterable[tuple[str, bytes, int]]) -> None:
        """Say of how many exposures the events were removed: experiment, visitor, how many."""
        self._connection.executemany(
            "UPDATE exposures SET removed_n = ?3 WHERE experiment = ?1 AND visitor = ?2", rows
        )

    def remove(self, keys: Iterable[VisitorKey]) -> None:
        """Remove exposures."""
        self._connection.executemany("DELETE FROM exposures WHERE experiment = ? AND visitor = ?", keys)

    def with_totals(
        self, span: Span, experiment: str, metrics: Collection[str]
    ) -> Iterator[tuple[bytes, ExposureRow, dict[str, int]]]:
        """The exposure of each visitor of a span, with the totals in some metrics; none where nothing was added.

        Those to whom another arm was shown than was drawn are left out.
        """
        listed = self._connection.among(metrics)
        rows = self._connection.execute(
            f"SELECT exposures.visitor, metric, total, {_EXPOSURE}"
            " FROM exposures LEFT JOIN totals ON totals.visitor = exposures.visitor"
            f" AND totals.experiment = exposures.experiment AND metric {listed.condition}"
            " WHERE exposures.experiment = ? AND exposures.visitor >= ? AND exposures.visitor < ? AND NOT asserted"
            " ORDER BY exposures.visitor",
            (*listed.values, experiment, *span),
        )
        for visitor, of_visitor in groupby(rows, key=itemgetter(0)):
            found = list(of_visitor)
            yield bytes(visitor), _exposure(found[0][3:]), {row[1]: int(row[2]) for row in found if row[1] is not None}

    def keys(self, *, after: VisitorKey, limit: int) -> list[VisitorKey]:
        """Who was exposed, in order, from the next after this one on."""
        rows = self._connection.execute(
            "SELECT experiment, visitor FROM exposures WHERE (experiment, visitor) > (?, ?)"
            " ORDER BY experiment, visitor LIMIT ?",
            (*after, limit),
        )
        return list(rows)

    def keys_by_events(self, *, after: int) -> list[VisitorKey]:
        """Who was exposed by the events after this number, or was before."""
        rows = self._connection.execute(
            "SELECT experiments, visitor FROM events WHERE seq > ? AND kind = 'exposure'", (after,)
        )
        return list(rows)

    def all(self, experiment: str) -> list[tuple[bytes, ExposureRow]]:
        """Every visitor's exposure in an experiment."""
        rows = self._connection.execute(
            f"SELECT visitor, {_EXPOSURE} FROM exposures WHERE experiment = ?",
            (experiment,),
        )
        return [(bytes(row[0]), _exposure(row[1:])) for row in rows]


def _of_some(
    connection: Connection, question: str, experiment: str, visitors: Collection[bytes] | None
) -> Iterable[Any]:
    """What a question that ends with the experiment's place finds of everybody, or of some visitors."""
    if visitors is None:
        return connection.execute(question, (experiment,))
    return connection.of_each(visitors, f"{question} AND visitor = ?", (experiment,))


def _exposure(row: Sequence[Any]) -> ExposureRow:
    arm, segment, epoch, weight, at_ms, asserted, context, n = row
    return ExposureRow(arm, segment, epoch, weight, at_ms, bool(asserted), context, n)


class Totals:
    """What each visitor has reached in each declared metric, before any cap."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, changes: Iterable[tuple[str, bytes, str, int]]) -> None:
        """Add to totals: experiment, visitor, metric, amount."""
        self._connection.executemany(
            "INSERT INTO totals (experiment, visitor, metric, total) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (experiment, visitor, metric) DO UPDATE SET total = totals.total + excluded.total",
            changes,
        )

    def of_visitors(self, experiment: str, visitors: Collection[bytes]) -> list[tuple[bytes, str, int]]:
        """The totals of some visitors: visitor, metric, total; none where nothing was added."""
        return self._connection.of_each(
            visitors, "SELECT visitor, metric, total FROM totals WHERE experiment = ? AND visitor = ?", (experiment,)
        )

    def removed(self, experiment: str, visitors: Collection[bytes] | None = None) -> list[tuple[bytes, str, int]]:
        """What events that were removed have added to the totals of everybody, or of some: visitor, metric, sum."""
        rows = _of_some(
            self._connection,
            "SELECT visitor, metric, removed FROM totals WHERE removed <> 0 AND experiment = ?",
            experiment,
            visitors,
        )
        return [(bytes(visitor), metric, removed) for visitor, metric, removed in rows]

    def mark_removed(self, rows: Iterable[tuple[str, bytes, str, int]]) -> None:
        """Say how much of totals came of events that were removed: experiment, visitor, metric, sum."""
        self._connection.executemany(
            "UPDATE totals SET removed = ?4 WHERE experiment = ?1 AND visitor = ?2 AND metric = ?3", rows
        )

    def remove(self, keys: Iterable[VisitorKey]) -> None:
        """Remove every total of visitors."""
        self._connection.executemany("DELETE FROM totals WHERE experiment = ? AND visitor = ?", keys)

    def all(self, experiment: str) -> dict[tuple[bytes, str], int]:
        """Every total of an experiment, by visitor and metric."""
        rows = self._connection.execute(
            "SELECT visitor, metric, total FROM totals WHERE experiment = ?", (experiment,)
        )
        return {(bytes(visitor), metric): total for visitor, metric, total in rows}
