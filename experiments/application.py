"""One batch of events applied to the tables, in one transaction: rows at once, counters at the end."""

from collections import defaultdict
from collections.abc import Mapping

from experiments.assignment import Plan
from experiments.counting import EXPOSURES
from experiments.counting import PROFIT
from experiments.counting import amount_of
from experiments.counting import counted
from experiments.counting import lag_bucket
from experiments.counting import profit_of
from experiments.counting import timing
from experiments.counting import visitor_values
from experiments.errors import RejectedEvent
from experiments.errors import shown
from experiments.events import AUTOMATIC_EVENTS
from experiments.events import Event
from experiments.events import ExposureEvent
from experiments.events import OutcomeEvent
from experiments.events import amount
from experiments.exposing import exposed_to
from experiments.model import Experiment
from experiments.model import Metric
from experiments.receipts import Receipt
from experiments.signing import Keyring
from experiments.signing import pseudonym
from experiments.snapshot import Feed
from experiments.snapshot import Snapshots
from experiments.storage.cells import CellKey
from experiments.storage.cells import LagKey
from experiments.storage.events import EventRow
from experiments.storage.session import Session
from experiments.storage.visitors import ExposureRow
from experiments.times import day_of

#: What an outcome that counts for nothing is told, the first that applies.
_USELESS = {
    "before_exposure": "it happened before the visitor's exposure",
    "before_window": "it happened before the metric's window begins",
    "after_window": "it happened after the metric's window has ended",
}


