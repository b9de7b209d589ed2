"""What is known of the visitors of one batch: looked up at once, changed here event by event, kept at once."""

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping

from experiments.storage.events import EventRow
from experiments.storage.session import Session
from experiments.storage.visitors import ExposureRow
from experiments.storage.visitors import TotalKey
from experiments.storage.visitors import VisitorKey
from experiments.storage.visitors import WaitingKey
from experiments.storage.visitors import WaitingRow


class Visitors:
    """Exposures, totals and what waits, as the events so far have left them; `keep` writes what has changed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._exposures: dict[VisitorKey, ExposureRow] = {}
        self._totals: dict[TotalKey, int] = {}
        self._waiting: dict[VisitorKey, dict[WaitingKey, WaitingRow]] = {}
        self._exposed: dict[VisitorKey, ExposureRow] = {}
        self._added: dict[TotalKey, int] = {}
        self._begun: dict[WaitingKey, WaitingRow] = {}
        self._ended: list[WaitingKey] = []

    def look_up(self, visitors_by_experiment: Mapping[str, Collection[bytes]]) -> None:
        """Read all that a batch will ask for."""
        for experiment, visitors in visitors_by_experiment.items():
            found = self._session.exposures.of_visitors(experiment, visitors)
            self._exposures.update((VisitorKey(experiment, visitor), row) for visitor, row in found)
            exposed = [visitor for visitor, _ in found]
            self._totals.update(self._session.totals.of_visitors(experiment, exposed))
            self._look_up_waiting(experiment, set(visitors).difference(exposed))

    def _look_up_waiting(self, experiment: str, visitors: Collection[bytes]) -> None:
        for key, row in self._session.waiting.of_visitors(experiment, visitors).items():
            self._waiting.setdefault(VisitorKey(experiment, key.visitor), {})[key] = row

    def exposure(self, key: VisitorKey) -> ExposureRow | None:
        """The visitor's first exposure, or None."""
        return self._exposures.get(key)

    def expose(self, key: VisitorKey, row: ExposureRow) -> None:
        """Fix a first exposure for good."""
        self._exposures[key] = self._exposed[key] = row

    def total(self, key: TotalKey) -> int:
        """What the visitor has reached; 0 where nothing was added."""
        return self._totals.get(key, 0)

    def add(self, key: TotalKey, amount: int) -> int:
        """Add to a total; the total after it."""
        self._added[key] = self._added.get(key, 0) + amount
        after = self._totals[key] = self._totals.get(key, 0) + amount
        return after

    def wait(self, key: WaitingKey, row: WaitingRow) -> None:
        """Let an event wait for its visitor's exposure."""
        self._begun[key] = row
        self._waiting.setdefault(VisitorKey(key.experiment, key.visitor), {})[key] = row

    def take_waiting(self, key: VisitorKey, *, now_ms: int) -> Iterator[EventRow]:
        """The events that waited for this exposure, in the order of storing; orphans stay behind."""
        for waiting, row in self._waiting.pop(key, {}).items():
            if row.until_ms > now_ms:
                if self._begun.pop(waiting, None) is None:
                    self._ended.append(waiting)
                yield row.event

    def keep(self) -> None:
        """Write what has changed."""
        self._session.exposures.insert(self._exposed)
        self._session.totals.add(self._added)
        self._session.waiting.remove(self._ended)
        self._session.waiting.insert(self._begun)
