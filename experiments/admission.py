"""What an event would store, or why it cannot be counted: read against the snapshot, before any row is looked at."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from typing import NamedTuple

from experiments.assignment import Plan
from experiments.errors import RejectedEvent
from experiments.errors import shown
from experiments.events import AUTOMATIC_EVENTS
from experiments.events import Countable
from experiments.events import ExposureEvent
from experiments.events import OutcomeEvent
from experiments.events import amount
from experiments.exposing import exposed_to
from experiments.model import Metric
from experiments.receipts import Receipt
from experiments.signing import Keyring
from experiments.signing import disguised
from experiments.signing import pseudonyms
from experiments.snapshot import Entry
from experiments.snapshot import Feed
from experiments.snapshot import Snapshot
from experiments.storage.events import EventKey
from experiments.storage.events import EventRow


class Lookups(NamedTuple):
    """What is seldom asked of the control database: a plan in an epoch, None if there was none, and who was erased."""

    plan_in: Callable[[Plan, int], Plan | None]
    tombstones: Callable[[Collection[bytes]], Mapping[bytes, int]]


_ERASED = Receipt("ignored", "erased")


class Admitted(NamedTuple):
    """A row to store, and whom it may count for: an exposure for one experiment, an outcome for what it feeds."""

    row: EventRow
    feeds: tuple[Feed, ...]


class Refusal(NamedTuple):
    """A receipt for an event that is not stored unless it was before; `experiments` are those to count it with."""

    receipt: Receipt
    key: EventKey
    digest: bytes
    experiments: tuple[str, ...] = ()


class _Hearing(NamedTuple):
    """What an outcome of one name feeds: experiments, and by these properties."""

    feeds: tuple[Feed, ...]
    experiments: tuple[str, ...]
    properties: tuple[str, ...]


class Admission:
    """Admits events of these visitors as one snapshot allows."""

    def __init__(
        self, snapshot: Snapshot, lookups: Lookups, *, keyring: Keyring, visitors: Iterable[str]
    ) -> None:
        self._snapshot = snapshot
        self._lookups = lookups
        self._keyring = keyring
        different = set(visitors)
        self._stand_ins = dict(zip(different, pseudonyms(different, key=keyring.visitors), strict=True))
        self._erased_until_ms = self._tombstones() if self._snapshot.erased_until_ms else {}
        self._hearings: dict[tuple[str, bool], _Hearing] = {}

    def _tombstones(self) -> dict[str, int]:
        """Until when nothing is stored of those who were erased."""
        marks = disguised(self._stand_ins.values(), key=self._keyring.tombstones)
        kept = self._lookups.tombstones(marks)
        return {visitor: kept[mark] for visitor, mark in zip(self._stand_ins, marks, strict=True) if mark in kept}

    def admit(self, event: Countable, *, trusted: bool) -> Admitted | Refusal:
        """The row of an event, or its receipt; `trusted` is a server key's."""
        if event.received_ms < self._erased_until_ms.get(event.visitor, 0):
            return Refusal(_ERASED, (self._stand_ins[event.visitor], event.id), event.digest)
        try:
            if isinstance(event, ExposureEvent):
                return self._exposure(event, trusted=trusted)
            return self._outcome(event, trusted=trusted)
        except RejectedEvent as error:
            return self._refusal(event, Receipt("rejected", error.code, str(error)))

    def _exposure(self, event: ExposureEvent, *, trusted: bool) -> Admitted:
        key = event.experiment
        entry = self._snapshot.live(key)
        if entry is None or entry.plan is None:
            raise RejectedEvent("unknown_experiment", f"properties.experiment_id: {shown(key)} is not running")
        exposed = exposed_to(
            event,
            self._plan_in(entry.plan, event.epoch),
            experiment=entry.experiment,
            state=entry.stored.state,
            trusted=trusted,
            token_key=self._keyring.tokens,
            restored_at=entry.restored_at,
        )
        row = EventRow(
            self._stand_ins[event.visitor], event.id, event.digest, "exposure", (key,), "", event.at_ms,
            event.received_ms, trusted, True, None, *exposed,
        )
        return Admitted(row, (Feed(entry, ()),))

    def _plan_in(self, newest: Plan, epoch: int | None) -> Plan | None:
        return newest if epoch is None else self._lookups.plan_in(newest, epoch)

    def _outcome(self, event: OutcomeEvent, *, trusted: bool) -> Admitted | Refusal:
        if event.name in AUTOMATIC_EVENTS and event.name not in self._snapshot.feeds:
            return self._refusal(event, Receipt("ignored", "not_counted"))
        hearing = self._hearing(event.name, trusted=trusted)
        row = EventRow(
            self._stand_ins[event.visitor], event.id, event.digest, "outcome", hearing.experiments, event.name,
            event.at_ms, event.received_ms, trusted, event.identified, _amounts(event, hearing.properties),
        )
        return Admitted(row, hearing.feeds)

    def _hearing(self, name: str, *, trusted: bool) -> _Hearing:
        found = self._hearings.get((name, trusted))
        if found is None:
            found = self._hearings[name, trusted] = _hearing(self._feeds(name, trusted=trusted))
        return found

    def _feeds(self, name: str, *, trusted: bool) -> tuple[Feed, ...]:
        feeds = self._snapshot.feeds.get(name, ())
        if not feeds:
            raise RejectedEvent("unknown_event", f"event: {shown(name)} is named by no metric of a running experiment")
        fed = (Feed(feed.entry, fed_metrics(feed.metrics, trusted=trusted)) for feed in feeds)
        heard = feeds if trusted else tuple(feed for feed in fed if feed.metrics)
        if not heard:
            raise RejectedEvent("server_only", f"event: {shown(name)} counts only when a server key sends it")
        return heard

    def _refusal(self, event: Countable, receipt: Receipt) -> Refusal:
        experiments = (event.experiment,) if isinstance(event, ExposureEvent) else ()
        known = tuple(key for key in experiments if self._snapshot.live(key))
        return Refusal(receipt, (self._stand_ins[event.visitor], event.id), event.digest, known)


def feed_of(entry: Entry, name: str, *, trusted: bool) -> Feed:
    """What an event of this name feeds of an experiment; an exposure has none, and feeds no metric."""
    return Feed(entry, fed_metrics(entry.experiment.metrics_by_event.get(name, ()), trusted=trusted))


def fed_metrics(metrics: tuple[Metric, ...], *, trusted: bool) -> tuple[Metric, ...]:
    """The metrics that hear this sender: some only hear server keys."""
    return tuple(metric for metric in metrics if trusted or metric.source == "any")


def _hearing(feeds: tuple[Feed, ...]) -> _Hearing:
    names = {metric.property for feed in feeds for metric in feed.metrics if metric.property is not None}
    return _Hearing(feeds, tuple(feed.entry.experiment.key for feed in feeds), tuple(sorted(names)))


def _amounts(event: OutcomeEvent, names: Iterable[str]) -> Mapping[str, int | float] | None:
    amounts = {name: value for name in names if (value := amount(event.properties, name)) is not None}
    return amounts or None
