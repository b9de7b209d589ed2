"""Retention: what can change no count any more is removed, a little at a time, each time in a transaction of its own.

Events go in the order of storing, once none of them may come again and every window is over. Of an experiment that was
stopped, what its visitors were exposed to and have reached goes too, once nothing of it can come any more and its
events are gone. Killed anywhere, it goes on where it was: what is removed and what cells say of it are one transaction.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from functools import partial
from itertools import islice
from itertools import takewhile
from typing import NamedTuple

from experiments.audit import Change
from experiments.audit import Deed
from experiments.audit import tell
from experiments.errors import StorageError
from experiments.events import Terms
from experiments.failpoints import Failpoint
from experiments.failpoints import reached
from experiments.model import Experiment
from experiments.partitions import Span
from experiments.privacy.removals import Numbered
from experiments.privacy.removals import remove_events
from experiments.privacy.removals import remove_visitors
from experiments.repetition import KEPT_SECONDS
from experiments.snapshot import Entry
from experiments.snapshot import Snapshot
from experiments.snapshot import Snapshots
from experiments.storage.parts import Part
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.tokens import expiry

#: Rows that one transaction removes: few enough that whoever writes events hardly waits.
STEP = 500
_MOST_STEPS = 10

_JOB = "retention"
_DONE = 1


class Keeping(NamedTuple):
    """How long things are kept: by the terms of events, by tokens, and, once nothing can change, beyond that."""

    terms: Terms
    token_seconds: int
    event_seconds: int
    exposure_seconds: int

    def settled_ms(self, snapshot: Snapshot, *, now_ms: int) -> int:
        """Events that were received up to this time can neither come again nor count, and are kept no longer."""
        windows = [_longest_window(entry.experiment) for entry in snapshot.entries.values()]
        return now_ms - (max(self.terms.horizon_seconds, *windows, 0) + self.event_seconds) * 1000

    def has_ended(self, entry: Entry, *, settled_ms: int) -> bool:
        """Whether all that counts in an experiment was received long ago, and nothing of its visitors is kept."""
        if entry.stored.stopped_ms is None:
            return False
        last_ms = expiry(entry.stored.stopped_ms, lifetime_seconds=self.token_seconds)
        return last_ms + (_longest_window(entry.experiment) + self.exposure_seconds) * 1000 <= settled_ms


def _longest_window(experiment: Experiment) -> int:
    return max(metric.window_seconds for metric in experiment.metrics)


def retain(store: Store, snapshots: Snapshots, keeping: Keeping, *, now_ms: int) -> int:
    """Remove some of what is kept no longer; how many rows that were.

    :raises StorageError: if a database that has visitors cannot do it now; what others have goes all the same.
    """
    due = store.read(lambda session: _due(session, snapshots.within(session), keeping, now_ms=now_ms))
    removed = store.transact(partial(_forget, due)) if store.read(partial(_has_ended, due)) else 0
    parts, faults = store.parts(), list[StorageError]()
    for part in parts:
        try:
            removed += sum(islice(_removals(part, due), max(_MOST_STEPS // len(parts), 1)))
        except StorageError as error:
            faults.append(error)
    if faults:
        raise faults[0]
    for key in due.ended:
        if not any(part.read(partial(_some_exposed, part.span, key, 1)) for part in parts):
            store.transact(partial(_end, key, now_ms=now_ms))
    return removed


class _Due(NamedTuple):
    """What is kept no longer: events received until `settled_ms`, and visitors of the experiments that have `ended`."""

    now_ms: int
    settled_ms: int
    experiments: Mapping[str, Experiment]
    ended: list[str]

    @property
    def replies_ms(self) -> int:
        """Until when answers were given that nobody may ask for again."""
        return self.now_ms - KEPT_SECONDS * 1000


def _due(session: Session, snapshot: Snapshot, keeping: Keeping, *, now_ms: int) -> _Due:
    settled_ms = keeping.settled_ms(snapshot, now_ms=now_ms)
    ended = [
        key for key, entry in snapshot.entries.items()
        if keeping.has_ended(entry, settled_ms=settled_ms) and session.slots.last(_JOB, key) is None
    ]
    return _Due(now_ms, settled_ms, {key: entry.experiment for key, entry in snapshot.entries.items()}, ended)


def _has_ended(due: _Due, session: Session) -> bool:
    return session.tombstones.have_ended(now_ms=due.now_ms) or session.replies.are_older(due.replies_ms)


def _forget(due: _Due, session: Session) -> int:
    """Forget answers that nobody may ask for again, and marks that have ended."""
    return session.tombstones.remove_ended(now_ms=due.now_ms) + session.replies.forget(before_ms=due.replies_ms)


def _removals(part: Part, due: _Due) -> Iterator[int]:
    """What each of some transactions removes, until nothing must go."""
    while step := part.read(partial(_next, part.span, due)):
        yield part.transact(step)
        reached(Failpoint.REMOVAL_COMMITTED)


def _next(span: Span, due: _Due, session: Session) -> Callable[[Session], int] | None:
    """What is to be removed next; visitors once no event is left that must go before them."""
    if session.tombstones.have_ended(now_ms=due.now_ms):
        return lambda session: session.tombstones.remove_ended(now_ms=due.now_ms)
    if _oldest(span, due, 1, session):
        return partial(_remove_oldest, span, due)
    left = (key for key in due.ended if _some_exposed(span, key, 1, session))
    return next((partial(_remove_some, span, due.experiments[key]) for key in left), None)


def _oldest(span: Span, due: _Due, limit: int, session: Session) -> list[Numbered]:
    """The events that were stored first, of those that must go."""
    events = session.events.oldest(span, limit=limit)
    return list(takewhile(lambda pair: pair[1].received_ms <= due.settled_ms, events))


def _remove_oldest(span: Span, due: _Due, session: Session) -> int:
    events = _oldest(span, due, STEP, session)
    remove_events(session, events, experiments=due.experiments)
    reached(Failpoint.EVENTS_REMOVED)
    return len(events)


def _some_exposed(span: Span, key: str, limit: int, session: Session) -> list[bytes]:
    return [visitor for visitor, _ in session.exposures.within(span, key, limit=limit)]


def _remove_some(span: Span, experiment: Experiment, session: Session) -> int:
    """Remove some visitors of an experiment."""
    visitors = _some_exposed(span, experiment.key, STEP, session)
    remove_visitors(session, experiment, visitors, session.events.of_visitors(visitors))
    reached(Failpoint.VISITORS_REMOVED)
    return len(visitors)


def _end(key: str, session: Session, *, now_ms: int) -> None:
    """Say to everybody that no visitor of an experiment is left, once."""
    if session.slots.claim(_JOB, key, _DONE, now_ms=now_ms):
        session.meta.count_removal()
        tell(session, Change(None, "forget visitors", key), deed=Deed("scheduler", now_ms))
