"""What one batch adds to the counters, summed up so that each row is changed once."""

from collections import Counter
from collections import defaultdict
from typing import NamedTuple

from experiments.counting import EXPOSURES
from experiments.counting import Measures
from experiments.model import Experiment
from experiments.storage.cells import CellKey
from experiments.storage.cells import LagKey
from experiments.storage.session import Session
from experiments.storage.visitors import ExposureRow
from experiments.times import day_of

#: What everybody counts for by being exposed.
_NEWCOMER = {EXPOSURES: 1}


class Place(NamedTuple):
    """Where a visitor is counted, by the first exposure: the cells of one place differ in the metric only."""

    experiment: str
    epoch: int
    day: int
    segment: str
    arm: str
    asserted: bool
    context: str

    def cell(self, metric: str) -> CellKey:
        """The cell of a metric."""
        return CellKey(
            self.experiment, self.epoch, self.day, self.segment, self.arm, self.asserted, metric, self.context
        )


def place_of(experiment: Experiment, exposure: ExposureRow) -> Place:
    """Where a visitor with this first exposure is counted."""
    context = exposure.context or "" if experiment.is_contextual else ""
    day = day_of(exposure.at_ms)
    return Place(experiment.key, exposure.epoch, day, exposure.segment, exposure.arm, exposure.asserted, context)


class Additions:
    """Sums of changes to cells, lags and counters."""

    def __init__(self) -> None:
        self._newcomers: Counter[Place] = Counter()
        self._measures: dict[str, Measures] = {}
        self._cells: dict[Place, dict[str, tuple[int, int, float]]] = defaultdict(dict)
        self._lags: Counter[LagKey] = Counter()
        self._counters: Counter[tuple[str, str]] = Counter()

    def add_newcomer(self, place: Place, measures: Measures) -> None:
        """Count a visitor who was exposed for the first time, in every metric."""
        self._newcomers[place] += 1
        self._measures[place.experiment] = measures

    def change(self, place: Place, metric: str, *, old: int, new: int) -> None:
        """Let a visitor of a place have another value in a metric."""
        if old != new:
            self._add(place, metric, (0, new - old, float(new * new - old * old)))

    def add_told(self, place: Place, teller: str) -> None:
        """Count a visitor by who told first that the goal was reached."""
        self._add(place, teller, (1, 1, 1.0))

    def add_lag(self, lag: LagKey) -> None:
        """Count how long after the exposure a visitor met a metric."""
        self._lags[lag] += 1

    def count(self, experiment: str, name: str) -> None:
        """Count something by its name."""
        self._counters[experiment, name] += 1

    def keep(self, session: Session) -> None:
        """Write the sums."""
        for place, n in self._newcomers.items():
            for metric, value in self._measures[place.experiment].values(place.arm, _NEWCOMER):
                self._add(place, metric, (n, n * value, float(n * value * value)))
        session.cells.add({
            place.cell(metric): change for place, sums in self._cells.items() for metric, change in sums.items()
        })
        session.lags.add(self._lags)
        session.counters.add(self._counters.items())

    def _add(self, place: Place, metric: str, change: tuple[int, int, float]) -> None:
        sums = self._cells[place]
        n, total, squares = sums.get(metric, (0, 0, 0.0))
        sums[metric] = (n + change[0], total + change[1], squares + change[2])
