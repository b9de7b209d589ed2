"""Experiments over HTTP: written, read, taken through their states, reallocated, reported."""

from typing import Any
from typing import get_args

from flask import Blueprint
from flask import Response
from flask import url_for

from experiments.audit import Deed
from experiments.ledger import ledger_json
from experiments.ledger import ledger_of
from experiments.lifecycle import Act
from experiments.lifecycle import act
from experiments.lifecycle import create
from experiments.lifecycle import experiment_json
from experiments.lifecycle import find
from experiments.lifecycle import replace
from experiments.model import StoredExperiment
from experiments.reallocation import reallocate
from experiments.reports import build_report
from experiments.snapshot import stored_experiment
from experiments.storage.session import Session
from service.answers import json_answer
from service.auth import requires
from service.bodies import read_object
from service.current import current_installation
from service.current import current_key

bp = Blueprint("admin", __name__, url_prefix="/v1/experiments")


@bp.get("")
@requires("report")
def list_experiments() -> Response:
    """Every experiment."""

    def all_of_them(session: Session) -> list[dict[str, Any]]:
        return [experiment_json(session, stored_experiment(row)) for row in session.experiments.all()]

    return json_answer({"experiments": current_installation().store.read(all_of_them)})


@bp.post("")
@requires("admin")
def create_experiment() -> Response:
    """Keep a new draft."""
    stored = create(current_installation().store, read_object(), deed=_deed())
    response = _written(stored, status=201)
    response.location = url_for("admin.read_experiment", key=stored.experiment.key)
    return response


@bp.get("/<key>")
@requires("report")
def read_experiment(key: str) -> Response:
    """One experiment."""
    store = current_installation().store
    return json_answer(store.read(lambda session: experiment_json(session, find(session, key))))


@bp.put("/<key>")
@requires("admin")
def replace_experiment(key: str) -> Response:
    """Replace the document of an experiment."""
    return _written(replace(current_installation().store, key, read_object(), deed=_deed()))


@bp.post(f"/<key>/<any({', '.join(get_args(Act))}):name>")
@requires("admin")
def change_state(key: str, name: Act) -> Response:
    """Take an experiment to its next state."""
    return _written(act(current_installation().store, key, name, deed=_deed()))


@bp.post("/<key>/reallocate")
@requires("admin")
def reallocate_experiment(key: str) -> Response:
    """Reallocate now, by the same code as the scheduler."""
    installation = current_installation()
    row = reallocate(installation.store, key, deed=_deed())
    installation.snapshots.refresh()
    return json_answer(ledger_json(row))


@bp.get("/<key>/report")
@requires("report")
def report(key: str) -> Response:
    """For whom tailoring pays."""
    installation = current_installation()
    return json_answer(
        build_report(
            installation.store, key, now_ms=installation.clock.now_ms(), min_cell=installation.config.min_cell
        )
    )


@bp.get("/<key>/allocations")
@requires("report")
def allocations(key: str) -> Response:
    """The ledger, the oldest row first."""

    def rows(session: Session) -> list[dict[str, Any]]:
        find(session, key)
        return ledger_of(session, key)

    return json_answer({"experiment": key, "allocations": current_installation().store.read(rows)})


def _deed() -> Deed:
    return Deed(current_key().prefix, current_installation().clock.now_ms())


def _written(stored: StoredExperiment, *, status: int = 200) -> Response:
    """The experiment as it now is; the next request shall see it so too."""
    installation = current_installation()
    installation.snapshots.refresh()
    return json_answer(installation.store.read(lambda session: experiment_json(session, stored)), status=status)
