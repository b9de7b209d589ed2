"""The audit log over HTTP, the newest row first."""

from flask import Blueprint
from flask import Response

from experiments.audit import Selection
from experiments.audit import audit_of
from service.answers import json_answer
from service.auth import requires
from service.current import current_installation
from service.queries import read_query
from service.queries import whole

bp = Blueprint("audit", __name__)

_ROWS = 100
_MOST_ROWS = 1000
_HIGHEST_NUMBER = 10**15


@bp.get("/v1/audit")
@requires("admin")
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
    return Selection(query.get("actor"), query.get("subject"), whole(query, "before", highest=_HIGHEST_NUMBER), limit)
