"""Assignments for a list of visitors at once: as one JSON object, or with one visitor on each line (NDJSON)."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from itertools import chain
from typing import Any
from typing import NamedTuple
from typing import NotRequired
from typing import TypedDict

import msgspec
from flask import Blueprint
from flask import Response
from flask import request

from experiments.assigning import Assigned
from experiments.assigning import Order
from experiments.assigning import assign
from experiments.assignment import Cause
from experiments.assignment import Consent
from experiments.batches import batched
from experiments.errors import BespokeError
from experiments.errors import InvalidContext
from experiments.errors import RejectedEvent
from experiments.errors import UnknownExperiment
from experiments.errors import shown
from experiments.event_shape import LONGEST_ID
from experiments.event_shape import Id
from experiments.events import message_id
from experiments.model import Role
from experiments.receipts import Status
from service.auth import requires
from service.bodies import parse
from service.bodies import read_lines
from service.bodies import read_object
from service.current import current_installation
from service.errors import Refused
from service.operations import TEXT
from service.operations import Answer
from service.operations import Example
from service.operations import Parameter
from service.operations import describes
from service.preferences import objects_to_tracking
from service.tallies import evaluated_as

bp = Blueprint("assignments", __name__, url_prefix="/v1")

NDJSON = "application/x-ndjson"

_MEMBERS = ("experiment", "visitors", "expose", "messageId")
_FLAGS = {"true": True, "false": False}

#: Visitors with their places in the list.
Batch = Sequence[tuple[int, object]]

#: Assigns some visitors; an item of the answer for each.
Assigner = Callable[[Batch], list[bytes]]


class Visitor(TypedDict):
    """Whom to assign; only the id must be given."""

    id: Id
    attributes: NotRequired[dict[str, Any] | None]
    consent: NotRequired[Consent | None]
    token: NotRequired[str | None]


class AssignmentsRequest(TypedDict):
    """A list of visitors to assign, and to expose if that is asked for; calls are told apart by `messageId`."""

    experiment: str
    visitors: list[Visitor]
    expose: NotRequired[bool]
    messageId: NotRequired[Id | None]


class Item(TypedDict):
    """What became of one visitor: an assignment with its message, or `code` and `detail` of why there is none."""

    index: int
    id: str | None
    segment: NotRequired[str]
    arm: NotRequired[str]
    role: NotRequired[Role]
    propensity: NotRequired[float]
    epoch: NotRequired[int]
    cause: NotRequired[Cause]
    message: NotRequired[dict[str, Any]]
    token: NotRequired[str | None]
    exposure: NotRequired[Status]
    code: NotRequired[str]
    detail: NotRequired[str]


class Assignments(TypedDict):
    """One item for each visitor, in order."""

    experiment: str
    assignments: list[Item]


_ANN = {"id": "ann", "attributes": {"womens": True, "first_name": "Ann"}}
_LINES = {"type": "string", "description": "one visitor, or one item of the answer, on each line"}


class Call(NamedTuple):
    """What a request asks for."""

    order: Order
    visitors: Sequence[object]


@bp.post("/assignments")
@requires("server")
@describes(
    body=AssignmentsRequest,
    also={NDJSON: _LINES},
    answers={200: Answer(Assignments, also={NDJSON: _LINES})},
    refuses=(UnknownExperiment, RejectedEvent),
    codes={
        400: ("invalid_experiment", "invalid_expose", "invalid_visitors", "unknown_member"),
        413: ("too_many_visitors",),
        422: ("invalid_id",),
    },
    query={
        "experiment": Parameter(TEXT, "with NDJSON: the experiment's key"),
        "expose": Parameter({"enum": ["true", "false"]}, "with NDJSON: whether the visitors are exposed thereby"),
        "messageId": Parameter(TEXT, "with NDJSON: what tells this call from others to the same visitors"),
    },
    example=Example(path={}, body={"experiment": "spring-mailing", "visitors": [_ANN, {"id": "bob"}]}),
)
def assign_visitors() -> Response:
    """Assign each visitor of a list, and count the exposures where that is asked for."""
    if request.mimetype == NDJSON:
        return Response(_lines(_answers(_ndjson_call())), content_type=NDJSON)
    call = _json_call()
    return Response(_object(call.order.experiment, _answers(call)), content_type="application/json")


def _json_call() -> Call:
    body = read_object(limit=current_installation().config.assignments_body_limit_bytes)
    visitors = body.get("visitors")
    if not isinstance(visitors, list):
        raise Refused(400, "invalid_visitors", f"visitors: {shown(visitors)} must be an array of visitors")
    return Call(_order(body), _bounded(visitors))


def _ndjson_call() -> Call:
    said: dict[str, Any] = request.args.to_dict()
    if "expose" in said:
        said["expose"] = _FLAGS.get(said["expose"], said["expose"])
    lines = read_lines(limit=current_installation().config.assignments_body_limit_bytes)
    order = _order(said)
    return Call(order, [_visitor(line) for line in _bounded(lines)])


def _visitor(line: bytes) -> object:
    try:
        return parse(line)
    except Refused as error:
        return InvalidContext(error.stable_code, (error.description or "").replace("the body", "the line"))


def _order(said: Mapping[str, Any]) -> Order:
    for name in said:
        if name not in _MEMBERS:
            raise Refused(400, "unknown_member", f"{shown(name)} is not among {', '.join(_MEMBERS)}")
    experiment, expose = said.get("experiment"), said.get("expose", False)
    if not isinstance(experiment, str):
        raise Refused(400, "invalid_experiment", f"experiment: {shown(experiment)} must be an experiment's key")
    if not isinstance(expose, bool):
        raise Refused(400, "invalid_expose", f"expose: {shown(expose)} must be true or false")
    return Order(experiment, expose, message_id(said))


def _bounded(visitors: list[Any]) -> list[Any]:
    limit = current_installation().config.assignments_limit
    if len(visitors) > limit:
        detail = f"visitors: {len(visitors)} are more than {limit}; none was assigned"
        raise Refused(413, "too_many_visitors", detail)
    return visitors


def _answers(call: Call) -> Iterator[list[bytes]]:
    """The items of the answer, a batch at a time, the first of them assigned already."""
    assigner = _assigner(call.order)
    batches = batched(enumerate(call.visitors))
    # What refuses the whole request shall do so while it has a status to say it with.
    first = assigner(next(batches, []))
    return chain([first], (_assigned_late(assigner, batch) for batch in batches))


def _assigner(order: Order) -> Assigner:
    """Works without the request, which is over before the last visitor is assigned."""
    installation = current_installation()
    objects = objects_to_tracking()

    def assigner(batch: Batch) -> list[bytes]:
        assigned = assign(
            installation.store,
            installation.snapshots,
            order,
            visitors=[visitor for _, visitor in batch],
            asking=installation.asking(objects=objects),
            keyring=installation.keyring,
        )
        installation.tallies.evaluations.add_all(
            evaluated_as(order.experiment, each.evaluation) for each in assigned if isinstance(each, Assigned)
        )
        return [_item(index, visitor, each) for (index, visitor), each in zip(batch, assigned, strict=True)]

    return assigner


def _assigned_late(assigner: Assigner, batch: Batch) -> list[bytes]:
    try:
        return assigner(batch)
    except BespokeError as error:
        # The status is sent: each visitor is told that it was not assigned, and why.
        return [_error_item(index, visitor, error) for index, visitor in batch]


def _item(index: int, visitor: object, assigned: Assigned | InvalidContext) -> bytes:
    if isinstance(assigned, InvalidContext):
        return _error_item(index, visitor, assigned)
    assignment, role, message, token = assigned.evaluation
    item: Item = {
        "index": index,
        "id": _id(visitor),
        "segment": assignment.segment,
        "arm": assignment.arm,
        "role": role,
        "propensity": assignment.propensity,
        "epoch": assignment.epoch,
        "cause": assignment.cause,
        "message": message,
        "token": token,
    }
    if assigned.exposure is not None:
        item["exposure"] = assigned.exposure.status
    return msgspec.json.encode(item)


def _error_item(index: int, visitor: object, error: BespokeError) -> bytes:
    return msgspec.json.encode({"index": index, "id": _id(visitor), "code": error.code, "detail": str(error)})


def _id(visitor: object) -> str | None:
    """The id as it was sent, where it is one."""
    value = visitor.get("id") if isinstance(visitor, dict) else None
    return value if isinstance(value, str) and len(value) <= LONGEST_ID else None


def _lines(batches: Iterable[list[bytes]]) -> Iterator[bytes]:
    return (b"".join(item + b"\n" for item in items) for items in batches)


def _object(experiment: str, batches: Iterable[list[bytes]]) -> Iterator[bytes]:
    """One JSON object, written while its visitors are assigned."""
    before = b'{"experiment":' + msgspec.json.encode(experiment) + b',"assignments":['
    for items in batches:
        yield before + b",".join(items)
        before = b","
    yield b"]}"
