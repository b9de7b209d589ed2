"""Parts of a history: events as the rows that an engine adds up. Pure.

Visitors have the names that all exports of the experiment give them, and no stand-in is among the rows.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import NamedTuple

from experiments.counting import amount_of
from experiments.model import Experiment
from experiments.signing import Keyring
from experiments.signing import disguised
from experiments.storage.cells import NO_SUMS
from experiments.storage.cells import CellRow
from experiments.storage.cells import CellSums
from experiments.storage.events import EventRow
from experiments.storage.history_rows import HistoryCell
from experiments.storage.history_rows import HistoryExposure
from experiments.storage.history_rows import HistoryOutcome
from experiments.storage.history_rows import HistoryTotal
from experiments.storage.visitors import ExposureRow
from experiments.times import day_of

Numbered = tuple[int, EventRow]

_MIDDLE = 0x7F


class Part(NamedTuple):
    """The rows of some events."""

    exposures: list[HistoryExposure]
    outcomes: list[HistoryOutcome]
    totals: list[HistoryTotal]


class Parts:
    """What makes rows for the history of an experiment."""

    def __init__(self, experiment: Experiment, keyring: Keyring) -> None:
        self._experiment = experiment
        self._key = keyring.exports

    def nobody(self) -> str:
        """What stands for nobody: another one where names are other ones."""
        return self._names([b""])[0]

    def of_events(self, events: Iterable[Numbered]) -> Part:
        """The rows of events, of which some may be of other experiments."""
        ours = [(number, event) for number, event in events if self._experiment.key in event.experiments]
        names = self._names([event.visitor for _, event in ours])
        named = list(zip(names, ours, strict=True))
        exposures = [_exposure(name, number, event) for name, (number, event) in named if event.kind == "exposure"]
        outcomes = [row for name, (number, event) in named for row in self._outcomes(name, number, event)]
        return Part(exposures, outcomes, [])

    def of_removed(
        self, exposures: Sequence[tuple[bytes, ExposureRow]], totals: Sequence[tuple[bytes, str, int]]
    ) -> Part:
        """The rows that stand for what was removed from the events of visitors who are still known."""
        exposed = zip(self._names([visitor for visitor, _ in exposures]), exposures, strict=True)
        reached = zip(self._names([visitor for visitor, *_ in totals]), totals, strict=True)
        return Part(
            [_removed(name, visitor, row) for name, (visitor, row) in exposed],
            [],
            [HistoryTotal(name, metric, total) for name, (_, metric, total) in reached],
        )

    def _outcomes(self, name: str, number: int, event: EventRow) -> Iterator[HistoryOutcome]:
        if event.kind != "outcome":
            return
        for metric in self._experiment.metrics_by_event.get(event.name, ()):
            amount = amount_of(metric, event.amounts or {}, currency=self._experiment.currency)
            yield HistoryOutcome(
                number, name, event.name, metric.key, amount, event.at_ms, event.received_ms, event.trusted
            )

    def _names(self, visitors: Sequence[bytes]) -> list[str]:
        return [name.hex() for name in disguised(visitors, key=self._key, within=self._experiment.key)]


def cell_rows(cells: Iterable[CellRow], removed: CellSums) -> list[HistoryCell]:
    """The cells, each with what is no longer in the events."""
    # What was removed is part of what is counted: each cell of it is among these.
    return [
        HistoryCell(*key[1:], n, total, squares, *removed.get(key, NO_SUMS)) for key, n, total, squares in cells
    ]


def _exposure(name: str, number: int, event: EventRow) -> HistoryExposure:
    assert event.arm and event.segment and event.epoch is not None and event.weight is not None
    return HistoryExposure(
        number, name, event.arm, event.segment, event.epoch, event.weight, day_of(event.at_ms), event.at_ms,
        event.received_ms, bool(event.asserted), event.context or "", _half(event.visitor), 1,
    )


def _removed(name: str, visitor: bytes, row: ExposureRow) -> HistoryExposure:
    return HistoryExposure(
        0, name, row.arm, row.segment, row.epoch, row.weight, day_of(row.at_ms), row.at_ms, 0, row.asserted,
        row.context or "", _half(visitor), row.n,
    )


def _half(visitor: bytes) -> int:
    return int(visitor[-1] > _MIDDLE)
