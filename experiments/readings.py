"""Everything a report is made of, read once in one consistent state."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

from experiments.lifecycle import find
from experiments.model import Allocation
from experiments.model import Experiment
from experiments.model import StoredExperiment
from experiments.publishing import allocations_of
from experiments.publishing import curve_in_use
from experiments.storage.cells import CellRow
from experiments.storage.session import Session


class Readings(NamedTuple):
    """An experiment and its counters at one moment (ms since 1970, UTC).

    `is_corrected` says whether the policy now corrects for conversions that are still to come.
    """

    stored: StoredExperiment
    cells: Sequence[CellRow]
    allocations: Mapping[int, Allocation]
    counters: Mapping[str, int]
    waiting: int
    orphans: int
    now_ms: int
    is_corrected: bool = False

    @property
    def experiment(self) -> Experiment:
        """The experiment itself."""
        return self.stored.experiment

    @property
    def newest(self) -> Allocation:
        """The allocation in force; one without epoch and weights before the start."""
        return self.allocations[max(self.allocations)] if self.allocations else Allocation(0, {})


def read(session: Session, key: str, *, now_ms: int) -> Readings:
    """Read an experiment's counters.

    :raises UnknownExperiment: if there is none.
    """
    stored = find(session, key)
    waiting, orphans = session.waiting.counts(key, now_ms=now_ms)
    return Readings(
        stored,
        session.cells.of(key),
        allocations_of(session, key),
        session.counters.of(key),
        waiting,
        orphans,
        now_ms,
        curve_in_use(session, stored.experiment, now_ms=now_ms) is not None,
    )
