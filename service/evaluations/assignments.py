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

from experiments.assigning import Order
from experiments.assigning import assign
from experiments.assignment import Consent
from experiments.batches import BATCH
from experiments.batches import BATCH_OF_READERS
from experiments.batches import batched
from experiments.errors import BespokeError
from experiments.errors import RejectedEvent
from experiments.errors import UnknownExperiment
from experiments.errors import shown
from experiments.event_shape import Id
from experiments.events import message_id
from service.auth import requires
from service.current import current_installation
from service.errors import Refused
from service.evaluations.assignment_items import Item
from service.evaluations.assignment_items import error_item
from service.evaluations.assignment_items import items
from service.evaluations.visitor_lines import read_visitors
from service.reference.operations import Answer
from service.reference.operations import Example
from service.reference.operations import Parameter
from service.reference.operations import TEXT
from service.reference.operations import describes
from service.requests.bodies import read_lines
from service.requests.bodies import read_object
from service.requests.preferences import objects_to_tracking

bp = Blueprint("assignments", __name__, url_prefix="/v1")

NDJSON = "application/x-ndjson"

_MEMBERS = ("experiment", "visitors", "expose", "messageId")
_FLAGS = {"true": True, "false": False}

Batch = Sequence[object]

#: Assigns some visitors, of whom the first stands at that index; an item of the answer for each.
Assigner = Callable[[Batch, int], list[str]]


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


class Assignments(TypedDict):
    """One item for each visitor, in order."""

    experiment: str
    assignments: list[Item]


_ANN = {"id": "ann", "attributes": {"womens": True, "first_name": "Ann"}}
_LINES = {"type": "string", "description": "one visitor, or one item of the answer, on each line"}


class Call(NamedTuple):
    """What a request asks for; visitors of NDJSON are read when it is their turn."""

    order: Order
    batches: Iterator[Batch]


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
    order = _order(body)
    return Call(order, _batched(order, visitors))


def _ndjson_call() -> Call:
    said: dict[str, Any] = request.args.to_dict()
    if "expose" in said:
        said["expose"] = _FLAGS.get(said["expose"], said["expose"])
    lines = read_lines(limit=current_installation().config.assignments_body_limit_bytes)
    order = _order(said)
    return Call(order, map(read_visitors, _batched(order, lines)))


def _order(said: Mapping[str, Any]) -> Order:
    for name in said:
        if name not in _MEMBERS:
            raise Refused(400, "unknown_member", f"{shown(name)} is not among {', '.join(_MEMBERS)}")
    experiment, expose = said.get("experiment"), said.get("expose", False)
    if not isinstance(experiment, str):
        raise Refused(400, "invalid_experiment", f"experiment: {shown(experiment)} must be an experiment's key")
    if not isinstance(expose, bool):
        raise Refused(400, "invalid_expose", f"expose: {shown(expose)} must be true or false")
    return Order(experiment, expose, message_id(said), current_installation().config.frequency_cap)


def _batched(order: Order, visitors: list[Any]) -> Iterator[list[Any]]:
    limit = current_installation().config.assignments_limit
    if len(visitors) > limit:
        detail = f"visitors: {len(visitors)} are more than {limit}; none was assigned"
        raise Refused(413, "too_many_visitors", detail)
    return batched(visitors, size=BATCH if order.exposes else BATCH_OF_READERS)


def _answers(call: Call) -> Iterator[list[str]]:
    """The items of the answer, a batch at a time, the first of them assigned already."""
    assigner = _assigner(call.order)
    # What refuses the whole request shall do so while it has a status to say it with.
    first = next(call.batches, [])
    begun = assigner(first, 0)
    return chain([begun], _assigned_late(assigner, call.batches, start=len(first)))


def _assigner(order: Order) -> Assigner:
    """Works without the request, which is over before the last visitor is assigned."""
    installation = current_installation()
    objects = objects_to_tracking()

    def assigner(batch: Batch, start: int) -> list[str]:
        answers = assign(
            installation.store,
            installation.snapshots,
            order,
            visitors=batch,
            asking=installation.asking(objects=objects),
            keyring=installation.keyring,
            log=installation.log,
        )
        for assignment, n in answers.counts():
            installation.tallies.evaluated(order.experiment, assignment, n)
        return items(answers, batch, start=start)

    return assigner


def _assigned_late(assigner: Assigner, batches: Iterable[Batch], *, start: int) -> Iterator[list[str]]:
    for batch in batches:
        try:
            yield assigner(batch, start)
        except BespokeError as error:
            # The status is sent: each visitor is told that it was not assigned, and why.
            yield [error_item(index, visitor, error) for index, visitor in enumerate(batch, start)]
        start += len(batch)


def _lines(batches: Iterable[list[str]]) -> Iterator[bytes]:
    return ("\n".join([*written, ""]).encode() for written in batches)


def _object(experiment: str, batches: Iterable[list[str]]) -> Iterator[bytes]:
    """One JSON object, written while its visitors are assigned."""
    before = b'{"experiment":' + msgspec.json.encode(experiment) + b',"assignments":['
    for written in batches:
        yield before + ",".join(written).encode()
        before = b","
    yield b"]}"
