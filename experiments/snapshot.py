"""Snapshots: experiments, their newest allocations and keys, compiled once for each change of any of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from threading import Lock
from typing import NamedTuple
from typing import cast

from experiments.assignment import Plan
from experiments.counting import Measures
from experiments.document import parse_stored
from experiments.epochs import Epochs
from experiments.ledger import allocation_of
from experiments.log.picture import Picture
from experiments.log.picture import take_picture
from experiments.model import Experiment
from experiments.model import Metric
from experiments.model import State
from experiments.model import StoredExperiment
from experiments.privacy.opted_out import OptedOut
from experiments.privacy.opted_out import take_opted_out
from experiments.settled import Settled
from experiments.settled import settled
from experiments.storage.configuration import ExperimentRow
from experiments.storage.configuration import KeyRow
from experiments.storage.session import Session
from experiments.storage.store import Store


class Entry(NamedTuple):
    """An experiment as it stands; `plan` and what is `settled` are None until it was started.

    `restored_at` are the newest epochs of the backups that were brought back: those that followed are lost.
    """

    stored: StoredExperiment
    plan: Plan | None
    measures: Measures
    restored_at: tuple[int, ...] = ()
    settled: Settled | None = None

    @property
    def experiment(self) -> Experiment:
        """The experiment itself."""
        return self.stored.experiment


class Feed(NamedTuple):
    """An experiment and those of its metrics that an event feeds."""

    entry: Entry
    metrics: tuple[Metric, ...]


@dataclass(frozen=True)
class Snapshot:
    """One consistent state of everything that people and jobs configure, and of who objects.

    `changed_ms` tells a configuration from all others.
    """

    version: int
    changed_ms: int
    entries: Mapping[str, Entry]
    keys: Mapping[str, KeyRow]
    feeds: Mapping[str, tuple[Feed, ...]]
    opted_out: OptedOut = OptedOut()
    #: Differs once exposures have been removed.
    removals: int = 0
    #: When the last of the erased may be stored again; 0 where nobody is erased.
    erased_until_ms: int = 0
    #: Some visitors are in other databases than this one, or on their way there.
    is_divided: bool = False

    @property
    def age(self) -> int:
        """A number that is higher for each later state."""
        return self.version + self.opted_out.version

    def live(self, experiment: str) -> Entry | None:
        """An experiment that was started and is not archived, or None."""
        entry = self.entries.get(experiment)
        return entry if entry and entry.stored.is_live else None

    def all_live(self) -> dict[str, Entry]:
        """Every experiment that was started and is not archived, by key."""
        return {key: entry for key, entry in self.entries.items() if entry.stored.is_live}


_NOTHING = Snapshot(0, 0, {}, {}, {})


def take_snapshot(session: Session, *, previous: Snapshot = _NOTHING, heard: Picture | None = None) -> Snapshot:
    """The present state; what has not changed since `previous` is not compiled again.

    A picture that was heard of is believed where it is one of this very state, and saves reading it.
    """
    version, opt_outs_version = session.meta.versions()
    opted_out = take_opted_out(session, version=opt_outs_version, previous=previous.opted_out)
    if version == previous.version:
        return previous if opted_out is previous.opted_out else replace(previous, opted_out=opted_out)
    changed_ms = session.meta.config_changed_ms()
    picture = heard if heard and heard.is_of(version, changed_ms) else take_picture(session)
    entries = {row.key: _entry(session, picture, row, previous.entries.get(row.key)) for row in picture.experiments}
    return Snapshot(
        version,
        changed_ms,
        entries,
        {row.prefix: row for row in picture.keys},
        _feeds(entries),
        opted_out,
        picture.removals,
        picture.erased_until_ms,
        picture.is_divided,
    )


def _entry(session: Session, picture: Picture, row: ExperimentRow, previous: Entry | None) -> Entry:
    stored = stored_experiment(row, previous.stored if previous else None)
    newest = picture.newest.get(row.key)
    unchanged = previous if previous and previous.experiment is stored.experiment else None
    measures = unchanged.measures if unchanged else Measures(stored.experiment)
    if newest is None:
        return Entry(stored, None, measures)
    if unchanged and unchanged.plan and unchanged.plan.allocation.epoch == newest.epoch:
        return unchanged._replace(stored=stored)
    plan = Plan(stored.experiment, allocation_of(newest))
    known = previous.settled if previous else None
    restored_at = picture.restored_at.get(row.key, ())
    return Entry(stored, plan, measures, restored_at, _settled(session, plan, known=known))


def _settled(session: Session, plan: Plan, *, known: Settled | None) -> Settled:
    """What is settled, by what was known of it and the epoch that came, or by all of them."""
    if known and known.epoch == plan.allocation.epoch:
        return known
    if known and known.epoch == plan.allocation.epoch - 1:
        return known.narrowed(plan.allocation)
    return settled(map(allocation_of, session.ledger.published(plan.experiment.key)))


def newest_plan(session: Session, *, seen: Entry) -> Plan:
    """The plan of a started experiment as it is now, whatever a snapshot has seen of it."""
    row, newest = session.experiments.get(seen.experiment.key), session.ledger.newest_epoch(seen.experiment.key)
    assert row and newest, "what was started keeps its row and its epochs"
    return Plan(stored_experiment(row, seen.stored).experiment, allocation_of(newest))


def stored_experiment(row: ExperimentRow, previous: StoredExperiment | None = None) -> StoredExperiment:
    """A stored row with its document parsed, or taken from `previous` where it is the same document."""
    same = previous is not None and previous.document == row.document
    experiment = previous.experiment if same and previous else parse_stored(row.document)
    state = cast(State, row.state)
    return StoredExperiment(experiment, row.document, state, row.created_ms, row.started_ms, row.stopped_ms)


def all_experiments(session: Session) -> dict[str, Experiment]:
    """Every experiment by its key."""
    return {row.key: stored_experiment(row).experiment for row in session.experiments.all()}


def _feeds(entries: Mapping[str, Entry]) -> dict[str, tuple[Feed, ...]]:
    feeds: dict[str, tuple[Feed, ...]] = {}
    for entry in entries.values():
        if entry.stored.is_live:
            for event, metrics in entry.experiment.metrics_by_event.items():
                feeds[event] = (*feeds.get(event, ()), Feed(entry, metrics))
    return feeds


class Snapshots:
    """The newest snapshot, for any thread; it is replaced whole, never changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = Lock()
        self._heard: Picture | None = None
        self.latest = _NOTHING
        self.epochs = Epochs()

    def refresh(self) -> Snapshot:
        """Read what has changed."""
        return self._store.read(self.within)

    def hear(self, picture: Picture) -> None:
        """Take the next state from this picture, where that is the one."""
        self._heard = picture

    def within(self, session: Session) -> Snapshot:
        """The snapshot as this session's transaction sees it."""
        snapshot = take_snapshot(session, previous=self.latest, heard=self._heard)
        with self._lock:
            if snapshot.age > self.latest.age:
                self.latest = snapshot
        return snapshot
