"""The review: whether each segment still makes sense, by who came, what its arms brought and what its rule asks."""

from collections import Counter
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from collections.abc import Set
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from experiments.columns import Columns
from experiments.columns import NO_CELLS
from experiments.counting import EXPOSURES
from experiments.errors import InvalidReview
from experiments.errors import shown
from experiments.inputs import last_open_day
from experiments.metric_kinds import MetricUnit
from experiments.model import EVERYONE_ELSE
from experiments.model import NO_PERSONALISATION
from experiments.privacy.suppression import withheld_places
from experiments.readings import Readings
from experiments.readings import read
from experiments.recent import Context
from experiments.review.days import REVIEWED
from experiments.review.days import due_soon
from experiments.review.days import overdue
from experiments.review.days import parse_day
from experiments.review.days import review_days
from experiments.review.drifts import AttributeDrift
from experiments.review.drifts import DatedContext
from experiments.review.drifts import drifts
from experiments.review.effects import Effect
from experiments.review.effects import effects
from experiments.review.feeds import Feed
from experiments.review.feeds import Recent
from experiments.review.feeds import feeds
from experiments.review.feeds import recent_fits
from experiments.review.overlaps import Overlap
from experiments.review.overlaps import overlaps
from experiments.review.shares import ShareMove
from experiments.review.shares import Stretch
from experiments.review.shares import counted
from experiments.review.shares import share_moves
from experiments.review.shares import shown_share
from experiments.storage.store import Store
from experiments.stored_contexts import dated_contexts
from experiments.times import date_of
from experiments.times import day_from
from experiments.times import day_of
from experiments.times import iso

#: "Lately" is so many days at most, and never more than half of those whose visitors' time is over.
LATELY_DAYS = 28
#: Of so many visitors of an experiment none in a segment is news.
ENOUGH_VISITORS = 100

FindingCode = Literal[
    "overdue", "due_soon", "never_holds", "shadowed", "never_matched", "none_lately", "share_moved", "effect_changed",
    "attribute_absent", "attribute_constant", "attribute_drifted",
]


@dataclass(frozen=True)
class LastReview:
    """Who looked at a segment last, and when (ISO 8601, UTC)."""

    at: str
    by: str


@dataclass(frozen=True)
class Finding:
    """What somebody should look at; `names` are the segments, arms or attributes that it is about, besides itself."""

    code: FindingCode
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class SegmentReview:
    """What is to be known of a segment.

    Attributes:
        visitors, share: of all visitors so far; None where they are too few to be shown.
        stretches: the same by day or week.
        share_move: its share before the day and since; None where either side has too few.
        effects: of its tailored arms.
        overlap: how its rule stands behind those before it; None where that is not judged, and of reserved segments.
        last_review, review_by: who looked, and by which day somebody does again.
        findings: the most urgent first.
    """

    segment: str
    visitors: int | None
    share: float | None
    stretches: list[Stretch]
    share_move: ShareMove | None
    effects: list[Effect]
    overlap: Overlap | None
    last_review: LastReview | None
    review_by: str | None
    findings: list[Finding]


@dataclass(frozen=True)
class Review:
    """A review of all segments.

    Attributes:
        since: the day (UTC) that parts "before" from "lately".
        stretch_days: whether stretches are days or weeks.
        visitors: so far; None where the number would tell what the report hides.
        goal, unit: what effects are of: a rate, a count or money.
        attributes: whether those that rules ask for still come; `drifts`: whether those that are stored changed.
        recent: how rules fit the newest evaluations of the server that answers; None where they are too few.
    """

    experiment: str
    as_of: str
    since: str
    stretch_days: int
    goal: str
    unit: MetricUnit
    currency: str
    visitors: int | None
    segments: list[SegmentReview]
    attributes: list[Feed]
    drifts: list[AttributeDrift]
    recent: Recent | None


def review(
    store: Store, key: str, *, now_ms: int, min_cell: int, contexts: Sequence[Context] = (), since: str | None = None
) -> Review:
    """Review an experiment's segments; `contexts` are the newest evaluations, `since` the day that begins "lately".

    :raises UnknownExperiment: if there is none.
    :raises InvalidReview: if the day is none on which "lately" can begin.
    """
    readings = store.read(lambda session: read(session, key, now_ms=now_ms))
    return review_of(readings, dated_contexts(store, key), contexts=contexts, since=since, min_cell=min_cell)


def review_of(
    readings: Readings, stored: Sequence[DatedContext], *, contexts: Sequence[Context], since: str | None, min_cell: int
) -> Review:
    """The same of what was read; `stored` are the contexts of visitors."""
    experiment, exposures = readings.experiment, readings.columns.get(EXPOSURES, NO_CELLS)
    day = _usual_day(readings, exposures) if since is None else _asked_day(since, readings)
    counts = counted(exposures, experiment.segment_keys, today=day_of(readings.now_ms))
    attributes, drifted = feeds(experiment, contexts), drifts(experiment, stored, since_day=day, min_cell=min_cell)
    withheld = _withheld(exposures, min_cell=min_cell)
    look = _Look(
        readings,
        {segment: round(float(n)) for segment, n in zip(counts.segments, counts.visitors.sum(axis=1), strict=True)},
        counts.stretches(withheld=withheld, min_cell=min_cell),
        share_moves(exposures, counts.segments, since_day=day, withheld=withheld, min_cell=min_cell),
        effects(readings, since_day=day, min_cell=min_cell),
        overlaps(experiment),
        attributes,
        {one.attribute for one in drifted if one.drifted},
        withheld,
        min_cell,
    )
    return Review(
        experiment.key,
        iso(readings.now_ms),
        date_of(day),
        counts.days,
        experiment.goal.key,
        experiment.goal.unit,
        experiment.currency,
        None if withheld else sum(look.visitors.values()),
        [look.segment(key) for key in experiment.segment_keys],
        attributes,
        drifted,
        recent_fits(experiment, contexts, min_cell=min_cell),
    )