class Application:
    """Applies events one after another; `finish` writes the sums."""

    def __init__(self, session: Session, snapshots: Snapshots, *, trusted: bool, keyring: Keyring) -> None:
        self._session = session
        self._snapshot = snapshots.within(session)
        self._epochs = snapshots.epochs
        self._trusted = trusted
        self._keyring = keyring
        self._cells: dict[CellKey, tuple[int, int, float]] = {}
        self._lags: dict[LagKey, int] = defaultdict(int)
        self._counters: dict[tuple[str, str], int] = defaultdict(int)

    def apply(self, event: Event) -> Receipt:
        """Store an event and count it, or say why not."""
        try:
            if isinstance(event, ExposureEvent):
                return self._exposure(event)
            assert isinstance(event, OutcomeEvent), "silent events are answered before"
            return self._outcome(event)
        except RejectedEvent as error:
            return Receipt("rejected", error.code, str(error))

    def finish(self) -> None:
        """Add what the batch changed to the counters, each row once."""
        self._session.cells.add(self._cells)
        self._session.lags.add(self._lags)
        self._session.counters.add(self._counters.items())

    def _exposure(self, event: ExposureEvent) -> Receipt:
        key = event.experiment
        entry = self._snapshot.live(key)
        if entry is None or entry.plan is None:
            raise RejectedEvent("unknown_experiment", f"properties.experiment_id: {shown(key)} is not running")
        plan = self._plan_in(entry.plan, event.epoch)
        try:
            exposed = exposed_to(
                event,
                plan,
                experiment=entry.experiment,
                state=entry.stored.state,
                trusted=self._trusted,
                token_key=self._keyring.tokens,
            )
        except RejectedEvent:
            self._counters[key, "rejected"] += 1
            raise
        visitor = pseudonym(event.visitor, key=self._keyring.visitors)
        row = EventRow(
            visitor, event.id, event.digest, "exposure", (key,), "", event.at_ms, event.received_ms,
            self._trusted, True, None, *exposed,
        )
        if self._session.events.insert(row) is None:
            return self._repeated(row)
        known = self._session.exposures.get(key, visitor)
        if known is None:
            self._first_exposure(entry.experiment, row)
        else:
            self._add(entry.experiment, known, visitor, metric=EXPOSURES, amount=1)
        return Receipt("accepted")

    def _plan_in(self, newest: Plan, epoch: int | None) -> Plan | None:
        return newest if epoch is None else self._epochs.plan(self._session, newest, epoch=epoch)

    def _first_exposure(self, experiment: Experiment, event: EventRow) -> None:
        assert event.arm and event.segment and event.epoch is not None and event.weight is not None
        exposure = ExposureRow(
            event.arm, event.segment, event.epoch, event.weight, event.at_ms, bool(event.asserted)
        )
        self._session.exposures.insert(experiment.key, event.visitor, exposure)
        self._session.totals.add(experiment.key, event.visitor, EXPOSURES, amount=1)
        for metric, value in visitor_values(experiment, exposure.arm, {EXPOSURES: 1}):
            self._change(experiment, exposure, metric, visitors=1, old=0, new=value)
        for number in self._session.waiting.take(experiment.key, event.visitor, now_ms=event.received_ms):
            self._count_waiting(experiment, exposure, self._session.events.get(number), now_ms=event.received_ms)

    def _count_waiting(
        self, experiment: Experiment, exposure: ExposureRow, outcome: EventRow, *, now_ms: int
    ) -> None:
        for metric in fed_metrics(experiment.metrics_by_event[outcome.name], trusted=outcome.trusted):
            # It waits one window of each metric, and for some of them that may be over.
            if outcome.received_ms + metric.window_seconds * 1000 > now_ms:
                self._attribute(experiment, metric, exposure, outcome)

    def _outcome(self, event: OutcomeEvent) -> Receipt:
        if event.name in AUTOMATIC_EVENTS and event.name not in self._snapshot.feeds:
            return Receipt("ignored", "not_counted")
        feeds = self._feeds(event.name)
        row = EventRow(
            pseudonym(event.visitor, key=self._keyring.visitors), event.id, event.digest, "outcome",
            tuple(feed.entry.experiment.key for feed in feeds), event.name, event.at_ms, event.received_ms,
            self._trusted, event.identified, _amounts(event, feeds),
        )
        number = self._session.events.insert(row)
        if number is None:
            return self._repeated(row)
        fates = {fate for feed in feeds for fate in self._count(feed, number, row)}
        if fates & {"counts", "waits"}:
            return Receipt("accepted", deduplicated=event.identified)
        code = next(code for code in _USELESS if code in fates)
        self._count_all(row, "rejected")
        return Receipt("rejected", code, f"event {shown(event.name)}: {_USELESS[code]}")

    def _feeds(self, name: str) -> list[Feed]:
        feeds = self._snapshot.feeds.get(name, ())
        if not feeds:
            raise RejectedEvent("unknown_event", f"event: {shown(name)} is named by no metric of a running experiment")
        fed = [Feed(feed.entry, fed_metrics(feed.metrics, trusted=self._trusted)) for feed in feeds]
        heard = [feed for feed in fed if feed.metrics]
        if not heard:
            raise RejectedEvent("server_only", f"event: {shown(name)} counts only when a server key sends it")
        return heard

    def _count(self, feed: Feed, number: int, outcome: EventRow) -> set[str]:
        experiment = feed.entry.experiment
        exposure = self._session.exposures.get(experiment.key, outcome.visitor)
        if exposure is not None:
            return {self._attribute(experiment, metric, exposure, outcome) for metric in feed.metrics}
        longest = max(metric.window_seconds for metric in feed.metrics)
        self._session.waiting.insert(
            experiment.key, outcome.visitor, number, until_ms=outcome.received_ms + longest * 1000
        )
        return {"waits"}

    def _attribute(
        self, experiment: Experiment, metric: Metric, exposure: ExposureRow, outcome: EventRow
    ) -> str:
        fate = timing(metric, exposed_ms=exposure.at_ms, at_ms=outcome.at_ms)
        added = amount_of(metric, outcome.amounts or {}, currency=experiment.currency)
        if fate != "counts" or not added:
            return fate
        is_first = self._add(experiment, exposure, outcome.visitor, metric=metric.key, amount=added)
        if is_first and not exposure.asserted:
            bucket = lag_bucket(metric, exposed_ms=exposure.at_ms, at_ms=outcome.at_ms)
            day = day_of(exposure.at_ms)
            self._lags[LagKey(experiment.key, metric.key, exposure.segment, day, bucket)] += 1
        return fate

    def _add(
        self, experiment: Experiment, exposure: ExposureRow, visitor: bytes, *, metric: str, amount: int
    ) -> bool:
        """Add to a visitor's total and to the cells by the exact difference; whether it is the visitor's first."""
        totals = self._session.totals
        after = totals.add(experiment.key, visitor, metric, amount=amount)
        before = after - amount
        goal = experiment.goal.key
        if metric in (goal, EXPOSURES):
            other = EXPOSURES if metric == goal else goal
            others = totals.get(experiment.key, visitor, other)
            old, new = ({metric: total, other: others} for total in (before, after))
            self._change(
                experiment, exposure, PROFIT,
                old=profit_of(experiment, exposure.arm, old), new=profit_of(experiment, exposure.arm, new),
            )
        self._change(
            experiment, exposure, metric,
            old=_value(experiment, metric, before), new=_value(experiment, metric, after),
        )
        return before == 0

    def _change(
        self, experiment: Experiment, exposure: ExposureRow, metric: str, *, visitors: int = 0, old: int, new: int
    ) -> None:
        if old == new and not visitors:
            return
        cell = CellKey(
            experiment.key, exposure.epoch, day_of(exposure.at_ms), exposure.segment, exposure.arm,
            exposure.asserted, metric,
        )
        n, total, squares = self._cells.get(cell, (0, 0, 0.0))
        self._cells[cell] = (n + visitors, total + new - old, squares + float(new * new - old * old))

    def _repeated(self, event: EventRow) -> Receipt:
        if self._session.events.digest(event.visitor, event.id) == event.digest:
            self._count_all(event, "duplicates")
            return Receipt("duplicate")
        self._count_all(event, "rejected")
        return Receipt("rejected", "id_reused", "messageId was used before, with another body")

    def _count_all(self, event: EventRow, name: str) -> None:
        for experiment in event.experiments:
            self._counters[experiment, name] += 1


def fed_metrics(metrics: tuple[Metric, ...], *, trusted: bool) -> tuple[Metric, ...]:
    """The metrics that hear this sender: some only hear server keys."""
    return tuple(metric for metric in metrics if trusted or metric.source == "any")


def _amounts(event: OutcomeEvent, feeds: list[Feed]) -> Mapping[str, int | float] | None:
    names = {metric.property for feed in feeds for metric in feed.metrics if metric.property is not None}
    amounts = {name: value for name in sorted(names) if (value := amount(event.properties, name)) is not None}
    return amounts or None


def _value(experiment: Experiment, metric: str, total: int) -> int:
    if metric == EXPOSURES:
        return total
    declared = next(candidate for candidate in experiment.metrics if candidate.key == metric)
    return counted(declared, total, currency=experiment.currency)
