"""Reallocate: cells to posteriors, posteriors to weights, weights to the next row of the ledger."""

from experiments.errors import InvalidTransition
from experiments.lifecycle import find
from experiments.model import StoredExperiment
from experiments.publishing import publish
from experiments.publishing import read_past
from experiments.storage.ledger import LedgerRow
from experiments.storage.session import Session
from experiments.storage.store import Store

_JOB = "reallocate"


def reallocate(
    store: Store, key: str, *, now_ms: int, actor: str, reason: str = "asked for", slot: int | None = None
) -> LedgerRow | None:
    """Reallocate an experiment now; None where somebody else has done the slot.

    What is slow, reading and computing, holds no lock; a row that came in between is simply built upon.

    :raises UnknownExperiment: if there is none.
    :raises InvalidTransition: if it is not running.
    """

    def past(session: Session) -> tuple[StoredExperiment, object]:
        stored = _running(session, key)
        return stored, read_past(session, stored.experiment, now_ms=now_ms)

    stored, inputs = store.read(past)

    def work(session: Session) -> LedgerRow | None:
        current = _running(session, key)
        if slot is not None and not session.slots.claim(_JOB, key, slot, now_ms=now_ms):
            return None
        unchanged = current.document == stored.document
        seen = inputs if unchanged else read_past(session, current.experiment, now_ms=now_ms)
        row = publish(
            session, current.experiment, seen, reason=reason, actor=actor, slot=slot, now_ms=now_ms  # type: ignore
        )
        session.meta.bump_config_version()
        return row

    return store.transact(work)


def _running(session: Session, key: str) -> StoredExperiment:
    stored = find(session, key)
    if stored.state != "running":
        raise InvalidTransition(f"experiment {key!r} is {stored.state}: only a running one is reallocated")
    return stored


def reallocate_due(store: Store, *, now_ms: int) -> list[LedgerRow]:
    """Do every experiment's slot that has come and nobody has done; of slots that were missed only the last.

    Any number of schedulers may call this at once: each slot is done by whoever claims it.
    """
    rows: list[LedgerRow] = []
    faults: list[Exception] = []
    for key, slot in store.read(lambda session: _due(session, now_ms=now_ms)):
        try:
            row = reallocate(store, key, now_ms=now_ms, actor="scheduler", reason="scheduled", slot=slot)
        except InvalidTransition:
            continue  # It was paused or stopped a moment ago.
        except Exception as fault:
            # One experiment's trouble must not keep the others from their slots.
            faults.append(fault)
        else:
            rows.extend([row] if row else [])
    if faults:
        raise ExceptionGroup("some experiments were not reallocated", faults)
    return rows


def _due(session: Session, *, now_ms: int) -> list[tuple[str, int]]:
    due = []
    for row in session.experiments.all():
        if row.state == "running":
            stored = find(session, row.key)
            slot = _slot(stored, now_ms=now_ms)
            if slot > (session.slots.last(_JOB, row.key) or 0):
                due.append((row.key, slot))
    return due


def _slot(stored: StoredExperiment, *, now_ms: int) -> int:
    """Slots are counted from the start: the first comes one period after it."""
    assert stored.started_ms is not None, "a running experiment was started"
    return (now_ms - stored.started_ms) // (stored.experiment.policy.every_seconds * 1000)
