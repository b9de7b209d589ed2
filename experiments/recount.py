"""The recount: what the stored events give, visitor by visitor, by no other code than the rules themselves. Pure."""

from collections import Counter
from collections import defaultdict
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from types import MappingProxyType
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


class Removed(NamedTuple):
    """What came of a visitor's events that were removed: the first exposure, which counts them, and totals."""

    exposure: ExposureRow | None = None
    totals: Mapping[str, int] = MappingProxyType({})

    @property
    def n(self) -> int:
        """How many exposures were removed."""
        return self.exposure.n if self.exposure else 0


_NOTHING = Removed()


class History:
    """All that a visitor did as far as one experiment is concerned: events by number, in the order of storing.

    Those come first that were removed, of which only what came of them is known.
    """

    def __init__(self, removed: Removed = _NOTHING) -> None:
        self.removed = removed
        self.exposures: list[tuple[int, EventRow]] = []
        self.outcomes: list[tuple[int, EventRow]] = []

    @property
    def exposure(self) -> ExposureRow | None:
        """The first exposure, with the number of all; None without any."""
        n = self.removed.n + len(self.exposures)
        if self.removed.exposure:
            return self.removed.exposure._replace(n=n)
        if not self.exposures:
            return None
        _, first = self.exposures[0]
        assert first.arm and first.segment and first.epoch is not None and first.weight is not None
        return ExposureRow(
            first.arm, first.segment, first.epoch, first.weight, first.at_ms, bool(first.asserted), first.context,
            n,
        )

    def left(self, numbers: Collection[int], removed: Removed) -> "History":
        """What is left without the events of these numbers, of which this came."""
        history = History(removed)
        history.exposures = [pair for pair in self.exposures if pair[0] not in numbers]
        history.outcomes = [pair for pair in self.outcomes if pair[0] not in numbers]
        return history


Histories = dict[bytes, History]


def histories(events: Iterable[tuple[int, EventRow]]) -> dict[str, Histories]:
    """The histories of all visitors, by experiment."""
    found: dict[str, Histories] = defaultdict(lambda: defaultdict(History))
    for number, event in events:
        for key in event.experiments:
            history = found[key][event.visitor]
            (history.exposures if event.kind == "exposure" else history.outcomes).append((number, event))
    return found


def removal(experiment: Experiment, history: History, numbers: Collection[int]) -> tuple[Removed, Cells]:
    """What has come of events once those of these numbers are removed too, the oldest ones; and what cells lose."""
    totals = Counter(history.removed.totals)
    for number, _, metric, added in _additions(experiment, history):
        if number in numbers:
            totals[metric.key] += added
    n = history.removed.n + sum(number in numbers for number, _ in history.exposures)
    removed = Removed(history.exposure._replace(n=n) if history.exposure and n else None, totals)
    return removed, cells_of(experiment, [history], without=[history.left(numbers, removed)])


def totals_of(experiment: Experiment, history: History) -> dict[str, Total]:
    """What the outcomes of a visitor who was exposed give in each declared metric."""
    totals = {metric: Total(total, ()) for metric, total in history.removed.totals.items()}
    for number, _, metric, added in _additions(experiment, history):
        total, events = totals.get(metric.key, Total(0, ()))
        totals[metric.key] = Total(total + added, (*events, number))
    return totals


def _tellers(experiment: Experiment, history: History) -> list[str]:
    """Who told first that the goal was reached, where that is counted."""
    exposure = history.exposure
    assert exposure, "only who is exposed is counted"
    total, told_by = history.removed.totals.get(experiment.goal.key, 0), []
    for _, outcome, metric, added in _additions(experiment, history):
        if is_watched(metric):
            if added and not total:
                told_by.append(teller(trusted=outcome.trusted, exposed_ms=exposure.at_ms, at_ms=outcome.at_ms))
            total += added
    return told_by


def _additions(experiment: Experiment, history: History) -> Iterator[tuple[int, EventRow, Metric, int]]:
    """What each outcome, by its number, adds to each metric that it counts for."""
    exposure = history.exposure
    for number, outcome in history.outcomes if exposure else ():
        for metric in experiment.metrics_by_event.get(outcome.name, ()):
            if exposure and _counts(metric, history, exposure, outcome, number=number):
                yield number, outcome, metric, amount_of(metric, outcome.amounts or {}, currency=experiment.currency)


def cells_of(experiment: Experiment, visitors: Iterable[History], *, without: Iterable[History] = ()) -> Cells:
    """What the events of histories add to the cells, less those of others."""
    cells: Cells = defaultdict(lambda: (0, 0, 0.0))
    measures = Measures(experiment)
    for sign, histories in ((1, visitors), (-1, without)):
        for history in histories:
            for key, (more_n, more_total, more_squares) in _sums(experiment, measures, history):
                n, total, squares = cells[key]
                cells[key] = (n + sign * more_n, total + sign * more_total, squares + sign * more_squares)
    return cells


def _sums(
    experiment: Experiment, measures: Measures, history: History
) -> Iterator[tuple[CellKey, tuple[int, int, float]]]:
    """What a visitor's events add to each cell: visitors, sum and sum of squares, beyond what was removed."""
    exposure, removed = history.exposure, history.removed
    if exposure is None:
        return
    place = (experiment.key, exposure.epoch, day_of(exposure.at_ms), exposure.segment, exposure.arm, exposure.asserted)
    context = exposure.context or "" if experiment.is_contextual else ""
    totals = {metric: total for metric, (total, _) in totals_of(experiment, history).items()}
    for metric, value in measures.values(exposure.arm, totals | {EXPOSURES: exposure.n}):
        yield CellKey(*place, metric, context), (1, value, float(value * value))
    for metric in _tellers(experiment, history):
        yield CellKey(*place, metric, context), (1, 1, 1.0)
    if removed.n or any(removed.totals.values()):
        for metric, value in measures.values(exposure.arm, {**removed.totals, EXPOSURES: removed.n}):
            yield CellKey(*place, metric, context), (-1, -value, -float(value * value))


def _counts(metric: Metric, history: History, exposure: ExposureRow, outcome: EventRow, *, number: int) -> bool:
    heard = outcome.trusted or metric.source == "any"
    in_time = timing(metric, exposed_ms=exposure.at_ms, at_ms=outcome.at_ms) == "counts"
    return heard and in_time and not _waited_too_long(metric, history, outcome, number=number)


def _waited_too_long(metric: Metric, history: History, outcome: EventRow, *, number: int) -> bool:
    """Whether an outcome was stored before its exposure and waited for more than one window of the metric."""
    if history.removed.exposure:
        # What was stored before an exposure was removed with it.
        return False
    exposed_number, exposed = history.exposures[0]
    return number < exposed_number and outcome.received_ms + metric.window_seconds * 1000 <= exposed.received_ms