def _withheld(exposures: Columns, *, min_cell: int) -> set[str]:
    """The segments of which a report hides something: their size would tell it."""
    visitors = Counter[tuple[str, str]]()
    for segment, arm, n in zip(exposures.segment, exposures.arm, exposures.n.tolist(), strict=True):
        visitors[segment, arm] += round(n)
    return {segment for segment, _ in withheld_places(visitors, min_cell=min_cell)}


def _usual_day(readings: Readings, exposures: Columns) -> int:
    """The day on which "lately" begins: on either side of it are visitors whose time is over, if there are any."""
    today = day_of(readings.now_ms)
    if not len(exposures.day):
        return today
    first, last = int(exposures.day.min()), int(exposures.day.max())
    open_day = last_open_day(readings.experiment.goal, now_ms=readings.now_ms)
    end = min(last + 1, open_day if open_day - first >= 2 else today + 1)
    return end - min(LATELY_DAYS, max((end - first) // 2, 1))


def _asked_day(since: str, readings: Readings) -> int:
    day, stored = day_from(parse_day("since", since)), readings.stored
    first, today = day_of(stored.started_ms or stored.created_ms), day_of(readings.now_ms)
    if not first <= day <= today:
        raise InvalidReview(f"since: {shown(since)} must be from {date_of(first)} to {date_of(today)}")
    return day


@dataclass(frozen=True)
class _Look:
    """What was found of all segments, by which each is told."""

    readings: Readings
    visitors: Mapping[str, int]
    stretches: Mapping[str, list[Stretch]]
    moves: Mapping[str, ShareMove | None]
    effects: Mapping[str, list[Effect]]
    overlaps: Mapping[str, Overlap]
    attributes: Sequence[Feed]
    drifted: Set[str]
    withheld: Set[str]
    min_cell: int

    @cached_property
    def days(self) -> Mapping[str, str]:
        """By which day somebody looks."""
        return review_days(self.readings.experiment, self.readings.reviews)

    def segment(self, key: str) -> SegmentReview:
        n, total = self.visitors[key], sum(self.visitors.values())
        is_shown = key not in self.withheld
        last = self.readings.reviews.get(key)
        return SegmentReview(
            key,
            n if is_shown else None,
            shown_share(n, total, min_cell=self.min_cell if self.withheld else 0) if is_shown else None,
            self.stretches[key],
            self.moves[key],
            self.effects.get(key, []),
            self.overlaps.get(key),
            None if last is None else LastReview(iso(last.at_ms), last.actor),
            self.days.get(key),
            list(self._findings(key)),
        )

    def _findings(self, key: str) -> Iterator[Finding]:
        yield from self._dates(key)
        yield from _of_rule(self.overlaps.get(key))
        yield from self._of_visitors(key)
        if changed := tuple(one.arm for one in self.effects.get(key, []) if one.changed):
            yield Finding("effect_changed", changed)
        yield from self._of_attributes(key)

    def _dates(self, key: str) -> Iterator[Finding]:
        if self.readings.stored.state in REVIEWED and key in self.days:
            own, now_ms = {key: self.days[key]}, self.readings.now_ms
            if overdue(own, now_ms=now_ms):
                yield Finding("overdue")
            if due_soon(own, now_ms=now_ms):
                yield Finding("due_soon")

    def _of_visitors(self, key: str) -> Iterator[Finding]:
        move, is_named = self.moves[key], key not in (EVERYONE_ELSE, NO_PERSONALISATION)
        if is_named and not self.visitors[key] and sum(self.visitors.values()) >= ENOUGH_VISITORS:
            yield Finding("never_matched")
        elif is_named and move and not move.lately and move.moved:
            yield Finding("none_lately")
        elif move and move.moved:
            yield Finding("share_moved")

    def _of_attributes(self, key: str) -> Iterator[Finding]:
        named = [feed for feed in self.attributes if key in feed.segments]
        if absent := tuple(feed.attribute for feed in named if feed.standing == "absent"):
            yield Finding("attribute_absent", absent)
        if constant := tuple(feed.attribute for feed in named if feed.standing == "constant"):
            yield Finding("attribute_constant", constant)
        if drifted := tuple(feed.attribute for feed in named if feed.attribute in self.drifted):
            yield Finding("attribute_drifted", drifted)


def _of_rule(overlap: Overlap | None) -> Iterator[Finding]:
    if overlap and overlap.never_holds:
        yield Finding("never_holds")
    if overlap and overlap.is_shadowed:
        yield Finding("shadowed", overlap.takers)
