"""GrowthBook's addresses: the payload that its SDKs evaluate by themselves, and what their tracking plugins post."""

from flask import Blueprint
from flask import Response
from flask import request

from experiments.growthbook_events import segment_call
from experiments.local_evaluation import growthbook_payload
from service.answers import json_answer
from service.auth import requires
from service.bodies import read_json
from service.current import current_installation
from service.ingest import checked_batch
from service.ingest import record_items
from service.ingest import tally

bp = Blueprint("growthbook", __name__)

_FRESH_SECONDS = 30


@bp.get("/api/features/<client_key>")
@requires("client", in_address=lambda: (request.view_args or {})["client_key"])
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
def track() -> Response:
    """Record what a tracking plugin posts; the answer is 200 whatever became of each event, as the plugins expect."""
    items = checked_batch(read_json(), field="body")
    receipts = record_items([segment_call(item) for item in items], sent_at=None)
    return json_answer({"success": True, **tally(receipts)})
