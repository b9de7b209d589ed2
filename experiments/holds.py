"""Holds: weights that people keep where they are, or on the winners, and let go again, whoever held them."""

from typing import Literal
from typing import NamedTuple

import msgspec

from experiments.audit import Change
from experiments.audit import Deed
from experiments.audit import configure
from experiments.beliefs import Beliefs
from experiments.cautions import evidence
from experiments.errors import InvalidTransition
from experiments.errors import VerdictChanged
from experiments.estimates import columns_by_metric
from experiments.estimates import corrected
from experiments.final_allocation import Finals
from experiments.final_allocation import final_arms
from experiments.lifecycle import find
from experiments.lifecycle import is_frozen
from experiments.lifecycle import restraints
from experiments.model import State
from experiments.model import StoredExperiment
from experiments.proposals import propose
from experiments.publishing import publish
from experiments.publishing import publish_act
from experiments.publishing import read_past
from experiments.readings import Readings
from experiments.readings import read
from experiments.storage.ledger import LedgerRow
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.verdicts import verdict

Hold = Literal["freeze", "unfreeze", "finish", "unbar"]

#: The states in which weights can be held and let go.
HOLDING: tuple[State, ...] = ("running", "paused")


class Prepared(NamedTuple):
    """The final arms, and the experiment as it was when they were worked out."""

    stored: StoredExperiment
    finals: Finals


def freeze(store: Store, key: str, *, deed: Deed) -> StoredExperiment:
    """Keep the weights where they are until somebody unfreezes them.

    :raises UnknownExperiment: if there is none.
    :raises InvalidTransition: if its state does not allow it, or it is frozen.
    """

    def work(session: Session) -> Change[StoredExperiment]:
        stored = _holding(session, key, "freeze", is_held=False)
        publish_act(session, stored.experiment, "freeze", deed=deed)
        return Change(stored, "experiment freeze", key)

    return configure(store, work, deed=deed)


def unfreeze(store: Store, key: str, *, deed: Deed) -> StoredExperiment:
    """Let the policy move weights again, from those before they were held; what spoke against it is excused.

    :raises InvalidTransition: if its state does not allow it, or it is not frozen.
    """

    def work(session: Session) -> Change[StoredExperiment]:
        stored = _holding(session, key, "unfreeze", is_held=True)
        news = {"excused": evidence(read(session, key, now_ms=deed.now_ms))}
        row = publish_act(session, stored.experiment, "unfreeze", deed=deed, news=news)
        return Change(stored, "experiment unfreeze", key, {"epoch": row.epoch})

    return configure(store, work, deed=deed)


def unbar(store: Store, key: str, *, deed: Deed) -> StoredExperiment:
    """Let the policy give traffic to barred arms again, step by step; what spoke against them is excused.

    :raises InvalidTransition: if its state does not allow it, or no arm is barred.
    """

    def work(session: Session) -> Change[StoredExperiment]:
        stored = _holding(session, key, "unbar")
        barred = sorted(restraints(session, key).barred)
        if not barred:
            raise InvalidTransition(f"experiment {key!r} has no arm that is barred")
        row = _readmit(session, stored, deed=deed)
        return Change(stored, "experiment unbar", key, {"epoch": row.epoch, "arms": barred})

    return configure(store, work, deed=deed)


def _readmit(session: Session, stored: StoredExperiment, *, deed: Deed) -> LedgerRow:
    """The row from which on no arm is barred; held weights stay."""
    experiment, now_ms = stored.experiment, deed.now_ms
    news = {"barred": {}, "excused": evidence(read(session, experiment.key, now_ms=now_ms))}
    past = read_past(session, experiment, now_ms=now_ms)
    if past.restraints.is_frozen:
        return publish_act(session, experiment, "unbar", deed=deed, news=news)
    free = past._replace(restraints=msgspec.structs.replace(past.restraints, **news))
    reasoned = deed._replace(reason=deed.reason or "asked for")
    return publish(session, propose(free), act="unbar", slot=None, deed=reasoned)


def finish(store: Store, key: str, *, deed: Deed, confirmed: Finals | None = None) -> StoredExperiment:
    """Give everybody of each segment its called arm, and keep it so until somebody unfreezes it.

    :raises InvalidTransition: if its state does not allow it.
    :raises VerdictChanged: if that is no longer what was `confirmed`.
    """
    prepared = store.read(lambda session: _prepare(session, key, now_ms=deed.now_ms))
    if confirmed is not None and prepared.finals != confirmed:
        raise VerdictChanged(f"experiment {key!r}: the verdict has changed since it was shown; look at it again")

    def work(session: Session) -> Change[StoredExperiment]:
        stored = _holding(session, key, "finish")
        unchanged = stored.document == prepared.stored.document
        finals = (prepared if unchanged else _prepare(session, key, now_ms=deed.now_ms)).finals
        row = publish_act(session, stored.experiment, "finish", deed=deed, finals=finals)
        arms = {segment: final["arm"] for segment, final in finals.items()}
        return Change(stored, "experiment finish", key, {"epoch": row.epoch, "arms": arms})

    return configure(store, work, deed=deed)


def finals_of(store: Store, key: str, *, now_ms: int) -> Prepared:
    """What everybody would get if the experiment were finished now.

    :raises InvalidTransition: if its state does not allow it.
    """
    return store.read(lambda session: _prepare(session, key, now_ms=now_ms))


def _prepare(session: Session, key: str, *, now_ms: int) -> Prepared:
    stored = _holding(session, key, "finish")
    readings = read(session, key, now_ms=now_ms)
    return Prepared(stored, _finals(readings))


def _finals(readings: Readings) -> Finals:
    columns = columns_by_metric(readings)
    book = corrected(readings, columns)
    # What is hidden in reports is no secret from the allocation.
    found = verdict(readings, book, columns, beliefs=Beliefs(readings.experiment, book), min_cell=0)
    return final_arms(readings.experiment, found["segments"])


def _holding(session: Session, key: str, name: Hold, *, is_held: bool | None = None) -> StoredExperiment:
    stored = find(session, key)
    if stored.state not in HOLDING:
        raise InvalidTransition(f"experiment {key!r} is {stored.state}: {name} needs {' or '.join(HOLDING)}")
    if is_held is not None and is_frozen(session, key) != is_held:
        raise InvalidTransition(f"experiment {key!r} is {'not frozen' if is_held else 'frozen already'}")
    return stored
