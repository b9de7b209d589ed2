"""Reviews of segments: by which day somebody looks whether a segment still makes sense, and who did so last."""

from collections.abc import Mapping

from experiments.audit import Change
from experiments.audit import Deed
from experiments.audit import configure
from experiments.errors import InvalidReview
from experiments.errors import InvalidTransition
from experiments.errors import UnknownSegment
from experiments.errors import shown
from experiments.lifecycle import find
from experiments.model import Experiment
from experiments.model import Segment
from experiments.model import State
from experiments.reading.shapes import Refusal
from experiments.reading.values import iso_date
from experiments.storage.reviews import ReviewRow
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.times import date_of
from experiments.times import day_of

#: So many days before its day a segment is said to be due soon.
NOTICE_DAYS = 14

#: The states in which segments are given messages, and so are looked at.
REVIEWED: tuple[State, ...] = ("running", "paused")

#: The last reviews of an experiment's segments, by key.
LastReviews = Mapping[str, ReviewRow]


def review_by(segment: Segment, last: ReviewRow | None) -> str | None:
    """The day by which somebody looks at a segment: that of its last review, until the document names another one."""
    return last.review_by if last and last.instead_of == segment.review_by else segment.review_by


def review_days(experiment: Experiment, last: LastReviews) -> dict[str, str]:
    """The days by which somebody looks, of the segments that have one."""
    found = {segment.key: review_by(segment, last.get(segment.key)) for segment in experiment.segments}
    return {segment: day for segment, day in found.items() if day}


def overdue(days: Mapping[str, str], *, now_ms: int) -> tuple[str, ...]:
    """The segments whose day has passed."""
    today = date_of(day_of(now_ms))
    return tuple(segment for segment, day in days.items() if day < today)


def due_soon(days: Mapping[str, str], *, now_ms: int) -> tuple[str, ...]:
    """The segments whose day is today, or comes within the time of notice."""
    today = day_of(now_ms)
    first, last = date_of(today), date_of(today + NOTICE_DAYS)
    return tuple(segment for segment, day in days.items() if first <= day <= last)


def parse_day(name: str, value: object) -> str:
    """A day as somebody writes it.

    :raises InvalidReview: if it is none.
    """
    try:
        return iso_date(value)
    except Refusal as error:
        raise InvalidReview(f"{name}: {shown(value)} {error}") from error


def parse_review_by(value: object, *, now_ms: int) -> str:
    """The day of the next review.

    :raises InvalidReview: if it is no day, or has come already.
    """
    day, today = parse_day("review_by", value), date_of(day_of(now_ms))
    if day <= today:
        raise InvalidReview(f"review_by: {shown(day)} must be after today, {today}")
    return day


def mark_reviewed(store: Store, key: str, segment: str, *, by: object, deed: Deed) -> ReviewRow:
    """Keep that somebody has looked at a segment, and by which day somebody does again.

    :raises UnknownExperiment: if there is none.
    :raises UnknownSegment: if the document has no such segment.
    :raises InvalidReview: if the day is none, or has come already.
    :raises InvalidTransition: if the experiment gives its segments nothing now.
    """
    day = parse_review_by(by, now_ms=deed.now_ms)
    return configure(store, lambda session: _mark(session, key, segment, day, deed), deed=deed)


def _mark(session: Session, key: str, segment: str, day: str, deed: Deed) -> Change[ReviewRow]:
    stored = find(session, key)
    named = next((one for one in stored.experiment.segments if one.key == segment), None)
    if named is None:
        known = ", ".join(one.key for one in stored.experiment.segments) or "none"
        raise UnknownSegment(f"segment {shown(segment)} must be one of the document's: {known}")
    if stored.state not in REVIEWED:
        raise InvalidTransition(f"experiment {key!r} is {stored.state}: a review needs {' or '.join(REVIEWED)}")
    row = ReviewRow(key, segment, day, named.review_by, deed.actor, deed.now_ms)
    session.reviews.keep(row)
    return Change(row, "segment review", key, {"segment": segment, "review_by": day})
