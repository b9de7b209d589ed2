"""Verify: recount the events, compute every epoch again from the ledger, and follow the chains of both logs."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from functools import partial
from functools import reduce
from itertools import chain
from itertools import islice
from typing import Any

import msgspec

from experiments.audit import audit_faults
from experiments.chains import chain_faults
from experiments.chains import is_whole
from experiments.history.cell_faults import cell_faults
from experiments.history.record import ExportedHistory
from experiments.lifecycle import find
from experiments.log.own_sums import own_cells
from experiments.log.own_sums import own_removed
from experiments.model import Experiment
from experiments.plugin_errors import PolicyRefused
from experiments.privacy.removals import know_removed
from experiments.publishing import recompute
from experiments.recount import Histories
from experiments.recount import History
from experiments.recount import Total
from experiments.recount import cells_of
from experiments.recount import histories
from experiments.recount import totals_of
from experiments.storage.cells import CellSums
from experiments.storage.cells import added
from experiments.storage.heads import AUDIT_LOG
from experiments.storage.heads import Head
from experiments.storage.heads import ledger_name
from experiments.storage.session import Session
from experiments.storage.store import Store

#: Of how many visitors of an experiment the difference is told, one by one.
MOST_VISITORS = 20


def verify(store: Store, shards: Sequence[Store] = ()) -> list[str]:
    """Every difference between what is counted and what was recorded; empty where all is well.

    Where visitors are in shards, what these count and have recorded is taken together.
    """
    return store.read(partial(_among, shards, ()))


def _among(shards: Sequence[Store], sessions: Sequence[Session], session: Session) -> list[str]:
    """The faults of all databases, once each of them is read in one state."""
    if not shards:
        return _faults((*sessions, session))
    return shards[0].read(partial(_among, shards[1:], (*sessions, session)))


def verify_histories(store: Store, histories: Iterable[ExportedHistory]) -> list[str]:
    """The same of what has been exported: cells against the events that there were, and the logs as they are now."""
    found = [
        fault
        for history in histories
        for fault in cell_faults(counted=history.counted(), expected=history.recounted(store))
    ]
    return store.read(partial(_with_logs, found))


def _faults(sessions: Sequence[Session]) -> list[str]:
    return _with_logs(_counter_faults(sessions), sessions[0])


def _with_logs(counter_faults: Iterable[str], session: Session) -> list[str]:
    # What a broken file says of its rows is worth nothing.
    if broken := [f"the file: {fault}" for fault in session.faults()]:
        return broken
    heads = {head.chain: head for head in session.heads.all()}
    return [
        *_ledger_faults(session, heads),
        *audit_faults(session, head=heads.get(AUDIT_LOG)),
        *counter_faults,
    ]


def _ledger_faults(session: Session, heads: Mapping[str, Head]) -> Iterator[str]:
    known = {ledger_name(row.key): row.key for row in session.experiments.all()}
    for name, key in known.items():
        yield from chain_faults(session.ledger.rows(key), name=name, head=heads.get(name))
        experiment = find(session, key).experiment
        for entry in session.ledger.rows(key):
            if is_whole(entry) and (fault := _fault(experiment, msgspec.json.decode(entry.body))):
                yield f"{name}, row {entry.number}: {fault}"
    for name in sorted(heads.keys() - known.keys() - {AUDIT_LOG}):
        yield f"{name}: the experiment is gone"


def _fault(experiment: Experiment, body: dict[str, Any]) -> str | None:
    try:
        return None if _follows(experiment, body) else "its inputs do not give its weights"
    except PolicyRefused as refusal:
        return f"its weights cannot be computed again: {refusal}"


def _follows(experiment: Experiment, body: dict[str, Any]) -> bool:
    found = recompute(experiment, body)
    # The order of arms counts too: it is the order of the draw.
    contexts = {segment: _written(of_segment) for segment, of_segment in found.contexts.items()}
    return bool(_written(found.weights) == body["weights"] and contexts == body.get("contexts", {}))


def _written(weights: Mapping[str, Mapping[str, int]]) -> dict[str, list[list[Any]]]:
    return {name: list(map(list, arms.items())) for name, arms in weights.items()}


def recounted(sessions: Sequence[Session], numbers: list[int]) -> Iterator[tuple[Experiment, Histories]]:
    """What the events of some databases say of each experiment of the first one; the numbers of events are noted."""
    session = sessions[0]
    visitors = histories(chain.from_iterable(_numbered(each, numbers) for each in sessions))
    for row in session.experiments.all():
        experiment, known = find(session, row.key).experiment, visitors[row.key]
        for each in sessions:
            know_removed(each, row.key, known)
        yield experiment, known


def _counter_faults(sessions: Sequence[Session]) -> Iterator[str]:
    session, numbers = sessions[0], list[int]()
    is_sound = True
    for experiment, known in recounted(sessions, numbers):
        for fault in (*_cell_faults(sessions, experiment, known), *_visitor_faults(sessions, experiment, known)):
            is_sound = False
            yield fault
    if not is_sound and session.events.are_all_numbered():
        yield from _gaps(numbers)


def _numbered(session: Session, numbers: list[int]) -> Iterator[tuple[int, Any]]:
    for number, event in session.events.in_order():
        numbers.append(number)
        yield number, event


def _cell_faults(sessions: Sequence[Session], experiment: Experiment, visitors: Histories) -> Iterator[str]:
    expected = expected_cells(sessions, experiment, visitors)
    yield from cell_faults(counted=_counted(sessions, experiment.key), expected=expected)


def expected_cells(sessions: Sequence[Session], experiment: Experiment, visitors: Histories) -> CellSums:
    """The cells that events give, and what was in them of events that were removed."""
    return added(cells_of(experiment, visitors.values()), _removed(sessions, experiment.key))


def _counted(sessions: Sequence[Session], experiment: str) -> CellSums:
    """The cells of all databases, those that were collected from another one not twice."""
    return reduce(added, [own_cells(session, experiment) for session in sessions])


def _removed(sessions: Sequence[Session], experiment: str) -> CellSums:
    """What is no longer in the events of all databases."""
    return reduce(added, [own_removed(session, experiment) for session in sessions])


def _visitor_faults(sessions: Sequence[Session], experiment: Experiment, visitors: Histories) -> Iterator[str]:
    """The rows of visitors that differ, and the events that say so; of the first visitors only."""
    faults = _all_visitor_faults(sessions, experiment, visitors)
    yield from islice(faults, MOST_VISITORS)
    if more := sum(1 for _ in faults):
        yield f"{experiment.key}: {more} more rows of visitors differ"


def _all_visitor_faults(sessions: Sequence[Session], experiment: Experiment, visitors: Histories) -> Iterator[str]:
    kept = dict(chain.from_iterable(session.exposures.all(experiment.key) for session in sessions))
    totals: dict[bytes, dict[str, int]] = {}
    for session in sessions:
        for (visitor, metric), total in session.totals.all(experiment.key).items():
            totals.setdefault(visitor, {})[metric] = total
    for visitor in sorted(kept.keys() | totals.keys() | visitors.keys()):
        history = visitors.get(visitor) or History()
        name = f"visitor {visitor.hex()[:12]} in {experiment.key}"
        if kept.get(visitor) != history.exposure:
            events = _events(tuple(number for number, _ in history.exposures))
            yield f"{name}: {kept.get(visitor)} is kept, {events} give {history.exposure}"
        expected = totals_of(experiment, history) if history.exposure else {}
        yield from _total_faults(name, totals.get(visitor, {}), expected)


def _total_faults(name: str, kept: Mapping[str, int], expected: Mapping[str, Total]) -> Iterator[str]:
    for metric in sorted(kept.keys() | expected.keys()):
        should, events = expected.get(metric, Total(0, ()))
        if kept.get(metric, 0) != should:
            yield f"{name}, {metric}: {kept.get(metric, 0)} is kept, {_events(events)} give {should}"


def _events(numbers: tuple[int, ...]) -> str:
    return f"events {', '.join(map(str, numbers))}" if numbers else "no events"


def _gaps(numbers: list[int]) -> Iterator[str]:
    """The events that were stored and are gone, where numbers are given without a gap."""
    for before, after in zip([0, *numbers], numbers, strict=False):
        if after > before + 1:
            yield f"events: numbers {before + 1} to {after - 1} are missing"
