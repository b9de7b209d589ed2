"""Reallocate: cells to posteriors, posteriors to weights, weights to the next row of the ledger."""

from experiments.errors import InvalidTransition
from experiments.lifecycle import find
from experiments.model import StoredExperiment
from experiments.publishing import Past
from experiments.publishing import propose
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

    What is slow, reading and computing, holds no lock; where a row or a document came in between, it is done again.

    :raises UnknownExperiment: if there is none.
    :raises InvalidTransition: if it is not running.
    """

    stored, past = store.read(lambda session: _past(session, key, now_ms=now_ms))
    proposal = propose(past)

    def work(session: Session) -> LedgerRow | None:
        current = _running(session, key, known=stored)
        if slot is not None and not session.slots.claim(_JOB, key, slot, now_ms=now_ms):
            return None
        is_current = current.document == stored.document and session.ledger.last(key) == past.last
        row = publish(
            session,
            proposal if is_current else propose(read_past(session, current.experiment, now_ms=now_ms)),
            reason=reason,
            actor=actor,
            slot=slot,
            now_ms=now_ms,
        )
        session.meta.bump_config_version(now_ms=now_ms)
        return row

    return store.transact(work)


def _past(session: Session, key: str, *, now_ms: int) -> tuple[StoredExperiment, Past]:
    stored = _running(session, key)
    return stored, read_past(session, stored.experiment, now_ms=now_ms)


def _running(session: Session, key: str, *, known: StoredExperiment | None = None) -> StoredExperiment:
    stored = find(session, key, known=known)
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
