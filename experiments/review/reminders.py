"""Reminders: segments whose day of review comes soon, or has come, each told of once by however many schedulers."""

from collections.abc import Iterator
from typing import Literal
from typing import NamedTuple

from experiments.model import StoredExperiment
from experiments.review.days import REVIEWED
from experiments.review.days import due_soon
from experiments.review.days import review_days
from experiments.snapshot import stored_experiment
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.times import date_of
from experiments.times import day_from
from experiments.times import day_of

_JOB = "reminders"


class Reminder(NamedTuple):
    """A segment to look at; `stage` is whether its day has come or comes soon."""

    experiment: str
    segment: str
    review_by: str
    stage: Literal["soon", "due"]


def remind(store: Store, *, now_ms: int) -> list[Reminder]:
    """Once a day, the reminders whose time has come and that nobody has been given yet."""

    def is_taken(session: Session) -> bool:
        last = session.slots.last(_JOB, "")
        return last is not None and last >= day_of(now_ms)

    return [] if store.read(is_taken) else store.transact(lambda session: _claimed(session, now_ms=now_ms))


def _claimed(session: Session, *, now_ms: int) -> list[Reminder]:
    if not session.slots.claim(_JOB, "", day_of(now_ms), now_ms=now_ms):
        return []
    rows = [row for row in session.experiments.all() if row.state in REVIEWED]
    waiting = (one for row in rows for one in _reminders(session, stored_experiment(row), now_ms=now_ms))
    return [one for one in waiting if _claim(session, one, now_ms=now_ms)]


def _reminders(session: Session, stored: StoredExperiment, *, now_ms: int) -> Iterator[Reminder]:
    """What is to be said of an experiment's segments, whoever has said it."""
    key, today = stored.experiment.key, date_of(day_of(now_ms))
    days = review_days(stored.experiment, session.reviews.of(key))
    soon = due_soon(days, now_ms=now_ms)
    for segment, day in days.items():
        if day <= today:
            yield Reminder(key, segment, day, "due")
        elif segment in soon:
            yield Reminder(key, segment, day, "soon")


def _claim(session: Session, one: Reminder, *, now_ms: int) -> bool:
    # Another day for the same segment is another slot, and so another reminder.
    job = f"{one.stage}: {one.segment}"
    return session.slots.claim(job, one.experiment, day_from(one.review_by), now_ms=now_ms)
