"""Batches of events applied to the tables, in one transaction: looked up at once, counted in order, written at once."""

from collections import Counter
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence

from experiments.additions import Additions
from experiments.additions import place_of
from experiments.admission import Admitted
from experiments.admission import Refusal
from experiments.admission import fed_metrics
from experiments.counting import EXPOSURES
from experiments.counting import PROFIT
from experiments.counting import amount_of
from experiments.counting import lag_bucket
from experiments.counting import timing
from experiments.errors import shown
from experiments.model import Metric
from experiments.receipts import Receipt
from experiments.snapshot import Entry
from experiments.snapshot import Feed
from experiments.storage.cells import LagKey
from experiments.storage.events import EventKey
from experiments.storage.events import EventRow
from experiments.storage.session import Session
from experiments.storage.visitors import ExposureRow
from experiments.storage.visitors import TotalKey
from experiments.storage.visitors import VisitorKey
from experiments.storage.visitors import WaitingKey
from experiments.storage.visitors import WaitingRow
from experiments.visitors import Visitors

#: What an outcome that counts for nothing is told, the first that applies.
_USELESS = {
    "before_exposure": "it happened before the visitor's exposure",
    "before_window": "it happened before the metric's window begins",
    "after_window": "it happened after the metric's window has ended",
}


