"""Batches of events applied to the tables, in one transaction: looked up at once, counted in order, written at once."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence

from experiments.additions import Additions
from experiments.additions import Place
from experiments.admission import Admitted
from experiments.admission import Refusal
from experiments.admission import fed_metrics
from experiments.counting import EXPOSURES
from experiments.counting import PROFIT
from experiments.counting import amount_of
from experiments.counting import is_watched
from experiments.counting import lag_bucket
from experiments.counting import teller
from experiments.counting import timing
from experiments.errors import shown
from experiments.failpoints import Failpoint
from experiments.failpoints import reached
from experiments.model import Metric
from experiments.receipts import Receipt
from experiments.snapshot import Entry
from experiments.snapshot import Feed
from experiments.storage.cells import LagKey
from experiments.storage.events import EventKey
from experiments.storage.events import EventRow
from experiments.storage.session import Session
from experiments.storage.visitors import ExposureRow
from experiments.storage.waiting import WaitingRow
from experiments.visitors import Visitor
from experiments.visitors import Visitors

_ACCEPTED = Receipt("accepted")
_NOT_DEDUPLICATED = Receipt("accepted", deduplicated=False)

#: What an outcome that counts for nothing is told, the first that applies.
_USELESS = {
    "before_exposure": "it happened before the visitor's exposure",
    "before_window": "it happened before the metric's window begins",
    "after_window": "it happened after the metric's window has ended",
}


def applied(session: Session, read: Sequence[Admitted | Refusal]) -> list[Receipt]:
    """Apply what was admitted; a receipt for each, in order."""
    application = Application(session, read)
    receipts = [application.apply(each) if isinstance(each, Admitted) else application.refuse(each) for each in read]
    application.keep()
    return receipts


class Application:
    """Applies what was admitted, as if one after another; `keep` writes what came of it."""

    def __init__(self, session: Session, read: Sequence[Admitted | Refusal]) -> None:
        self._session = session
        self._additions = Additions()
        reached(Failpoint.EVENTS_READ)
        admitted = [each for each in read if isinstance(each, Admitted)]
        rows = [each.row for each in admitted]
        refusals = [each for each in read if isinstance(each, Refusal)]
        session.hold({row.visitor for row in rows} | {refusal.key[0] for refusal in refusals})
        # The constraint finds the repeated; of an id that stands twice in the batch the first row is stored.
        self._numbers = session.events.insert(rows)
        reached(Failpoint.EVENTS_INSERTED)
        # Of what was stored so far, by which a repeat is known: first that of earlier batches.
        self._digests = session.events.digests(_there_before(rows, refusals, self._numbers))
        fed = (feed.entry.experiment for each in admitted for feed in each.feeds)
        self._visitors = Visitors(session, rows, {experiment.key: experiment for experiment in fed})

    def refuse(self, refusal: Refusal) -> Receipt:
        """Count what is not stored; what was stored before is a repeat, whatever has become of its experiment since."""
        if refusal.key in self._digests:
            return self._repeat(refusal)
        self._count_all(refusal, "rejected")
        return refusal.receipt

    def apply(self, admitted: Admitted) -> Receipt:
        """Count an event that is stored, or say why not."""
        row, feeds = admitted
        key = row.key
        number = self._numbers.pop(key, None)
        if number is None:
            return self._repeat(row)
        self._digests[key] = row.digest
        if row.kind == "exposure":
            return self._exposure(feeds[0].entry, row)
        return self._outcome(feeds, number, row)

    def keep(self) -> None:
        """Write what has changed, each row once."""
        reached(Failpoint.EVENTS_APPLIED)
        self._visitors.keep()
        reached(Failpoint.VISITORS_KEPT)
        self._additions.keep(self._session)
        reached(Failpoint.COUNTERS_KEPT)

    def _exposure(self, entry: Entry, row: EventRow) -> Receipt:
        visitor = self._visitors.of(entry.experiment.key, row.visitor)
        if visitor.exposure is None:
            self._first_exposure(entry, visitor, row)
        else:
            self._add(entry, visitor, EXPOSURES, amount=1)
        return _ACCEPTED

    def _first_exposure(self, entry: Entry, visitor: Visitor, event: EventRow) -> None:
        assert event.arm and event.segment and event.epoch is not None and event.weight is not None
        visitor.expose(
            entry.experiment,
            ExposureRow(
                event.arm, event.segment, event.epoch, event.weight, event.at_ms, bool(event.asserted), event.context
            ),
        )
        assert visitor.place, "whoever is exposed counts somewhere"
        self._additions.add_newcomer(visitor.place, entry.measures)
        for outcome in visitor.take_waiting(now_ms=event.received_ms):
            self._count_waiting(entry, visitor, outcome, now_ms=event.received_ms)

    def _count_waiting(self, entry: Entry, visitor: Visitor, outcome: EventRow, *, now_ms: int) -> None:
        for metric in fed_metrics(entry.experiment.metrics_by_event[outcome.name], trusted=outcome.trusted):
            # It waits one window of each metric, and for some of them that may be over.
            if outcome.received_ms + metric.window_seconds * 1000 > now_ms:
                self._attribute(entry, visitor, metric, outcome)

    def _outcome(self, feeds: Iterable[Feed], number: int, row: EventRow) -> Receipt:
        fates = [fate for feed in feeds for fate in self._count(feed, number, row)]
        if "counts" in fates or "waits" in fates:
            return _ACCEPTED if row.identified else _NOT_DEDUPLICATED
        code = next(code for code in _USELESS if code in fates)
        self._count_all(row, "rejected")
        return Receipt("rejected", code, f"event {shown(row.name)}: {_USELESS[code]}")

    def _count(self, feed: Feed, number: int, outcome: EventRow) -> list[str]:
        visitor = self._visitors.of(feed.entry.experiment.key, outcome.visitor)
        if visitor.exposure is not None:
            return [self._attribute(feed.entry, visitor, metric, outcome) for metric in feed.metrics]
        longest = max(metric.window_seconds for metric in feed.metrics)
        visitor.wait(WaitingRow(number, outcome.received_ms + longest * 1000, outcome))
        return ["waits"]

    def _attribute(self, entry: Entry, visitor: Visitor, metric: Metric, outcome: EventRow) -> str:
        exposure, place = visitor.exposure, visitor.place
        assert exposure and place, "only who is exposed is counted"
        fate = timing(metric, exposed_ms=exposure.at_ms, at_ms=outcome.at_ms)
        if fate != "counts":
            return fate
        added = amount_of(metric, outcome.amounts or {}, currency=entry.experiment.currency)
        if added and self._add(entry, visitor, metric.key, amount=added):
            self._first(metric, outcome, exposure, place)
        return fate

    def _first(self, metric: Metric, outcome: EventRow, exposure: ExposureRow, place: Place) -> None:
        """Count when a visitor met a metric for the first time, and who told of it where anybody can."""
        if not exposure.asserted:
            bucket = lag_bucket(metric, exposed_ms=exposure.at_ms, at_ms=outcome.at_ms)
            self._additions.add_lag(LagKey(place.experiment, metric.key, place.segment, place.day, bucket))
        if is_watched(metric):
            told_by = teller(trusted=outcome.trusted, exposed_ms=exposure.at_ms, at_ms=outcome.at_ms)
            self._additions.add_told(place, told_by)

    def _add(self, entry: Entry, visitor: Visitor, metric: str, *, amount: int) -> bool:
        """Add to a visitor's total and to the cells by the exact difference; whether it is the visitor's first."""
        place, totals, measures = visitor.place, visitor.totals, entry.measures
        assert place, "only who is exposed is counted"
        is_profitable = metric in measures.profitable
        before, profit = totals.get(metric, 0), measures.profit(place.arm, totals) if is_profitable else 0
        visitor.add(metric, amount)
        if is_profitable:
            self._additions.change(place, PROFIT, old=profit, new=measures.profit(place.arm, totals))
        old, new = measures.counted(metric, before), measures.counted(metric, before + amount)
        self._additions.change(place, metric, old=old, new=new)
        return before == 0

    def _repeat(self, event: EventRow | Refusal) -> Receipt:
        if self._digests[event.key] == event.digest:
            self._count_all(event, "duplicates")
            return Receipt("duplicate")
        self._count_all(event, "rejected")
        return Receipt("rejected", "id_reused", "messageId was used before, with another body")

    def _count_all(self, event: EventRow | Refusal, name: str) -> None:
        for experiment in event.experiments:
            self._additions.count(experiment, name)


def _there_before(
    rows: Sequence[EventRow], refusals: Iterable[Refusal], numbers: Mapping[EventKey, int]
) -> set[EventKey]:
    """Those that were stored in an earlier batch, and those refused that may have been."""
    keys = {refusal.key for refusal in refusals}
    if len(rows) != len(numbers):
        keys.update(row.key for row in rows)
    return keys - numbers.keys()
