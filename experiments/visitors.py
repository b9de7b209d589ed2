"""What is known of the visitors of some batches: looked up at once, changed here event by event, kept at once."""

from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping

from experiments.additions import Place
from experiments.additions import place_of
from experiments.counting import EXPOSURES
from experiments.model import Experiment
from experiments.storage.events import EventRow
from experiments.storage.session import Session
from experiments.storage.visitors import ExposureRow
from experiments.storage.waiting import WaitingRow


class Visitor:
    """A visitor in an experiment, as the events so far have left things; `place` is where an exposed one counts."""

    __slots__ = ("added", "begun", "ended", "exposure", "is_new", "place", "totals", "waiting")

    def __init__(self) -> None:
        self.exposure: ExposureRow | None = None
        self.place: Place | None = None
        self.is_new = False
        self.totals: dict[str, int] = {}
        self.added: dict[str, int] = {}
        self.waiting: list[WaitingRow] = []
        self.begun: list[WaitingRow] = []
        self.ended: list[WaitingRow] = []

    def know(self, experiment: Experiment, exposure: ExposureRow) -> None:
        """Take in the exposures that are on record."""
        self.exposure, self.place = exposure, place_of(experiment, exposure)
        self.totals[EXPOSURES] = exposure.n

    def expose(self, experiment: Experiment, exposure: ExposureRow) -> None:
        """Fix the first exposure for good."""
        self.know(experiment, exposure)
        self.is_new = True

    def add(self, metric: str, amount: int) -> None:
        """Add to what the visitor has reached in a metric."""
        self.totals[metric] = self.totals.get(metric, 0) + amount
        self.added[metric] = self.added.get(metric, 0) + amount

    def wait(self, row: WaitingRow) -> None:
        """Let an event wait for the visitor's exposure."""
        self.begun.append(row)

    def take_waiting(self, *, now_ms: int) -> Iterator[EventRow]:
        """The events that waited for the exposure, in the order of storing; orphans stay behind."""
        if not self.waiting and not self.begun:
            return iter(())
        self.ended = [row for row in self.waiting if row.until_ms > now_ms]
        taken = [row for row in self.begun if row.until_ms > now_ms]
        self.begun = [row for row in self.begun if row.until_ms <= now_ms]
        return (row.event for row in (*self.ended, *taken))


class Visitors:
    """Every visitor of the batches in every experiment that they may count for; `keep` writes what has changed."""

    def __init__(self, session: Session, rows: Iterable[EventRow], experiments: Mapping[str, Experiment]) -> None:
        self._session = session
        self._experiments = experiments
        self._visitors: dict[tuple[str, bytes], Visitor] = {}
        rows_by_experiment: dict[str, list[EventRow]] = defaultdict(list)
        for row in rows:
            for experiment in row.experiments:
                rows_by_experiment[experiment].append(row)
        for experiment, concerned in rows_by_experiment.items():
            self._look_up(experiment, concerned)

    def _look_up(self, experiment: str, rows: Iterable[EventRow]) -> None:
        visitors = {row.visitor for row in rows}
        self._visitors.update(((experiment, visitor), Visitor()) for visitor in visitors)
        exposures = dict(self._session.exposures.of_visitors(experiment, visitors))
        for visitor, exposure in exposures.items():
            self.of(experiment, visitor).know(self._experiments[experiment], exposure)
        for visitor, metric, total in self._session.totals.of_visitors(experiment, exposures):
            self.of(experiment, visitor).totals[metric] = total
        # What waits is many rows for some, and asked for by a first exposure alone.
        arriving = {row.visitor for row in rows if row.kind == "exposure"} - exposures.keys()
        for waiting in self._session.waiting.of_visitors(experiment, arriving) if arriving else ():
            self.of(experiment, waiting.event.visitor).waiting.append(waiting)

    def of(self, experiment: str, visitor: bytes) -> Visitor:
        """One visitor in one experiment."""
        return self._visitors[experiment, visitor]

    def keep(self) -> None:
        """Write what has changed."""
        self._keep_exposures()
        changed = self._visitors.items()
        self._session.totals.add(
            (*key, metric, amount) for key, known in changed for metric, amount in known.added.items()
        )
        self._session.waiting.remove((*key, row.number) for key, known in changed for row in known.ended)
        self._session.waiting.insert((*key, row.number, row.until_ms) for key, known in changed for row in known.begun)

    def _keep_exposures(self) -> None:
        added = [(key, known, known.added.pop(EXPOSURES, 0)) for key, known in self._visitors.items()]
        self._session.exposures.insert(
            (*key, *known.exposure[:-1], known.totals[EXPOSURES])
            for key, known, _ in added
            if known.is_new and known.exposure
        )
        self._session.exposures.add((*key, n) for key, known, n in added if n and not known.is_new)