class Application:
    """Applies what was admitted, as if one after another; `keep` writes what came of it."""

    def __init__(self, session: Session, admitted: Sequence[Admitted]) -> None:
        self._session = session
        self._visitors = Visitors(session)
        self._additions = Additions()
        rows = [each.row for each in admitted]
        # The constraint finds the repeated; of an id that stands twice in the batch the first row is stored.
        self._numbers = session.events.insert(rows)
        self._digests = session.events.digests(_repeated(rows, self._numbers))
        self._visitors.look_up(_visitors_by_experiment(rows))

    def refuse(self, refusal: Refusal) -> Receipt:
        """Count what is not stored."""
        if refusal.experiment is not None:
            self._additions.count(refusal.experiment, "rejected")
        return refusal.receipt

    def apply(self, admitted: Admitted) -> Receipt:
        """Count an event that is stored, or say why not."""
        row, feeds = admitted
        number = self._numbers.pop(EventKey(row.visitor, row.id), None)
        if number is None:
            return self._repeat(row)
        if row.kind == "exposure":
            return self._exposure(feeds[0].entry, row)
        return self._outcome(feeds, number, row)

    def keep(self) -> None:
        """Write what has changed, each row once."""
        self._visitors.keep()
        self._additions.keep(self._session)

    def _exposure(self, entry: Entry, row: EventRow) -> Receipt:
        key = VisitorKey(entry.experiment.key, row.visitor)
        known = self._visitors.exposure(key)
        if known is None:
            self._first_exposure(entry, key, row)
        else:
            self._add(entry, known, key, metric=EXPOSURES, amount=1)
        return Receipt("accepted")

    def _first_exposure(self, entry: Entry, key: VisitorKey, event: EventRow) -> None:
        assert event.arm and event.segment and event.epoch is not None and event.weight is not None
        exposure = ExposureRow(
            event.arm, event.segment, event.epoch, event.weight, event.at_ms, bool(event.asserted)
        )
        self._visitors.expose(key, exposure)
        self._visitors.add(TotalKey(*key, EXPOSURES), 1)
        self._additions.add_newcomer(place_of(key.experiment, exposure), entry.measures)
        for outcome in self._visitors.take_waiting(key, now_ms=event.received_ms):
            self._count_waiting(entry, exposure, outcome, now_ms=event.received_ms)

    def _count_waiting(self, entry: Entry, exposure: ExposureRow, outcome: EventRow, *, now_ms: int) -> None:
        for metric in fed_metrics(entry.experiment.metrics_by_event[outcome.name], trusted=outcome.trusted):
            # It waits one window of each metric, and for some of them that may be over.
            if outcome.received_ms + metric.window_seconds * 1000 > now_ms:
                self._attribute(entry, metric, exposure, outcome)

    def _outcome(self, feeds: Iterable[Feed], number: int, row: EventRow) -> Receipt:
        fates = {fate for feed in feeds for fate in self._count(feed, number, row)}
        if fates & {"counts", "waits"}:
            return Receipt("accepted", deduplicated=row.identified)
        code = next(code for code in _USELESS if code in fates)
        self._count_all(row, "rejected")
        return Receipt("rejected", code, f"event {shown(row.name)}: {_USELESS[code]}")

    def _count(self, feed: Feed, number: int, outcome: EventRow) -> set[str]:
        key = VisitorKey(feed.entry.experiment.key, outcome.visitor)
        exposure = self._visitors.exposure(key)
        if exposure is not None:
            return {self._attribute(feed.entry, metric, exposure, outcome) for metric in feed.metrics}
        longest = max(metric.window_seconds for metric in feed.metrics)
        until_ms = outcome.received_ms + longest * 1000
        self._visitors.wait(WaitingKey(*key, number), WaitingRow(until_ms, outcome))
        return {"waits"}

    def _attribute(self, entry: Entry, metric: Metric, exposure: ExposureRow, outcome: EventRow) -> str:
        fate = timing(metric, exposed_ms=exposure.at_ms, at_ms=outcome.at_ms)
        if fate != "counts":
            return fate
        experiment = entry.experiment
        added = amount_of(metric, outcome.amounts or {}, currency=experiment.currency)
        key = VisitorKey(experiment.key, outcome.visitor)
        if added and self._add(entry, exposure, key, metric=metric.key, amount=added) and not exposure.asserted:
            place = place_of(experiment.key, exposure)
            bucket = lag_bucket(metric, exposed_ms=exposure.at_ms, at_ms=outcome.at_ms)
            self._additions.add_lag(LagKey(experiment.key, metric.key, place.segment, place.day, bucket))
        return fate

    def _add(self, entry: Entry, exposure: ExposureRow, key: VisitorKey, *, metric: str, amount: int) -> bool:
        """Add to a visitor's total and to the cells by the exact difference; whether it is the visitor's first."""
        after = self._visitors.add(TotalKey(*key, metric), amount)
        before = after - amount
        measures, place = entry.measures, place_of(key.experiment, exposure)
        goal = entry.experiment.goal.key
        if metric in (goal, EXPOSURES):
            other = EXPOSURES if metric == goal else goal
            others = self._visitors.total(TotalKey(*key, other))
            old, new = (measures.profit(exposure.arm, {metric: total, other: others}) for total in (before, after))
            self._additions.change(place, PROFIT, old=old, new=new)
        self._additions.change(
            place, metric, old=measures.counted(metric, before), new=measures.counted(metric, after)
        )
        return before == 0

    def _repeat(self, row: EventRow) -> Receipt:
        if self._digests[EventKey(row.visitor, row.id)] == row.digest:
            self._count_all(row, "duplicates")
            return Receipt("duplicate")
        self._count_all(row, "rejected")
        return Receipt("rejected", "id_reused", "messageId was used before, with another body")

    def _count_all(self, row: EventRow, name: str) -> None:
        for experiment in row.experiments:
            self._additions.count(experiment, name)


def _repeated(rows: Sequence[EventRow], numbers: Mapping[EventKey, int]) -> Iterable[EventKey]:
    if len(rows) == len(numbers):
        return ()
    return Counter(EventKey(row.visitor, row.id) for row in rows) - Counter(numbers.keys())


def _visitors_by_experiment(rows: Iterable[EventRow]) -> dict[str, set[bytes]]:
    visitors: dict[str, set[bytes]] = defaultdict(set)
    for row in rows:
        for experiment in row.experiments:
            visitors[experiment].add(row.visitor)
    return visitors
