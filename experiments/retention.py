"""Retention: what can change no count any more is removed, a little at a time, each time in a transaction of its own.

Events go in the order of storing, once none of them may come again and every window is over. Of an experiment that was
stopped, what its visitors were exposed to and have reached goes too, once nothing of it can come any more and its
events are gone. Killed anywhere, it goes on where it was: what is removed and what cells say of it are one transaction.
"""

from collections.abc import Callable
from collections.abc import Iterator
from functools import partial
from itertools import takewhile
from typing import NamedTuple

from experiments.audit import Change
from experiments.audit import Deed
from experiments.audit import log
from experiments.events import Terms
from experiments.failpoints import Failpoint
from experiments.failpoints import reached
from experiments.model import Experiment
from experiments.removals import remove_events
from experiments.removals import remove_visitors
from experiments.repetition import KEPT_SECONDS
from experiments.snapshot import Entry
from experiments.snapshot import Snapshot
from experiments.snapshot import Snapshots
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.tokens import expiry

#: Rows that one transaction removes: few enough that whoever writes events hardly waits.
STEP = 500
_MOST_STEPS = 10

_JOB = "retention"
_DONE = 1

#: Removes some rows; how many. Asked again while that was any.
_Step = Callable[[Session], int]


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
    """Remove some of what is kept no longer; how many rows that were."""
    steps = store.read(lambda session: list(_due(session, snapshots.within(session), keeping, now_ms=now_ms)))
    return sum(removed for step in steps for removed in _taken(store, step))


def _taken(store: Store, step: _Step) -> Iterator[int]:
    """What each of some transactions has removed."""
    for _ in range(_MOST_STEPS):
        removed = store.transact(step)
        reached(Failpoint.REMOVAL_COMMITTED)
        yield removed
        if not removed:
            return


def _due(session: Session, snapshot: Snapshot, keeping: Keeping, *, now_ms: int) -> Iterator[_Step]:
    """What there is to remove. Visitors of an experiment go once no events are left that must go before them."""
    replies_ms = now_ms - KEPT_SECONDS * 1000
    if session.tombstones.have_ended(now_ms=now_ms) or session.replies.are_older(replies_ms):
        yield partial(_forget, now_ms=now_ms, replies_ms=replies_ms)
    settled_ms = keeping.settled_ms(snapshot, now_ms=now_ms)
    oldest_ms = session.events.oldest_received_ms()
    if oldest_ms is not None and oldest_ms <= settled_ms:
        yield partial(_remove_oldest, settled_ms=settled_ms)
        return
    for key, entry in snapshot.entries.items():
        if keeping.has_ended(entry, settled_ms=settled_ms) and session.slots.last(_JOB, key) is None:
            yield partial(_remove_some, key, now_ms=now_ms)


def _forget(session: Session, *, now_ms: int, replies_ms: int) -> int:
    """Forget answers that nobody may ask for again, and marks that have ended."""
    return session.tombstones.remove_ended(now_ms=now_ms) + session.replies.forget(before_ms=replies_ms)


def _remove_oldest(session: Session, *, settled_ms: int) -> int:
    events = session.events.after(0, limit=STEP)
    due = list(takewhile(lambda pair: pair[1].received_ms <= settled_ms, events))
    remove_events(session, due)
    reached(Failpoint.EVENTS_REMOVED)
    return len(due)


def _remove_some(key: str, session: Session, *, now_ms: int) -> int:
    """Remove some visitors of an experiment; once there are none, say so to everybody."""
    visitors = [visitor for visitor, _ in session.exposures.after(b"", key, limit=STEP)]
    if visitors:
        remove_visitors(session, key, visitors, session.events.of_visitors(visitors))
        reached(Failpoint.VISITORS_REMOVED)
    elif session.slots.claim(_JOB, key, _DONE, now_ms=now_ms):
        session.meta.count_removal()
        session.meta.bump_config_version(now_ms=now_ms)
        log(session, Change(None, "forget visitors", key), deed=Deed("scheduler", now_ms))
    return len(visitors)
