"""Sources: where the record of an experiment's visitors is read, its database or a history of it."""

from collections.abc import Sequence
from typing import NamedTuple
from typing import Protocol

from experiments.contexts import Contexts
from experiments.discovery.searches import Record
from experiments.inputs import last_open_day
from experiments.lifecycle import find
from experiments.publishing import allocations_of
from experiments.readings import Readings
from experiments.readings import read
from experiments.storage.contexts import ContextRow
from experiments.storage.store import Store
from experiments.stored_contexts import past_contexts
from experiments.stored_contexts import stored_contexts
from experiments.times import DAY_MS


class Matured(NamedTuple):
    """An experiment's counters, and the visitors whose windows are over, by context and by what they reached.

    Of the visitors there are none where no context is stored.
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
    """What the databases have."""

    def known(self, store: Store, key: str) -> Record:
        """The visitors of whom a context is stored.

        :raises UnknownExperiment: if there is none.
        """
        rows = stored_contexts(store, store.read(lambda session: find(session, key).experiment))
        # After the visitors, so that none has an epoch or an arm that is not known yet.
        return store.read(lambda session: Record(find(session, key).experiment, allocations_of(session, key), rows))

    def matured(self, store: Store, key: str, *, now_ms: int) -> Matured:
        """What has come of the visitors by now.

        :raises UnknownExperiment: if there is none.
        """
        experiment = store.read(lambda session: find(session, key).experiment)
        before_ms = last_open_day(experiment.goal, now_ms=now_ms) * DAY_MS
        rows = past_contexts(store, experiment, before_ms=before_ms) if Contexts(experiment.attributes) else []
        # After the visitors, so that none has an epoch or an arm that is not known yet.
        return Matured(store.read(lambda session: read(session, key, now_ms=now_ms)), rows)


#: The source that answers, where nobody names another.
DATABASE = Database()
