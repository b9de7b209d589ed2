"""Reallocate: cells to posteriors, posteriors to weights, weights to the next row of the ledger.

Before weights move it is asked whether they may: where the service must be cautious, that is the next row instead.
"""

from typing import NamedTuple

from experiments.audit import Change
from experiments.audit import Deed
from experiments.audit import configure
from experiments.audit import log
from experiments.cautions import Caution
from experiments.cautions import caution
from experiments.cautions import metrics_watched
from experiments.errors import InvalidTransition
from experiments.errors import PartialData
from experiments.failpoints import Failpoint
from experiments.failpoints import reached
from experiments.lifecycle import find
from experiments.lifecycle import is_frozen
from experiments.model import Experiment
from experiments.model import StoredExperiment
from experiments.proposals import Past
from experiments.proposals import Proposal
from experiments.proposals import propose
from experiments.publishing import publish
from experiments.publishing import publish_act
from experiments.publishing import read_past
from experiments.readings import Readings
from experiments.storage.ledger import LedgerRow
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.times import iso

_JOB = "reallocate"
_SCHEDULER = "scheduler"
_SERVICE = "service"


class _Prepared(NamedTuple):
    """What is to be done next, and the experiment and its ledger as they were when that was computed."""

    stored: StoredExperiment
    last: LedgerRow | None
    step: Caution | Proposal


def reallocate(store: Store, key: str, *, deed: Deed) -> LedgerRow:
    """Reallocate an experiment now, because somebody asks for it; the scheduler's own slots stay as they are.

    :raises UnknownExperiment: if there is none.
    :raises InvalidTransition: if it is not running, or frozen.
    """
    prepared = _prepare(store, key, now_ms=deed.now_ms)

    def work(session: Session) -> Change[LedgerRow]:
        row = _publish(session, prepared, slot=None, deed=deed._replace(reason=deed.reason or "asked for"))
        return Change(row, "reallocate", key, {"epoch": row.epoch, "kind": row.kind})

    return configure(store, work, deed=deed)


def reallocate_slot(store: Store, key: str, slot: int, *, deed: Deed) -> LedgerRow | None:
    """Do a slot of the scheduler's, for which the ledger is log enough; None where somebody else has done it.

    :raises InvalidTransition: if the experiment is not running, or frozen.
    """
    prepared = _prepare(store, key, now_ms=deed.now_ms)

    def work(session: Session) -> LedgerRow | None:
        if not session.slots.claim(_JOB, key, slot, now_ms=deed.now_ms):
            return None
        reached(Failpoint.SLOT_CLAIMED)
        session.meta.bump_config_version(now_ms=deed.now_ms)
        reached(Failpoint.VERSION_BUMPED)
        return _publish(session, prepared, slot=slot, deed=deed._replace(reason="scheduled"))

    row = store.transact(work)
    reached(Failpoint.SLOT_COMMITTED)
    return row


def _prepare(store: Store, key: str, *, now_ms: int) -> _Prepared:
    """What is slow, reading and computing; it holds no lock."""
    past, watched = store.read(lambda session: _read(session, _running(session, key), now_ms=now_ms))
    prepared = _Prepared(watched.stored, past.last, _step(past, watched))
    reached(Failpoint.ALLOCATION_PROPOSED)
    return prepared


def _read(session: Session, stored: StoredExperiment, *, now_ms: int) -> tuple[Past, Readings]:
    past = read_past(session, stored.experiment, now_ms=now_ms, watched=metrics_watched(stored.experiment))
    watermark_ms = session.watermarks.oldest_ms()
    readings = Readings(
        stored, past.columns, past.allocations, {}, 0, 0, now_ms, restraints=past.restraints, watermark_ms=watermark_ms
    )
    if not readings.is_complete:
        raise PartialData(f"watermark: what came since {iso(watermark_ms or 0)} is not all counted; weights stay")
    return past, readings


def _step(past: Past, watched: Readings) -> Caution | Proposal:
    """What caution asks for, which comes first, or what the policy wants."""
    return caution(watched) or propose(past)


def _publish(session: Session, prepared: _Prepared, *, slot: int | None, deed: Deed) -> LedgerRow:
    """The next row of the ledger; where a row or a document came in between, it is computed again."""
    stored, last, step = prepared
    key = stored.experiment.key
    current = _running(session, key, known=stored)
    if current.document != stored.document or session.ledger.last(key) != last:
        step = _step(*_read(session, current, now_ms=deed.now_ms))
    if isinstance(step, Caution):
        return _take_care(session, current.experiment, step, now_ms=deed.now_ms)
    return publish(session, step, act="reallocate", slot=slot, deed=deed)


def _take_care(session: Session, experiment: Experiment, step: Caution, *, now_ms: int) -> LedgerRow:
    """Do what caution asks for, in both logs: nobody else has decided it."""
    deed = Deed(_SERVICE, now_ms, step.reason)
    row = publish_act(session, experiment, step.act, deed=deed, news=step.news)
    log(session, Change(row, f"experiment {step.act}", experiment.key, {"epoch": row.epoch}), deed=deed)
    return row


def _running(session: Session, key: str, *, known: StoredExperiment | None = None) -> StoredExperiment:
    stored = find(session, key, known=known)
    if stored.state != "running":
        raise InvalidTransition(f"experiment {key!r} is {stored.state}: only a running one is reallocated")
    if is_frozen(session, key):
        raise InvalidTransition(f"experiment {key!r} is frozen: its weights move once it is unfrozen")
    return stored


def reallocate_due(store: Store, *, now_ms: int) -> list[LedgerRow]:
    """Do every experiment's slot that has come and nobody has done; of slots that were missed only the last.

    Any number of schedulers may call this at once: each slot is done by whoever claims it.
    """
    rows: list[LedgerRow] = []
    faults: list[Exception] = []
    for key, slot in store.read(lambda session: _due(session, now_ms=now_ms)):
        try:
            row = reallocate_slot(store, key, slot, deed=Deed(_SCHEDULER, now_ms))
        except InvalidTransition:
            continue  # It was paused, stopped or frozen a moment ago.
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
            if slot > (session.slots.last(_JOB, row.key) or 0) and not is_frozen(session, row.key):
                due.append((row.key, slot))
    return due


def _slot(stored: StoredExperiment, *, now_ms: int) -> int:
    """Slots are counted from the start: the first comes one period after it."""
    assert stored.started_ms is not None, "a running experiment was started"
    return (now_ms - stored.started_ms) // (stored.experiment.policy.every_seconds * 1000)
