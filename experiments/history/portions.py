"""Portions of a history: events as the columns that an engine adds up. Pure.

Visitors have the names that all exports of the experiment give them, and no stand-in is among the rows.
"""

from collections import defaultdict
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import msgspec

from experiments.counting import amount_of
from experiments.model import Experiment
from experiments.model import Metric
from experiments.signing import Keyring
from experiments.signing import disguised
from experiments.storage.cells import NO_SUMS
from experiments.storage.cells import CellSums
from experiments.storage.event_columns import ExposureEvent
from experiments.storage.event_columns import OutcomeEvent
from experiments.storage.history_rows import Columns
from experiments.storage.history_rows import HistoryCell
from experiments.storage.history_rows import HistoryExposure
from experiments.storage.history_rows import HistoryTotal
from experiments.storage.history_rows import columns_of
from experiments.storage.history_rows import together
from experiments.storage.visitors import ExposureRow
from experiments.times import day_of

_MIDDLE = 0x7F


class Portion(NamedTuple):
    """The rows of some events, by table."""

    exposures: Columns
    outcomes: Columns
    totals: Columns


class Portions:
    """What makes rows for the history of an experiment."""

    def __init__(self, experiment: Experiment, keyring: Keyring) -> None:
        self._experiment = experiment
        self._key = keyring.exports

    @property
    def experiment(self) -> str:
        """Its key."""
        return self._experiment.key

    @property
    def heard(self) -> Sequence[str]:
        """The names of events that a metric hears."""
        return tuple(self._experiment.metrics_by_event)

    def nobody(self) -> str:
        """What stands for nobody: another one where names are other ones."""
        return self._names([b""])[0]

    def of_events(self, exposures: Sequence[ExposureEvent], outcomes: Sequence[OutcomeEvent]) -> Portion:
        """The rows of events of the experiment."""
        seen = [self._exposures(exposures)] if exposures else []
        return Portion(
            together("exposures", seen), together("outcomes", self._outcomes(outcomes)), together("totals", [])
        )

    def of_removed(
        self, exposures: Sequence[tuple[bytes, ExposureRow]], totals: Sequence[tuple[bytes, str, int]]
    ) -> Portion:
        """The rows that stand for what was removed from the events of visitors who are still known."""
        exposed = zip(self._names([visitor for visitor, _ in exposures]), exposures, strict=True)
        reached = zip(self._names([visitor for visitor, *_ in totals]), totals, strict=True)
        return Portion(
            columns_of("exposures", [_removed(name, visitor, row) for name, (visitor, row) in exposed]),
            together("outcomes", []),
            columns_of("totals", [HistoryTotal(name, metric, total) for name, (_, metric, total) in reached]),
        )

    def _exposures(self, events: Sequence[ExposureEvent]) -> Columns:
        """Columns that stand as they are stored cost nothing for a row."""
        number, visitor, arm, segment, epoch, weight, at_ms, received_ms, asserted, context = zip(*events, strict=True)
        day, half = list(map(day_of, at_ms)), list(map(_half, visitor))
        known = [each or "" for each in context]
        return (
            number, self._names(visitor), arm, segment, epoch, weight, day, at_ms, received_ms,
            list(map(bool, asserted)), known, half, [1] * len(events),
        )

    def _outcomes(self, events: Sequence[OutcomeEvent]) -> Iterator[Columns]:
        """Once for each metric that hears an event."""
        by_name = defaultdict[str, list[OutcomeEvent]](list)
        for event in events:
            by_name[event[2]].append(event)
        for name, of_name in by_name.items():
            number, visitor, names, amounts, at_ms, received_ms, trusted = zip(*of_name, strict=True)
            visitors, is_trusted = self._names(visitor), list(map(bool, trusted))
            for metric in self._experiment.metrics_by_event[name]:
                metrics, added = [metric.key] * len(number), self._amounts(metric, amounts)
                yield number, visitors, names, metrics, added, at_ms, received_ms, is_trusted

    def _amounts(self, metric: Metric, written: Sequence[str | None]) -> list[int]:
        currency = self._experiment.currency
        if metric.property is None:
            return [amount_of(metric, {}, currency=currency)] * len(written)
        return [amount_of(metric, _read(text) if text else {}, currency=currency) for text in written]

    def _names(self, visitors: Sequence[bytes]) -> list[str]:
        return [name.hex() for name in disguised(visitors, key=self._key, within=self._experiment.key)]


_read: Any = msgspec.json.Decoder().decode


def cell_columns(cells: CellSums, removed: CellSums) -> Columns:
    """The cells, each with what is no longer in the events."""
    # What was removed is part of what is counted: each cell of it is among these.
    rows = [HistoryCell(*key[1:], *cells[key], *removed.get(key, NO_SUMS)) for key in sorted(cells)]
    return columns_of("cells", rows)


def _removed(name: str, visitor: bytes, row: ExposureRow) -> HistoryExposure:
    return HistoryExposure(
        0, name, row.arm, row.segment, row.epoch, row.weight, day_of(row.at_ms), row.at_ms, 0, row.asserted,
        row.context or "", _half(visitor), row.n,
    )


def _half(visitor: bytes) -> int:
    return int(visitor[-1] > _MIDDLE)
