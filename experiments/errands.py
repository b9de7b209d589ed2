"""Errands: what is done for a source or a sink, by one process at a time, again and later where it fails."""

from collections.abc import Callable

from experiments.plugins import told
from experiments.storage.errands import ErrandRow
from experiments.storage.session import Session
from experiments.storage.store import Store

#: Whoever was killed at an errand keeps others from it for so long.
LEASE_MS = 60_000

_FIRST_WAIT_MS = 1_000
_LONGEST_WAIT_MS = 600_000


def run_errand(
    store: Store,
    name: str,
    work: Callable[[ErrandRow], ErrandRow | None],
    *,
    now_ms: int,
    every_ms: int = 0,
    enter: Callable[[Session], None] = lambda session: None,
) -> ErrandRow | None:
    """Do an errand if it is due and nobody else is at it: how it went, None where there was nothing to do.

    `work` gives the errand as it is to be kept, None where there was nothing: it is due again after `every_ms` then.
    Whatever it raises is kept as the fault, and it is due again after a wait that doubles. `enter` is done when it is
    first begun.
    """
    if not store.read(lambda session: _is_due(session, name, now_ms=now_ms)):
        return None
    until_ms = now_ms + LEASE_MS
    found = store.transact(lambda session: _claim(session, name, enter, until_ms=until_ms, now_ms=now_ms))
    if found is None:
        return None
    try:
        done = work(found)
    except Exception as error:
        # It may be code of others: whatever it raises is a reason to come back later.
        done = _failed(found, told(error), now_ms=now_ms)
    fault = "" if found.failures else found.fault
    kept = done or found._replace(due_ms=now_ms + every_ms, failures=0, fault=fault)
    store.transact(lambda session: session.errands.keep(kept, until_ms=until_ms))
    return done


def _is_due(session: Session, name: str, *, now_ms: int) -> bool:
    found = session.errands.get(name)
    return found is None or found.due_ms <= now_ms


def _claim(
    session: Session, name: str, enter: Callable[[Session], None], *, until_ms: int, now_ms: int
) -> ErrandRow | None:
    if session.errands.begin(name, now_ms=now_ms):
        enter(session)
    return session.errands.claim(name, until_ms=until_ms, now_ms=now_ms)


def _failed(row: ErrandRow, fault: str, *, now_ms: int) -> ErrandRow:
    wait_ms = min(_FIRST_WAIT_MS << min(row.failures, 20), _LONGEST_WAIT_MS)
    return row._replace(due_ms=now_ms + wait_ms, failures=row.failures + 1, fault=fault)
