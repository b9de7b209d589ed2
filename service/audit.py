"""The audit log over HTTP, the newest row first."""

from typing import Any
from typing import TypedDict

from flask import Blueprint
from flask import Response

from experiments.audit import Selection
from experiments.audit import audit_of
from service.auth import requires
from service.current import current_installation
from service.reference.operations import Example
from service.reference.operations import Parameter
from service.reference.operations import TEXT
from service.reference.operations import describes
from service.requests.answers import json_answer
from service.requests.queries import read_query
from service.requests.queries import whole
from service.requests.queries import whole_number

bp = Blueprint("audit", __name__)

_ROWS = 100
_MOST_ROWS = 1000
HIGHEST_NUMBER = 10**15


class Read(TypedDict):
    """Rows of the audit log, and what `before` to ask for next; null where these are the oldest."""

    audit: list[dict[str, Any]]
    before: int | None


@bp.get("/v1/audit")
@requires("admin")
@describes(
    answers={200: Read},
    codes={400: ("invalid_query",)},
    query={
        "actor": Parameter(TEXT, "only what this one did"),
        "subject": Parameter(TEXT, "only what was done to this"),
        "before": Parameter(whole_number(HIGHEST_NUMBER), "only rows of a lower number"),
        "limit": Parameter(whole_number(_MOST_ROWS), f"the most rows; {_ROWS} without it"),
    },
    example=Example(path={}, query="limit=10"),
)
def read_audit() -> Response:
    """Who did what to the configuration, and when."""
    excerpt = audit_of(current_installation().store, read_selection())
    return json_answer({"audit": excerpt.rows, "before": excerpt.before})


def read_selection() -> Selection:
    """Which rows the address asks for.

    :raises Refused: 400 if it asks for something else.
    """
    query = read_query("actor", "subject", "before", "limit")
    limit = whole(query, "limit", highest=_MOST_ROWS) or _ROWS
    return Selection(query.get("actor"), query.get("subject"), whole(query, "before", highest=HIGHEST_NUMBER), limit)
