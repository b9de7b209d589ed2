"""The recount: what the stored events give, visitor by visitor, by no other code than the rules themselves. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Iterator
from typing import NamedTuple

from experiments.counting import EXPOSURES
from experiments.counting import Measures
from experiments.counting import amount_of
from experiments.counting import is_watched
from experiments.counting import teller
from experiments.counting import timing
from experiments.model import Experiment
from experiments.model import Metric
from experiments.storage.cells import CellKey
from experiments.storage.events import EventRow
from experiments.storage.visitors import ExposureRow
from experiments.times import day_of

Cells = dict[CellKey, tuple[int, int, float]]


class Total(NamedTuple):
    """What events, by their numbers, give a visitor in one metric."""

    total: int
    events: tuple[int, ...]


class History:
    """All that a visitor did as far as one experiment is concerned: events by number, in the order of storing."""

    def __init__(self) -> None:
        self.exposures: list[tuple[int, EventRow]] = []
        self.outcomes: list[tuple[int, EventRow]] = []

    @property
    def exposure(self) -> ExposureRow | None:
        """The first exposure, with the number of all; None without any."""
        if not self.exposures:
            return None
        _, first = self.exposures[0]
        assert first.arm and first.segment and first.epoch is not None and first.weight is not None
        return ExposureRow(
            first.arm, first.segment, first.epoch, first.weight, first.at_ms, bool(first.asserted), first.context,
            len(self.exposures),
        )


Histories = dict[bytes, History]


def histories(events: Iterable[tuple[int, EventRow]]) -> dict[str, Histories]:
    """The histories of all visitors, by experiment."""
    found: dict[str, Histories] = defaultdict(lambda: defaultdict(History))
    for number, event in events:
        for key in event.experiments:
            history = found[key][event.visitor]
            (history.exposures if event.kind == "exposure" else history.outcomes).append((number, event))
    return found


def totals_of(experiment: Experiment, history: History) -> dict[str, Total]:
    """What the outcomes of a visitor who was exposed give in each declared metric."""
    totals: dict[str, Total] = {}
    for number, _, metric, added in _additions(experiment, history):
        total, events = totals.get(metric.key, Total(0, ()))
        totals[metric.key] = Total(total + added, (*events, number))
    return totals


def _tellers(experiment: Experiment, history: History) -> list[str]:
    """Who told first that the goal was reached, where that is counted."""
    _, first = history.exposures[0]
    total, told_by = 0, []
    for _, outcome, metric, added in _additions(experiment, history):
        if is_watched(metric):
            if added and not total:
                told_by.append(teller(trusted=outcome.trusted, exposed_ms=first.at_ms, at_ms=outcome.at_ms))
            total += added
    return told_by


def _additions(experiment: Experiment, history: History) -> Iterator[tuple[int, EventRow, Metric, int]]:
    """What each outcome, by its number, adds to each metric that it counts for."""
    for number, outcome in history.outcomes:
        for metric in experiment.metrics_by_event.get(outcome.name, ()):
            if _counts(metric, history.exposures[0], outcome, number=number):
                yield number, outcome, metric, amount_of(metric, outcome.amounts or {}, currency=experiment.currency)


def cells_of(experiment: Experiment, visitors: Histories) -> Cells:
    """The cells that the histories add up to."""
    cells: Cells = defaultdict(lambda: (0, 0, 0.0))
    measures = Measures(experiment)
    for history in visitors.values():
        for key, value in _values(experiment, measures, history):
            n, total, squares = cells[key]
            cells[key] = (n + 1, total + value, squares + float(value * value))
    return cells


def _values(experiment: Experiment, measures: Measures, history: History) -> Iterator[tuple[CellKey, int]]:
    """What a visitor adds to each cell."""
    exposure = history.exposure
    if exposure is None:
        return
    totals = {metric: total for metric, (total, _) in totals_of(experiment, history).items()}
    place = (experiment.key, exposure.epoch, day_of(exposure.at_ms), exposure.segment, exposure.arm, exposure.asserted)
    context = exposure.context or "" if experiment.is_contextual else ""
    told_by = ((metric, 1) for metric in _tellers(experiment, history))
    for metric, value in (*measures.values(exposure.arm, totals | {EXPOSURES: exposure.n}), *told_by):
        yield CellKey(*place, metric, context), value


def _counts(metric: Metric, exposure: tuple[int, EventRow], outcome: EventRow, *, number: int) -> bool:
    exposed_number, exposed = exposure
    heard = outcome.trusted or metric.source == "any"
    # An outcome stored before its exposure waits for one window of the metric.
    waited_too_long = (
        number < exposed_number and outcome.received_ms + metric.window_seconds * 1000 <= exposed.received_ms
    )
    in_time = timing(metric, exposed_ms=exposed.at_ms, at_ms=outcome.at_ms) == "counts"
    return heard and in_time and not waited_too_long
