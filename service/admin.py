"""Experiments over HTTP: written, read, taken through their states, reallocated, reported."""

from collections.abc import Callable
from typing import Any
from typing import Literal
from typing import TypeVar
from typing import TypedDict

import msgspec
from flask import Blueprint
from flask import Response

from experiments.acts import ACTS
from experiments.acts import AnyAct
from experiments.acts import do
from experiments.acts import states_for
from experiments.audit import Deed
from experiments.discovery.proposals import Discovery
from experiments.discovery.proposals import discover
from experiments.document import DOCUMENT
from experiments.errors import ExperimentExists
from experiments.errors import FrozenDocument
from experiments.errors import InvalidDocument
from experiments.errors import InvalidReason
from experiments.errors import InvalidTransition
from experiments.errors import NothingToDiscover
from experiments.errors import UnansweredPast
from experiments.errors import UnknownExperiment
from experiments.errors import shown
from experiments.frequency.sends import FrequencyReport
from experiments.frequency.sends import frequency_report
from experiments.keys import includes
from experiments.ledger import Decision
from experiments.ledger import ledger_json
from experiments.ledger import ledger_of
from experiments.ledger import without_small_cells
from experiments.lifecycle import create
from experiments.lifecycle import experiment_json
from experiments.lifecycle import find
from experiments.lifecycle import replace
from experiments.model import StoredExperiment
from experiments.reading.reasons import REASON
from experiments.reading.reasons import parse_reason
from experiments.reallocation import reallocate
from experiments.repetition import Reply
from experiments.replay.records import Replay
from experiments.replay.records import replay
from experiments.report_shape import Report
from experiments.reports import build_report
from experiments.snapshot import stored_experiment
from experiments.storage.ledger import LedgerRow
from experiments.storage.session import Session
from experiments.storage.store import Store
from service.auth import requires
from service.current import current_installation
from service.current import current_key
from service.reference.components import EXPERIMENT
from service.reference.operations import Answer
from service.reference.operations import Example
from service.reference.operations import describes
from service.requests.answers import json_answer
from service.requests.bodies import read_object
from service.requests.bodies import read_object_if_any
from service.requests.idempotency import answer_once

T = TypeVar("T")

bp = Blueprint("admin", __name__, url_prefix="/v1/experiments")

_DOCUMENT = {
    "key": "spring-mailing",
    "name": "Spring mailing",
    "policy": {"kind": "thompson"},
    "attributes": {"womens": "boolean"},
    "segments": [{"key": "womens-shoppers", "kind": "behavioral", "rule": {"womens": True}}],
    "arms": [
        {"key": "one-letter", "role": "mass", "message": {"subject": "Spring is here"}},
        {
            "key": "womens-letter", "role": "tailored", "segments": ["womens-shoppers"],
            "message": {"subject": "New in women's"},
        },
    ],
    "metrics": [{"key": "purchase", "event": "Order Completed", "kind": "conversion", "role": "goal"}],
}
_LIST = {
    "type": "object", "required": ["experiments"],
    "properties": {"experiments": {"type": "array", "items": EXPERIMENT}},
}


_REASONED = {
    "type": "object", "additionalProperties": False,
    "properties": {"reason": {**REASON, "description": "why, for the ledger and the audit log"}},
}


#: What must have been done before something is undone.
_HELD: dict[AnyAct, Literal["frozen", "barred"]] = {"unfreeze": "frozen", "unbar": "barred"}


def _example(name: AnyAct) -> Example:
    return Example(body={"reason": "The spring sale begins."}, state=_HELD.get(name, states_for(name)[0]))


class LedgerOf(TypedDict):
    """The ledger of an experiment, the oldest row first."""

    experiment: str
    allocations: list[Decision]


@bp.get("")
@requires("report")
@describes(answers={200: _LIST})
def list_experiments() -> Response:
    """Every experiment."""

    def all_of_them(session: Session) -> list[dict[str, Any]]:
        return [experiment_json(session, stored_experiment(row)) for row in session.experiments.all()]

    return json_answer({"experiments": current_installation().store.read(all_of_them)})


@bp.post("")
@requires("admin")
@describes(
    body=DOCUMENT,
    answers={201: Answer(EXPERIMENT, headers={"Location": "the experiment's address"})},
    refuses=(InvalidDocument, ExperimentExists),
    is_repeatable=True,
    example=Example(body=_DOCUMENT, status=201, state=None),
)
def create_experiment() -> Response:
    """Keep a new draft."""
    document, deed = read_object(), _deed()
    return _changed(lambda store: create(store, document, deed=deed), _created)


@bp.get("/<key>")
@requires("report")
@describes(answers={200: EXPERIMENT}, refuses=(UnknownExperiment,))
def read_experiment(key: str) -> Response:
    """One experiment."""
    store = current_installation().store
    return json_answer(store.read(lambda session: experiment_json(session, find(session, key))))


