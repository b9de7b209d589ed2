"""Everything a report is made of, read once in one consistent state."""

from collections.abc import Mapping
from typing import NamedTuple

from experiments.columns import Table
from experiments.counting import EXPOSURES
from experiments.lifecycle import find
from experiments.model import Allocation
from experiments.model import Experiment
from experiments.model import StoredExperiment
from experiments.publishing import allocations_of
from experiments.publishing import curve_in_use
from experiments.restraints import FREE
from experiments.restraints import Restraints
from experiments.restraints import restraints_of
from experiments.review.days import LastReviews
from experiments.storage.session import Session
from experiments.storage.spools import LostSpool


#: Of a log that keeps up only seconds are not counted yet.
LONGEST_LAG_MS = 60_000


class Readings(NamedTuple):
    """An experiment and its counters at one moment (ms since 1970, UTC).

    `asserted` are visitors who were shown another arm than was drawn; `is_corrected` says whether the policy now
    corrects for conversions that are still to come; `restraints` are what keeps it from moving weights; `reviews` are
    the last ones of its segments. All that came before the watermark is counted, but for what was lost with a spool;
    None where events are counted before they are answered.
    """

    stored: StoredExperiment
    columns: Table
    allocations: Mapping[int, Allocation]
    counters: Mapping[str, int]
    waiting: int
    orphans: int
    now_ms: int
    asserted: int = 0
    is_corrected: bool = False
    restraints: Restraints = FREE
    reviews: LastReviews = {}
    watermark_ms: int | None = None
    lost_spools: tuple[LostSpool, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether all that came is counted, but for the newest; nothing is decided where it is not."""
        return self.watermark_ms is None or self.now_ms - self.watermark_ms <= LONGEST_LAG_MS

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
    watermark_ms = session.watermarks.oldest_ms()
    return Readings(
        stored,
        session.cells.columns(key),
        allocations_of(session, key),
        session.counters.of(key),
        waiting,
        orphans,
        now_ms,
        session.cells.asserted_visitors(key, metric=EXPOSURES),
        curve_in_use(session, stored.experiment, now_ms=now_ms) is not None,
        restraints_of(session.ledger.last(key)),
        session.reviews.of(key),
        watermark_ms,
        () if watermark_ms is None else _lost_since(session, stored.created_ms),
    )


def _lost_since(session: Session, created_ms: int) -> tuple[LostSpool, ...]:
    """The spools that were given up since an experiment was made, and may have had events of it."""
    return tuple(lost for lost in session.spools.lost() if lost.accepted_ms >= created_ms)
