"""The life of an experiment: written, started, paused, resumed, stopped, archived."""

from collections.abc import Mapping
from typing import Any
from typing import Literal

from experiments.amendments import changes_while_started
from experiments.audit import Change
from experiments.audit import Deed
from experiments.audit import configure
from experiments.decision_impact import overriding
from experiments.document import Standing
from experiments.document import editable
from experiments.document import parse_document_to_save
from experiments.errors import ExperimentExists
from experiments.errors import FrozenDocument
from experiments.errors import InvalidTransition
from experiments.errors import UnknownExperiment
from experiments.errors import shown
from experiments.model import Experiment
from experiments.model import State
from experiments.model import StoredExperiment
from experiments.policy_kinds import kind_fault
from experiments.publishing import publish_act
from experiments.publishing import publish_changed
from experiments.publishing import publish_first
from experiments.restraints import Restraints
from experiments.restraints import restraints_of
from experiments.snapshot import stored_experiment
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.times import iso

Act = Literal["start", "pause", "resume", "stop", "archive"]

#: By act, the states from which it leads, and the one that it leads to.
STEPS: dict[Act, tuple[tuple[State, ...], State]] = {
    "start": (("draft",), "running"),
    "pause": (("running",), "paused"),
    "resume": (("paused",), "running"),
    "stop": (("running", "paused"), "stopped"),
    "archive": (("stopped",), "archived"),
}


def create(store: Store, document: object, *, deed: Deed) -> StoredExperiment:
    """Keep a new draft.

    :raises InvalidDocument: if it cannot work.
    :raises ExperimentExists: if its key is taken.
    """
    experiment = parse_document_to_save(document)

    def work(session: Session) -> Change[StoredExperiment]:
        if not session.experiments.insert(experiment.key, _written(document), now_ms=deed.now_ms):
            raise ExperimentExists(f"experiment {experiment.key!r} exists already: replace it")
        return Change(find(session, experiment.key), "experiment create", experiment.key, _overridden(experiment))

    return configure(store, work, deed=deed)


def replace(store: Store, key: str, document: object, *, deed: Deed) -> StoredExperiment:
    """Replace a document: freely while it is a draft, within limits once started.

    :raises FrozenDocument: if the experiment's state does not allow the change.
    """
    return configure(store, lambda session: _replace(session, key, document, deed=deed), deed=deed)


def apply_document(store: Store, document: object, *, deed: Deed) -> StoredExperiment:
    """Create the experiment of a document, or replace the one that has its key."""
    key = parse_document_to_save(document).key
    exists = store.read(lambda session: session.experiments.get(key) is not None)
    return replace(store, key, document, deed=deed) if exists else create(store, document, deed=deed)


def _replace(session: Session, key: str, document: object, *, deed: Deed) -> Change[StoredExperiment]:
    old = find(session, key)
    new = parse_document_to_save(document)
    if new.key != key:
        raise FrozenDocument(f"key: {shown(new.key)} must stay {key!r}")
    if old.state in ("stopped", "archived"):
        raise FrozenDocument(f"experiment {key!r} is {old.state}: its document no longer changes")
    is_started = old.state in ("running", "paused")
    if is_started and (problems := changes_while_started(old.experiment, new)):
        raise FrozenDocument("; ".join(str(problem) for problem in problems), problems)
    if is_started and new.arm_by_key.keys() != old.experiment.arm_by_key.keys() and is_frozen(session, key):
        raise FrozenDocument(f"experiment {key!r} is frozen: arms may be added once it is unfrozen")
    session.experiments.replace_document(key, _written(document))
    if is_started:
        publish_changed(session, new, deed=deed)
    stored = find(session, key)
    details = {"changed": _changed(old.document, stored.document), **_overridden(new)}
    return Change(stored, "experiment replace", key, details)


def _overridden(experiment: Experiment) -> dict[str, str]:
    """Why a policy may decide what affects people legally or as much, for the audit log."""
    override = overriding(experiment)
    return {"decision_override": override} if override else {}


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return sorted(field for field in old.keys() | new.keys() if old.get(field) != new.get(field))


def _written(document: object) -> dict[str, Any]:
    assert isinstance(document, dict), "a parsed document is an object"
    return editable(document)


def act(store: Store, key: str, name: Act, *, deed: Deed) -> StoredExperiment:
    """Take an experiment from one state to the next.

    :raises UnknownExperiment: if there is none.
    :raises InvalidTransition: if its state does not allow it.
    """
    return configure(store, lambda session: _act(session, key, name, deed=deed), deed=deed)


def _act(session: Session, key: str, name: Act, *, deed: Deed) -> Change[StoredExperiment]:
    stored = find(session, key)
    allowed, new = STEPS[name]
    if stored.state not in allowed:
        raise InvalidTransition(f"experiment {key!r} is {stored.state}: {name} needs {' or '.join(allowed)}")
    if new == "running" and (fault := kind_fault(stored.experiment.policy.kind)):
        raise InvalidTransition(f"experiment {key!r}: policy.kind {stored.experiment.policy.kind!r} {fault}")
    session.experiments.change_state(key, old=stored.state, new=new)
    if name == "start":
        session.experiments.mark_started(key, now_ms=deed.now_ms)
        publish_first(session, stored.experiment, deed=deed)
    else:
        publish_act(session, stored.experiment, name, deed=deed)
    if name == "stop":
        session.experiments.mark_stopped(key, now_ms=deed.now_ms)
    return Change(find(session, key), f"experiment {name}", key, {"from": stored.state, "to": new})


def find(session: Session, key: str, *, known: StoredExperiment | None = None) -> StoredExperiment:
    """An experiment as stored; what is `known` of it is not parsed again.

    :raises UnknownExperiment: if there is none.
    """
    row = session.experiments.get(key)
    if row is None:
        raise UnknownExperiment(key)
    return stored_experiment(row, known)


def restraints(session: Session, key: str) -> Restraints:
    """What keeps the policy from moving the experiment's weights freely."""
    return restraints_of(session.ledger.last(key))


def is_frozen(session: Session, key: str) -> bool:
    """Whether somebody holds the experiment's weights."""
    return restraints(session, key).is_frozen


def experiment_json(session: Session, stored: StoredExperiment) -> dict[str, Any]:
    """The document with what the service knows of it; what comes back so may be sent back so."""
    newest = session.ledger.newest_epoch(stored.experiment.key)
    restrained = restraints(session, stored.experiment.key)
    standing: Standing = {
        "state": stored.state,
        "epoch": newest.epoch if newest else None,
        "frozen": restrained.is_frozen,
        "barred": sorted(restrained.barred),
        "created_at": iso(stored.created_ms),
        "started_at": None if stored.started_ms is None else iso(stored.started_ms),
        "stopped_at": None if stored.stopped_ms is None else iso(stored.stopped_ms),
    }
    return {**stored.document, **standing}
