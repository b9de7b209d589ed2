"""Reviews over HTTP: what is to be known of the segments, and that somebody has looked at one."""

from typing import TypedDict

import msgspec
from flask import Blueprint
from flask import Response

from experiments.audit import Deed
from experiments.errors import InvalidReview
from experiments.errors import InvalidTransition
from experiments.errors import UnknownExperiment
from experiments.errors import UnknownSegment
from experiments.errors import shown
from experiments.reading.values import iso_date
from experiments.repetition import Reply
from experiments.review.days import mark_reviewed
from experiments.review.segments import Review
from experiments.review.segments import review
from experiments.storage.reviews import ReviewRow
from experiments.storage.session import Session
from experiments.times import iso
from service.auth import requires
from service.current import current_installation
from service.current import current_key
from service.reference.operations import Example
from service.reference.operations import Parameter
from service.reference.operations import TEXT
from service.reference.operations import describes
from service.requests.answers import json_answer
from service.requests.bodies import read_object
from service.requests.idempotency import answer_once
from service.requests.queries import read_query

bp = Blueprint("review", __name__, url_prefix="/v1/experiments/<key>")

SINCE = {"since": Parameter(iso_date.schema, "the day (UTC) that parts before from lately; chosen if not given")}
_NEXT = {
    "type": "object", "required": ["review_by"], "additionalProperties": False,
    "properties": {"review_by": {**iso_date.schema, "description": "the day by which somebody looks again"}},
}


class Reviewed(TypedDict):
    """That somebody has looked at a segment, and by which day somebody does again."""

    segment: str
    review_by: str
    at: str
    by: str


@bp.get("/review")
@requires("report")
@describes(
    answers={200: Review}, refuses=(UnknownExperiment, InvalidReview), codes={400: ("invalid_query",)}, query=SINCE
)
def read_review(key: str) -> Response:
    """Whether each segment still makes sense: who came, what its arms brought then and lately, and its rule."""
    return json_answer(review_now(key, since=read_query("since").get("since")))


def review_now(key: str, *, since: str | None) -> Review:
    """The review of an experiment by all that this server knows.

    :raises UnknownExperiment: if there is none.
    :raises InvalidReview: if "lately" cannot begin on this day.
    """
    installation = current_installation()
    now_ms, min_cell = installation.clock.now_ms(), installation.config.min_cell
    contexts = installation.recent.contexts()
    return review(installation.store, key, now_ms=now_ms, min_cell=min_cell, contexts=contexts, since=since)


@bp.post("/segments/<segment>/review")
@requires("admin")
@describes(
    body=_NEXT,
    answers={200: Reviewed},
    refuses=(UnknownExperiment, UnknownSegment, InvalidReview, InvalidTransition),
    path={"segment": Parameter(TEXT, "the segment's key")},
    is_repeatable=True,
    example=Example(
        path={"key": "spring-mailing", "segment": "womens-shoppers"}, body={"review_by": "2099-12-31"}
    ),
)
def write_review(key: str, segment: str) -> Response:
    """Keep that somebody has looked at a segment, and by which day somebody does again."""
    body = read_object()
    if unknown := body.keys() - {"review_by"}:
        raise InvalidReview(f"{shown(min(unknown))} must be review_by, the only thing that a review takes")
    deed = Deed(current_key().prefix, current_installation().clock.now_ms())
    response = answer_once(
        lambda store: mark_reviewed(store, key, segment, by=body.get("review_by"), deed=deed), _reviewed
    )
    current_installation().snapshots.refresh()
    return response


def _reviewed(session: Session, row: ReviewRow) -> Reply:
    answer: Reviewed = {
        "segment": row.segment, "review_by": row.review_by, "at": iso(row.at_ms), "by": row.actor
    }
    return Reply(200, msgspec.json.encode(answer))
