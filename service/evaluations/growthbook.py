"""GrowthBook's addresses: the payload that its SDKs evaluate by themselves, and what their tracking plugins post."""

from flask import Blueprint
from flask import Response
from flask import request

from experiments.growthbook.events import segment_call
from experiments.growthbook.local_evaluation import growthbook_payload
from service.auth import requires
from service.current import current_installation
from service.current import current_key
from service.ingest import KINDS
from service.ingest import Recorded
from service.ingest import checked_batch
from service.ingest import record_items
from service.ingest import tally
from service.reference.operations import Answer
from service.reference.operations import Example
from service.reference.operations import KEY
from service.reference.operations import Parameter
from service.reference.operations import TEXT
from service.reference.operations import describes
from service.requests.answers import json_answer
from service.requests.bodies import read_json
from service.requests.preferences import objects_to_tracking

bp = Blueprint("growthbook", __name__)

_FRESH_SECONDS = 30
_ORDER = {"event_name": "Order Completed", "user_id": "ann", "properties": {"revenue": 59.9}}


@bp.get("/api/features/<client_key>")
@requires("client", in_address=lambda: (request.view_args or {})["client_key"])
@describes(
    answers={200: Answer({"type": "object"}, headers={"ETag": "changes with the content"}), 304: Answer(None)},
    path={"client_key": Parameter(TEXT, "a client key")},
    headers={"If-None-Match": Parameter(TEXT, "the ETag of the payload that is known; 304 while it is the newest")},
    example=Example(path={"client_key": KEY}),
)
def features(client_key: str) -> Response:
    """Every experiment with local evaluation, its rules, weights and messages."""
    installation = current_installation()
    response = json_answer(
        growthbook_payload(installation.snapshots.latest, consent_default=installation.config.consent_default)
    )
    response.cache_control.public = True
    response.cache_control.max_age = _FRESH_SECONDS
    response.vary.add("Origin")
    response.add_etag()
    response.make_conditional(request)
    return response


@bp.post("/track")
@requires("client", in_address=lambda: request.args.get("client_key"))
@describes(
    body={"type": "array", "items": {}, "description": "what GrowthBook's tracking plugins post"},
    kinds=KINDS,
    query={"client_key": Parameter(TEXT, "a client key")},
    answers={200: Recorded},
    codes={400: ("invalid_batch",), 413: ("batch_too_large",)},
    example=Example(path={}, query=f"client_key={KEY}", body=[_ORDER]),
)
def track() -> Response:
    """Record what a tracking plugin posts; the answer is 200 whatever became of each event, as the plugins expect."""
    installation = current_installation()
    items = [segment_call(item) for item in checked_batch(installation, read_json(), field="body")]
    receipts = record_items(installation, items, sent_at=None, key=current_key(), objects=objects_to_tracking())
    return json_answer({"success": True, **tally(receipts)})
