"""The overview: every experiment in a few figures, and what in it needs somebody's attention; from cells alone."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from datetime import timezone
from typing import Literal
from typing import NamedTuple

from experiments.columns import Columns
from experiments.columns import Table
from experiments.counting import EXPOSURES
from experiments.counting import PROFIT
from experiments.diagnostics import interval_notes
from experiments.diagnostics import sample_ratio
from experiments.estimates import Book
from experiments.estimates import columns_by_metric
from experiments.estimates import corrected
from experiments.guardrails import judgements
from experiments.inputs import last_open_day
from experiments.lifecycle import restraints
from experiments.model import Experiment
from experiments.model import StoredExperiment
from experiments.publishing import allocations_of
from experiments.readings import Readings
from experiments.snapshot import Snapshot
from experiments.snapshot import stored_experiment
from experiments.storage.configuration import ExperimentRow
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.times import DAY_MS
from experiments.times import day_of
from experiments.verdicts import headline_alone

ConcernKind = Literal[
    "alarm", "barred", "sample_ratio", "guardrail", "no_visitors", "no_outcomes", "review", "intervals"
]

#: Of so many visitors whose time is over, some should have done something: none in 100 is a rate below 3 %.
ENOUGH_MATURED = 100


class Concern(NamedTuple):
    """Something that needs attention; `names` are the arms and metrics or the segments that it is about.

    Of an alarm, why the service holds the weights.
    """

    kind: ConcernKind
    names: tuple[str, ...] = ()


class Summary(NamedTuple):
    """An experiment in short; `visitors_by_day` are those first exposed on each UTC day, in days since 1970."""

    stored: StoredExperiment
    is_frozen: bool
    headline: str | None
    visitors_by_day: dict[int, int]
    concerns: tuple[Concern, ...]


def overview(store: Store, *, snapshot: Snapshot, now_ms: int) -> list[Summary]:
    """Every experiment, by key; of drafts and archived ones no more than their names.

    What the snapshot knows is not parsed again.
    """

    def read(session: Session) -> list[Readings]:
        return [_read(session, row, snapshot, now_ms=now_ms) for row in session.experiments.all()]

    return [_summary(readings) for readings in store.read(read)]


def _read(session: Session, row: ExperimentRow, snapshot: Snapshot, *, now_ms: int) -> Readings:
    known = snapshot.entries.get(row.key)
    stored = stored_experiment(row, known.stored if known else None)
    if not stored.is_live:
        return Readings(stored, {}, {}, {}, 0, 0, now_ms)
    columns = session.cells.columns(row.key, metrics=_metrics(stored.experiment))
    return Readings(
        stored, columns, allocations_of(session, row.key), {}, 0, 0, now_ms, restraints=restraints(session, row.key)
    )


def _metrics(experiment: Experiment) -> list[str]:
    """The metrics that verdict and concerns are made of."""
    rails = [metric.key for metric in experiment.metrics if metric.role == "guardrail"]
    return [experiment.goal.key, *rails, EXPOSURES, PROFIT]


def _summary(readings: Readings) -> Summary:
    if not readings.stored.is_live:
        return Summary(readings.stored, False, None, {}, ())
    columns = columns_by_metric(readings)
    book = corrected(readings, columns)
    return Summary(
        readings.stored,
        readings.restraints.is_frozen,
        headline_alone(readings, book, columns),
        _by_day(columns[EXPOSURES]),
        tuple(_concerns(readings, book, columns)),
    )


def _by_day(exposures: Columns) -> dict[int, int]:
    visitors = Counter[int]()
    for day, n in zip(exposures.day.tolist(), exposures.n.tolist(), strict=True):
        visitors[day] += round(n)
    return dict(visitors)


def _concerns(readings: Readings, book: Book, columns: Table) -> Iterator[Concern]:
    """What needs attention, the most urgent first."""
    restrained = readings.restraints
    if restrained.alarm:
        yield Concern("alarm", (restrained.alarm,))
    yield from (Concern("barred", pair) for pair in restrained.barred.items())
    if sample_ratio(readings, columns[EXPOSURES])["alarm"]:
        yield Concern("sample_ratio")
    for rail in judgements(readings.experiment, book):
        if rail.evidence >= rail.needed and rail.arm not in restrained.barred:
            yield Concern("guardrail", (rail.arm, rail.metric.key))
    if readings.stored.state == "running":
        yield from _silences(readings, columns)
    if readings.stored.state in ("running", "paused") and (overdue := _overdue(readings)):
        yield Concern("review", overdue)
    if interval_notes(readings, columns):
        yield Concern("intervals")


def _silences(readings: Readings, columns: Table) -> Iterator[Concern]:
    """Nothing arriving: cells know days, so that a whole day must have passed without a visitor."""
    started_ms, exposures = readings.stored.started_ms or 0, columns[EXPOSURES]
    yesterday = day_of(readings.now_ms - DAY_MS)
    if readings.now_ms - started_ms > DAY_MS and not (exposures.day >= yesterday).any():
        yield Concern("no_visitors")
    before = last_open_day(readings.experiment.goal, now_ms=readings.now_ms)
    matured = exposures.n[exposures.day < before].sum()
    if matured >= ENOUGH_MATURED and not columns[readings.experiment.goal.key].total.any():
        yield Concern("no_outcomes", (readings.experiment.goal.key,))


def _overdue(readings: Readings) -> tuple[str, ...]:
    today = datetime.fromtimestamp(readings.now_ms / 1000, timezone.utc).date().isoformat()
    return tuple(
        segment.key for segment in readings.experiment.segments if segment.review_by and segment.review_by < today
    )
