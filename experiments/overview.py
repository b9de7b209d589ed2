"""The overview: every experiment in a few figures, and what in it needs somebody's attention; from cells alone."""

from collections import Counter
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Literal
from typing import NamedTuple

from experiments.columns import Columns
from experiments.columns import NO_CELLS
from experiments.columns import Table
from experiments.counting import EXPOSURES
from experiments.counting import PROFIT
from experiments.diagnostics import ALARM
from experiments.diagnostics import interval_notes
from experiments.diagnostics import sample_ratio_evidence
from experiments.estimates import Book
from experiments.estimates import corrected
from experiments.guardrails import judgements
from experiments.inputs import last_open_day
from experiments.inputs import metric_columns
from experiments.model import Experiment
from experiments.model import StoredExperiment
from experiments.publishing import allocations_of
from experiments.readings import Readings
from experiments.restraints import restraints_of
from experiments.review.days import REVIEWED
from experiments.review.days import due_soon
from experiments.review.days import overdue
from experiments.review.days import review_days
from experiments.snapshot import Snapshot
from experiments.snapshot import stored_experiment
from experiments.storage.configuration import ExperimentRow
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.times import DAY_MS
from experiments.times import day_of
from experiments.verdicts import headline_alone

ConcernKind = Literal[
    "alarm", "refused", "barred", "sample_ratio", "guardrail", "no_visitors", "no_outcomes", "partial_data", "review",
    "review_soon", "intervals",
]

#: Of so many visitors whose time is over, some should have done something: none in 100 is a rate below 3 %.
ENOUGH_MATURED = 100


class Concern(NamedTuple):
    """Something that needs attention; `names` are the arms and metrics or the segments that it is about.

    Of an alarm, why the service holds the weights; of a refused policy, why they stay.
    """

    kind: ConcernKind
    names: tuple[str, ...] = ()


class Summary(NamedTuple):
    """An experiment in short; `visitors_by_day` are those first exposed on each UTC day, in days since 1970.

    `fewest` are the visitors of the arm that had fewest, of those that had any.
    """

    stored: StoredExperiment
    is_frozen: bool
    headline: str | None
    visitors_by_day: dict[int, int]
    concerns: tuple[Concern, ...]
    fewest: int = 0


class Findings(NamedTuple):
    """What an experiment's counters have come to, whatever time it is."""

    headline: str
    visitors_by_day: dict[int, int]
    alarms: tuple[Concern, ...]
    has_broad_intervals: bool
    fewest: int


class _Look(NamedTuple):
    """An experiment as it was read, and the number of its newest row in the ledger."""

    readings: Readings
    number: int = 0


class Overviews:
    """Every experiment in short, time and again: where no counter, weight or word changed, nothing is worked out."""

    def __init__(self) -> None:
        self._known: Mapping[str, tuple[_Look, Findings]] = {}

    def take(self, store: Store, *, snapshot: Snapshot, now_ms: int) -> list[Summary]:
        """Every experiment, by key; of drafts and archived ones no more than their names.

        What the snapshot knows is not parsed again.
        """
        known = self._known
        looks = store.read(lambda session: [
            _look(session, row, snapshot, known.get(row.key), now_ms=now_ms) for row in session.experiments.all()
        ])
        found = {look.readings.experiment.key: (look, _findings_of(look, known)) for look in looks if _is_live(look)}
        # Replaced whole, since several threads may look at once.
        self._known = found
        return [_summary(look, found) for look in looks]


def overview(store: Store, *, snapshot: Snapshot, now_ms: int) -> list[Summary]:
    """Every experiment in short, once."""
    return Overviews().take(store, snapshot=snapshot, now_ms=now_ms)


def _look(
    session: Session, row: ExperimentRow, snapshot: Snapshot, before: tuple[_Look, Findings] | None, *, now_ms: int
) -> _Look:
    entry = snapshot.entries.get(row.key)
    stored = stored_experiment(row, entry.stored if entry else None)
    if not stored.is_live:
        return _Look(Readings(stored, {}, {}, {}, 0, 0, now_ms))
    columns = session.cells.columns(row.key, metrics=_metrics(stored.experiment))
    last = session.ledger.last(row.key)
    number = last.number if last else 0
    # The ledger only ever grows.
    is_known = before is not None and before[0].number == number
    allocations = before[0].readings.allocations if before and is_known else allocations_of(session, row.key)
    restraints, reviews = restraints_of(last), session.reviews.of(row.key)
    read = Readings(
        stored, columns, allocations, {}, 0, 0, now_ms,
        restraints=restraints, reviews=reviews, watermark_ms=session.watermarks.oldest_ms(),
    )
    return _Look(read, number)