@bp.put("/<key>")
@requires("admin")
@describes(
    body=DOCUMENT,
    answers={200: EXPERIMENT},
    refuses=(UnknownExperiment, InvalidDocument, FrozenDocument),
    is_repeatable=True,
    example=Example(body=_DOCUMENT, state="draft"),
)
def replace_experiment(key: str) -> Response:
    """Replace the document of an experiment: freely while it is a draft, within limits once started."""
    document, deed = read_object(), _deed()
    return _changed(lambda store: replace(store, key, document, deed=deed), _written)


@bp.post(f"/<key>/<any({', '.join(ACTS)}):name>")
@requires("admin")
@describes(
    body=_REASONED,
    is_body_needed=False,
    answers={200: EXPERIMENT},
    refuses=(UnknownExperiment, InvalidTransition, InvalidReason),
    is_repeatable=True,
    examples={name: _example(name) for name in ACTS},
)
def change_state(key: str, name: AnyAct) -> Response:
    """Take an experiment to its next state, hold its weights (freeze, finish), or let them go (unfreeze, unbar)."""
    deed = _deed()._replace(reason=_reason())
    return _changed(lambda store: do(store, key, name, deed=deed), _written)


@bp.post("/<key>/reallocate")
@requires("admin")
@describes(answers={200: Decision}, refuses=(UnknownExperiment, InvalidTransition), is_repeatable=True)
def reallocate_experiment(key: str) -> Response:
    """Reallocate now, by the same code as the scheduler."""
    deed = _deed()
    return _changed(lambda store: reallocate(store, key, deed=deed), _decided)


@bp.get("/<key>/report")
@requires("report")
@describes(answers={200: Report}, refuses=(UnknownExperiment,))
def report(key: str) -> Response:
    """For whom tailoring pays."""
    installation = current_installation()
    return json_answer(
        build_report(
            installation.store, key, now_ms=installation.clock.now_ms(), min_cell=installation.config.min_cell
        )
    )


@bp.get("/<key>/replay")
@requires("report")
@describes(answers={200: Replay}, refuses=(UnknownExperiment, UnansweredPast), example=Example(status=409))
def replay_experiment(key: str) -> Response:
    """What other policies would have earned with the same visitors."""
    installation = current_installation()
    now_ms, min_cell = installation.clock.now_ms(), installation.config.min_cell
    return json_answer(replay(installation.store, key, now_ms=now_ms, min_cell=min_cell))


@bp.get("/<key>/discovery")
@requires("report")
@describes(
    answers={200: Discovery},
    refuses=(UnknownExperiment, NothingToDiscover),
    example=Example(status=409),
)
def discover_segments(key: str) -> Response:
    """Segments in which a message does better, or worse, against another than it does elsewhere."""
    installation = current_installation()
    return json_answer(discover(installation.store, key, min_cell=installation.config.min_cell))


@bp.get("/<key>/frequency")
@requires("report")
@describes(answers={200: FrequencyReport}, refuses=(UnknownExperiment,))
def frequency(key: str) -> Response:
    """How often visitors are exposed, what goes along with it, and, where caps are drawn, what one more is worth."""
    installation = current_installation()
    now_ms, min_cell = installation.clock.now_ms(), installation.config.min_cell
    return json_answer(frequency_report(installation.store, key, now_ms=now_ms, min_cell=min_cell))


@bp.get("/<key>/allocations")
@requires("report")
@describes(answers={200: LedgerOf}, refuses=(UnknownExperiment,))
def allocations(key: str) -> Response:
    """The ledger, the oldest row first; what rows were made of as far as no figure is about too few visitors.

    A key of scope admin gets all of it, which the hashes are of.
    """
    min_cell = 0 if includes(current_key().scope, "admin") else current_installation().config.min_cell

    def rows(session: Session) -> list[Decision]:
        find(session, key)
        return [without_small_cells(row, min_cell=min_cell) for row in ledger_of(session, key)]

    return json_answer({"experiment": key, "allocations": current_installation().store.read(rows)})


def _deed() -> Deed:
    return Deed(current_key().prefix, current_installation().clock.now_ms())


def _reason() -> str:
    """Why, where the request says it.

    :raises InvalidReason: if it says something else.
    """
    body = read_object_if_any()
    if unknown := body.keys() - {"reason"}:
        raise InvalidReason(f"{shown(min(unknown))} must be reason, the only thing that an act takes")
    return parse_reason(body["reason"]) if body else ""


def _changed(work: Callable[[Store], T], reply: Callable[[Session, T], Reply]) -> Response:
    """The answer to a change; the next request shall see it so too."""
    response = answer_once(work, reply)
    current_installation().snapshots.refresh()
    return response


def _created(session: Session, stored: StoredExperiment) -> Reply:
    return Reply(201, _written(session, stored).body, location=f"{bp.url_prefix}/{stored.experiment.key}")


def _written(session: Session, stored: StoredExperiment) -> Reply:
    return Reply(200, msgspec.json.encode(experiment_json(session, stored)))


def _decided(session: Session, row: LedgerRow | None) -> Reply:
    assert row is not None, "only a slot can be taken by somebody else"
    return Reply(200, msgspec.json.encode(ledger_json(row)))
