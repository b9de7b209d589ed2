"""Verify: recount the events, compute every epoch again from the ledger, and follow the chains of both logs."""

from collections import defaultdict
from collections.abc import Iterator
from math import isclose
from typing import Any

import msgspec

from experiments.audit import audit_faults
from experiments.chains import chain_faults
from experiments.chains import is_whole
from experiments.counting import EXPOSURES
from experiments.counting import Measures
from experiments.counting import amount_of
from experiments.counting import is_watched
from experiments.counting import teller
from experiments.counting import timing
from experiments.lifecycle import find
from experiments.model import Experiment
from experiments.model import Metric
from experiments.publishing import recompute
from experiments.storage.cells import CellKey
from experiments.storage.events import EventRow
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.times import day_of

Cells = dict[CellKey, tuple[int, int, float]]


class _Visitor:
    """All that a visitor did as far as one experiment is concerned, in the order of storing."""

    def __init__(self) -> None:
        self.exposures: list[tuple[int, EventRow]] = []
        self.outcomes: list[tuple[int, EventRow]] = []


def verify(store: Store) -> list[str]:
    """Every difference between what is counted and what was recorded; empty where all is well."""
    return store.read(lambda session: [*_ledger_faults(session), *audit_faults(session), *_counter_faults(session)])


def _ledger_faults(session: Session) -> Iterator[str]:
    for row in session.experiments.all():
        name = f"ledger of {row.key}"
        yield from chain_faults(session.ledger.rows(row.key), name=name)
        experiment = find(session, row.key).experiment
        for entry in session.ledger.rows(row.key):
            if is_whole(entry) and not _follows(experiment, msgspec.json.decode(entry.body)):
                yield f"{name}, row {entry.number}: its inputs do not give its weights"


def _follows(experiment: Experiment, body: dict[str, Any]) -> bool:
    weights = {segment: list(map(list, arms.items())) for segment, arms in recompute(experiment, body).items()}
    return bool(weights == body["weights"])


def _counter_faults(session: Session) -> Iterator[str]:
    visitors = _visitors(session)
    for row in session.experiments.all():
        experiment = find(session, row.key).experiment
        expected = _recount(experiment, visitors.get(row.key, {}))
        counted = {cell.key: (cell.n, cell.total, cell.total_squares) for cell in session.cells.of(row.key)}
        for key in sorted(expected.keys() | counted.keys()):
            should, does = expected.get(key, (0, 0, 0.0)), counted.get(key, (0, 0, 0.0))
            if should[:2] != does[:2] or not isclose(should[2], does[2], rel_tol=1e-9, abs_tol=1e-6):
                yield f"cell {tuple(key)}: counted {does}, the events give {should}"


def _visitors(session: Session) -> dict[str, dict[bytes, _Visitor]]:
    visitors: dict[str, dict[bytes, _Visitor]] = defaultdict(lambda: defaultdict(_Visitor))
    for order, event in enumerate(session.events.in_order()):
        for key in event.experiments:
            visitor = visitors[key][event.visitor]
            (visitor.exposures if event.kind == "exposure" else visitor.outcomes).append((order, event))
    return visitors


def _recount(experiment: Experiment, visitors: dict[bytes, _Visitor]) -> Cells:
    cells: Cells = defaultdict(lambda: (0, 0, 0.0))
    measures = Measures(experiment)
    for visitor in visitors.values():
        if visitor.exposures:
            _, first = visitor.exposures[0]
            assert first.arm and first.segment and first.epoch is not None
            totals, told_by = _reached(experiment, visitor)
            for metric, value in (*measures.values(first.arm, totals), *((teller, 1) for teller in told_by)):
                key = CellKey(
                    experiment.key, first.epoch, day_of(first.at_ms), first.segment, first.arm,
                    bool(first.asserted), metric,
                )
                n, total, squares = cells[key]
                cells[key] = (n + 1, total + value, squares + float(value * value))
    return cells


def _reached(experiment: Experiment, visitor: _Visitor) -> tuple[dict[str, int], list[str]]:
    """A visitor's totals, and who told first that the goal was reached, where that is counted."""
    _, first = visitor.exposures[0]
    totals, told_by = {EXPOSURES: len(visitor.exposures)}, []
    for metric, outcome, added in _additions(experiment, visitor):
        if is_watched(metric) and added and not totals.get(metric.key):
            told_by.append(teller(trusted=outcome.trusted, exposed_ms=first.at_ms, at_ms=outcome.at_ms))
        totals[metric.key] = totals.get(metric.key, 0) + added
    return totals, told_by


def _additions(experiment: Experiment, visitor: _Visitor) -> Iterator[tuple[Metric, EventRow, int]]:
    """What each outcome adds to each metric that it counts for."""
    for order, outcome in visitor.outcomes:
        for metric in experiment.metrics_by_event.get(outcome.name, ()):
            if _counts(metric, visitor.exposures[0], outcome, order=order):
                yield metric, outcome, amount_of(metric, outcome.amounts or {}, currency=experiment.currency)


def _counts(metric: Metric, exposure: tuple[int, EventRow], outcome: EventRow, *, order: int) -> bool:
    exposed_order, exposed = exposure
    heard = outcome.trusted or metric.source == "any"
    # An outcome stored before its exposure waits for one window of the metric.
    waited_too_long = (
        order < exposed_order and outcome.received_ms + metric.window_seconds * 1000 <= exposed.received_ms
    )
    in_time = timing(metric, exposed_ms=exposed.at_ms, at_ms=outcome.at_ms) == "counts"
    return heard and in_time and not waited_too_long