def _is_live(look: _Look) -> bool:
    return look.readings.stored.is_live


def _findings_of(look: _Look, known: Mapping[str, tuple[_Look, Findings]]) -> Findings:
    """What was found before, if it was of the same."""
    before = known.get(look.readings.experiment.key)
    return before[1] if before and _is_same(look, before[0]) else _findings(look.readings)


def _is_same(look: _Look, before: _Look) -> bool:
    return (
        (look.readings.experiment, look.number, look.readings.is_complete)
        == (before.readings.experiment, before.number, before.readings.is_complete)
        and look.readings.columns.keys() == before.readings.columns.keys()
        and all(
            columns.is_same(before.readings.columns[metric]) for metric, columns in look.readings.columns.items()
        )
    )


def _metrics(experiment: Experiment) -> list[str]:
    """The metrics that verdict and concerns are made of."""
    rails = [metric.key for metric in experiment.metrics if metric.role == "guardrail"]
    return [experiment.goal.key, *rails, EXPOSURES, PROFIT]


def _summary(look: _Look, found: Mapping[str, tuple[_Look, Findings]]) -> Summary:
    stored = look.readings.stored
    if not stored.is_live:
        return Summary(stored, False, None, {}, ())
    _, findings = found[stored.experiment.key]
    concerns = tuple(_concerns(look.readings, findings))
    is_frozen = look.readings.restraints.is_frozen
    return Summary(stored, is_frozen, findings.headline, findings.visitors_by_day, concerns, findings.fewest)


def _findings(readings: Readings) -> Findings:
    experiment = readings.experiment
    columns = {metric: metric_columns(experiment, readings.columns, metric=metric) for metric in _metrics(experiment)}
    book = corrected(readings, columns)
    return Findings(
        headline_alone(readings, book, columns),
        _by_day(columns[EXPOSURES]),
        tuple(_alarms(readings, book, columns)),
        bool(interval_notes(readings, columns)),
        _fewest(columns[EXPOSURES]),
    )


def _fewest(exposures: Columns) -> int:
    visitors = Counter[str]()
    for (_, arm), n in exposures.visitors().items():
        visitors[arm] += n
    return min(filter(None, visitors.values()), default=0)


def _by_day(exposures: Columns) -> dict[int, int]:
    visitors = Counter[int]()
    for day, n in zip(exposures.day.tolist(), exposures.n.tolist(), strict=True):
        visitors[day] += round(n)
    return dict(visitors)


def _alarms(readings: Readings, book: Book, columns: Table) -> Iterator[Concern]:
    restraints = readings.restraints
    if restraints.alarm:
        yield Concern("alarm", (restraints.alarm,))
    if restraints.refused:
        yield Concern("refused", (restraints.refused,))
    yield from (Concern("barred", pair) for pair in restraints.barred.items())
    if sample_ratio_evidence(readings, columns[EXPOSURES]) >= ALARM:
        yield Concern("sample_ratio")
    for rail in judgements(readings.experiment, book):
        if rail.evidence >= rail.needed and rail.arm not in restraints.barred:
            yield Concern("guardrail", (rail.arm, rail.metric.key))


def _concerns(readings: Readings, findings: Findings) -> Iterator[Concern]:
    """What needs attention, the most urgent first."""
    yield from findings.alarms
    if readings.stored.state == "running":
        yield from _silences(readings)
    if readings.stored.state in REVIEWED:
        yield from _reviews(readings)
    if findings.has_broad_intervals:
        yield Concern("intervals")
    if not readings.is_complete:
        yield Concern("partial_data")


def _silences(readings: Readings) -> Iterator[Concern]:
    """Nothing arriving: cells know days, so that a whole day must have passed without a visitor."""
    started_ms, exposures = readings.stored.started_ms or 0, readings.columns.get(EXPOSURES, NO_CELLS)
    goal = readings.columns.get(readings.experiment.goal.key, NO_CELLS)
    yesterday = day_of(readings.now_ms - DAY_MS)
    if readings.now_ms - started_ms > DAY_MS and not (exposures.day >= yesterday).any():
        yield Concern("no_visitors")
    before = last_open_day(readings.experiment.goal, now_ms=readings.now_ms)
    matured = exposures.n[exposures.day < before].sum()
    if matured >= ENOUGH_MATURED and not goal.total.any():
        yield Concern("no_outcomes", (readings.experiment.goal.key,))


def _reviews(readings: Readings) -> Iterator[Concern]:
    days = review_days(readings.experiment, readings.reviews)
    if late := overdue(days, now_ms=readings.now_ms):
        yield Concern("review", late)
    if soon := due_soon(days, now_ms=readings.now_ms):
        yield Concern("review_soon", soon)
