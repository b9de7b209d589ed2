"""Sources: where the record of an experiment's visitors is read, its database or a history of it."""

from collections.abc import Sequence
from typing import NamedTuple
from typing import Protocol

from experiments.contexts import Contexts
from experiments.counting import most_of
from experiments.inputs import last_open_day
from experiments.lifecycle import find
from experiments.model import Experiment
from experiments.publishing import allocations_of
from experiments.readings import Readings
from experiments.readings import read
from experiments.searches import Record
from experiments.storage.contexts import ContextRow
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.times import DAY_MS
from experiments.undivided import check_undivided
from experiments.undivided import shards_elsewhere


class Matured(NamedTuple):
    """An experiment's counters, and the visitors whose windows are over, by context and by what they reached.

    Of the visitors there are none where no context is stored, or where only a part of them is at hand.
    """

    readings: Readings
    rows: Sequence[ContextRow]


class Source(Protocol):
    """What is asked of a record; those to whom another arm was shown than was drawn are in none of its rows."""

    def known(self, store: Store, key: str) -> Record:
        """The visitors of whom a context is stored, by what they reached of the goal."""

    def matured(self, store: Store, key: str, *, now_ms: int) -> Matured:
        """What has come of the visitors by now, or by the moment of which the record is."""


class Database:
    """What a database has, read in one state of it."""

    def known(self, store: Store, key: str) -> Record:
        """The visitors of whom a context is stored.

        :raises UnknownExperiment: if there is none.
        :raises DividedVisitors: if visitors are in several databases.
        """
        return store.read(lambda session: self._known(session, key))

    def matured(self, store: Store, key: str, *, now_ms: int) -> Matured:
        """What has come of the visitors by now.

        :raises UnknownExperiment: if there is none.
        """
        return store.read(lambda session: self._matured(session, key, now_ms=now_ms))

    def _known(self, session: Session, key: str) -> Record:
        check_undivided(session)
        experiment = find(session, key).experiment
        rows = session.contexts.of(key, metric=experiment.goal.key, most=_most(experiment))
        return Record(experiment, allocations_of(session, key), rows)

    def _matured(self, session: Session, key: str, *, now_ms: int) -> Matured:
        readings = read(session, key, now_ms=now_ms)
        experiment = readings.experiment
        # A part of the visitors does not speak for all of them.
        if not Contexts(experiment.attributes) or shards_elsewhere(session):
            return Matured(readings, [])
        before_ms = last_open_day(experiment.goal, now_ms=now_ms) * DAY_MS
        goal, most = experiment.goal.key, _most(experiment)
        return Matured(readings, session.contexts.past(key, metric=goal, most=most, before_ms=before_ms))


def _most(experiment: Experiment) -> int:
    return most_of(experiment.goal, currency=experiment.currency)


#: The source that answers, where nobody names another.
DATABASE = Database()
