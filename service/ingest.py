"""Events in, by Segment's HTTP tracking API: one call or a batch of them, each answered for itself."""

import secrets
from collections.abc import Sequence
from typing import Literal
from typing import NotRequired
from typing import TypedDict

from flask import Blueprint
from flask import Response

from experiments.errors import shown
from experiments.event_shape import Batch
from experiments.event_shape import Call
from experiments.keys import includes
from experiments.receipts import Receipt
from experiments.receipts import Status
from experiments.recording import Sender
from experiments.recording import record
from experiments.storage.configuration import KeyRow
from service.auth import requires
from service.current import current_installation
from service.current import current_key
from service.errors import PROBLEM
from service.errors import Problem
from service.errors import Refused
from service.installation import Installation
from service.reference.operations import Answer
from service.reference.operations import Example
from service.reference.operations import describes
from service.requests.answers import JSON
from service.requests.answers import json_answer
from service.requests.asked import Asked
from service.requests.asked import Lane
from service.requests.bodies import read_object
from service.requests.preferences import objects_to_tracking

bp = Blueprint("ingest", __name__, url_prefix="/v1")

_ID_BYTES = 16
_ORDER = {"userId": "ann", "messageId": "order-1", "event": "Order Completed", "properties": {"revenue": 59.9}}
#: What Segment's clients send: some of them call their JSON plain text.
KINDS = (JSON, "text/plain")


class Item(TypedDict):
    """What became of one event that was not accepted; `code` says why."""

    index: int
    status: Status
    code: str
    detail: str | None


class Tally(TypedDict):
    """How many events met which fate; `deduplicated` is false where one came without an id, and would count again."""

    accepted: int
    duplicate: int
    rejected: int
    ignored: int
    items: list[Item]
    deduplicated: NotRequired[Literal[False]]


class Recorded(Tally):
    """Every event of the request is answered for."""

    success: Literal[True]


class Rejected(Tally, Problem):
    """The event cannot be counted."""

    success: Literal[False]


def _written_key() -> str | None:
    """The key in the body, where Segment's clients for browsers put it: a beacon has no headers of its own."""
    try:
        text = read_object().get("writeKey")
    except Refused as refused:
        if refused.stable_code == "empty_body":
            return None
        raise
    if text is not None and not isinstance(text, str):
        raise Refused(401, "unauthorized", f"writeKey: {shown(text)} must be a client key")
    return text


@bp.post("/batch")
@requires("client", in_body=_written_key)
@describes(
    body=Batch,
    kinds=KINDS,
    answers={200: Recorded},
    codes={400: ("invalid_batch",), 413: ("batch_too_large",)},
    example=Example(path={}, body={"batch": [{"type": "track", **_ORDER}]}),
)
def batch() -> Response:
    """Record the calls of a batch; the answer is 200 whatever became of each."""
    return json_answer(recorded_batch(current_installation(), _asked("batch")))


def recorded_batch(installation: Installation, asked: Asked) -> Recorded:
    """What became of the calls of a batch.

    :raises Refused: as `checked_batch`.
    """
    items = checked_batch(installation, asked.body.get("batch"), field="batch")
    receipts = record_items(installation, items, sent_at=asked.body.get("sentAt"), key=asked.key, objects=asked.objects)
    return {"success": True, **tally(receipts)}


@bp.post("/<any(track, identify, page):call>")
@requires("client", in_body=_written_key)
@describes(
    body=Call,
    kinds=KINDS,
    answers={200: Recorded, 422: Answer(Rejected, kind=PROBLEM)},
    examples={
        "track": Example(path={}, body=_ORDER),
        "identify": Example(path={}, body={"userId": "ann", "traits": {"plan": "gold"}}),
        "page": Example(path={}, body={"userId": "ann", "messageId": "page-1", "name": "Home"}),
    },
)
def single(call: str) -> Response:
    """Record one call."""
    return json_answer(recorded_call(current_installation(), _asked(call)))


def recorded_call(installation: Installation, asked: Asked) -> Recorded:
    """What became of the one call, whose name ends the address.

    :raises Refused: 422 if it is rejected.
    """
    items = [{**asked.body, "type": asked.name}]
    # One event is read in no time, and waits for the disk: the more wait together, the fewer are the commits.
    asked.leave()
    receipts = record_items(installation, items, sent_at=asked.body.get("sentAt"), key=asked.key, objects=asked.objects)
    status, code, detail, _ = receipts[0]
    if status == "rejected":
        extra = {"success": False, **tally(receipts)}
        raise Refused(422, code or "rejected", detail or "the event cannot be counted", extra=extra)
    return {"success": True, **tally(receipts)}


#: What the express lane does by the address.
LANES: dict[tuple[str, str], Lane] = {
    ("POST", "/v1/batch"): recorded_batch,
    ("POST", "/v1/track"): recorded_call,
    ("POST", "/v1/identify"): recorded_call,
    ("POST", "/v1/page"): recorded_call,
}


def _asked(name: str) -> Asked:
    return Asked(name, read_object(), current_key(), objects_to_tracking())


def checked_batch(installation: Installation, items: object, *, field: str) -> list[object]:
    """The events of a batch, each still as it was sent.

    :raises Refused: 400 if it is no array, 413 if it is too long.
    """
    if not isinstance(items, list):
        raise Refused(400, "invalid_batch", f"{field}: {shown(items)} must be an array of events")
    limit = installation.config.batch_limit
    if len(items) > limit:
        raise Refused(413, "batch_too_large", f"{field}: {len(items)} events are more than {limit}; nothing was stored")
    return items


def record_items(
    installation: Installation, items: Sequence[object], *, sent_at: object, key: KeyRow, objects: bool
) -> list[Receipt]:
    """Record events that came with this key."""
    receipts = record(
        installation.store,
        installation.snapshots,
        items=items,
        sent_at=sent_at,
        sender=Sender(includes(key.scope, "server"), installation.clock.now_ms(), objects),
        terms=installation.terms(),
        keyring=installation.keyring,
        fresh_id=_fresh_id,
        log=installation.log,
    )
    installation.tallies.events.add_all((receipt.status, receipt.code or "") for receipt in receipts)
    return receipts


def _fresh_id() -> bytes:
    return secrets.token_bytes(_ID_BYTES)


def tally(receipts: Sequence[Receipt]) -> Tally:
    """How many met which fate, and what was not accepted, one by one."""
    met = [receipt.status for receipt in receipts]
    told: Tally = {
        "accepted": met.count("accepted"),
        "duplicate": met.count("duplicate"),
        "rejected": met.count("rejected"),
        "ignored": met.count("ignored"),
        "items": [_item(index, receipt) for index, receipt in enumerate(receipts) if receipt.status != "accepted"],
    }
    if any(receipt.status == "accepted" and not receipt.deduplicated for receipt in receipts):
        # Without an id, an outcome that is sent again counts again.
        told["deduplicated"] = False
    return told


def _item(index: int, receipt: Receipt) -> Item:
    code = receipt.code or receipt.status
    return {"index": index, "status": receipt.status, "code": code, "detail": receipt.detail}
