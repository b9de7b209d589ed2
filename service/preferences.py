"""What a visitor's browser says of being counted (https://www.w3.org/TR/gpc/), and that it is heard."""

from flask import Blueprint
from flask import Response
from flask import request

from service.answers import json_answer
from service.auth import public

bp = Blueprint("preferences", __name__)

#: The day on which what the signal does was changed last.
_LAST_CHANGED = "2026-11-25"


def objects_to_tracking() -> bool:
    """Whether the request carries the Global Privacy Control signal."""
    return request.headers.get("Sec-GPC") == "1"


@bp.get("/.well-known/gpc.json")
@public
def support() -> Response:
    """The signal is respected, since when it is as it is now."""
    return json_answer({"gpc": True, "lastUpdate": _LAST_CHANGED})
