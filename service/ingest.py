"""Events in, by Segment's HTTP tracking API: one call or a batch of them, each answered for itself."""

import secrets
from collections import Counter
from collections.abc import Sequence
from typing import Any
from typing import get_args

from flask import Blueprint
from flask import Response

from experiments.errors import shown
from experiments.keys import includes
from experiments.receipts import Receipt
from experiments.receipts import Status
from experiments.recording import Sender
from experiments.recording import record
from service.answers import json_answer
from service.auth import requires
from service.bodies import read_object
from service.current import current_installation
from service.current import current_key
from service.errors import Refused
from service.errors import problem
from service.preferences import objects_to_tracking

bp = Blueprint("ingest", __name__, url_prefix="/v1")

_ID_BYTES = 16


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
def batch() -> Response:
    """Record the calls of a batch; the answer is 200 whatever became of each."""
    body = read_object()
    receipts = record_items(checked_batch(body.get("batch"), field="batch"), sent_at=body.get("sentAt"))
    return json_answer({"success": True, **tally(receipts)})


@bp.post("/<any(track, identify, page):call>")
@requires("client", in_body=_written_key)
def single(call: str) -> Response:
    """Record one call."""
    body = read_object()
    receipts = record_items([{**body, "type": call}], sent_at=body.get("sentAt"))
    receipt = receipts[0]
    if receipt.status == "rejected":
        extra = {"success": False, **tally(receipts)}
        return problem(422, receipt.code or "rejected", receipt.detail or "the event cannot be counted", extra)
    return json_answer({"success": True, **tally(receipts)})


def checked_batch(items: object, *, field: str) -> list[object]:
    """The events of a batch, each still as it was sent.

    :raises Refused: 400 if it is no array, 413 if it is too long.
    """
    if not isinstance(items, list):
        raise Refused(400, "invalid_batch", f"{field}: {shown(items)} must be an array of events")
    limit = current_installation().config.batch_limit
    if len(items) > limit:
        raise Refused(413, "batch_too_large", f"{field}: {len(items)} events are more than {limit}; nothing was stored")
    return items


def record_items(items: Sequence[object], *, sent_at: object) -> list[Receipt]:
    """Record events for the key of the request."""
    installation = current_installation()
    trusted = includes(current_key().scope, "server")
    return record(
        installation.store,
        installation.snapshots,
        items=items,
        sent_at=sent_at,
        sender=Sender(trusted, installation.clock.now_ms(), objects_to_tracking()),
        terms=installation.terms(),
        keyring=installation.keyring,
        fresh_id=lambda: secrets.token_bytes(_ID_BYTES),
    )


def tally(receipts: Sequence[Receipt]) -> dict[str, Any]:
    """How many met which fate, and what was not accepted, one by one."""
    counts = Counter(receipt.status for receipt in receipts)
    told: dict[str, Any] = {status: counts[status] for status in get_args(Status)}
    told["items"] = [_item(index, receipt) for index, receipt in enumerate(receipts) if receipt.status != "accepted"]
    if any(receipt.status == "accepted" and not receipt.deduplicated for receipt in receipts):
        # Without an id, an outcome that is sent again counts again.
        told["deduplicated"] = False
    return told


def _item(index: int, receipt: Receipt) -> dict[str, Any]:
    code = receipt.code or receipt.status
    return {"index": index, "status": receipt.status, "code": code, "detail": receipt.detail}
