"""What a visitor's browser says of being counted (https://www.w3.org/TR/gpc/), and that it is heard."""

from typing import TypedDict

from flask import Blueprint
from flask import Response
from flask import request

from service.auth import public
from service.reference.operations import Example
from service.reference.operations import describes
from service.requests.answers import json_answer

bp = Blueprint("preferences", __name__)

#: The day on which what the signal does was changed last.
_LAST_CHANGED = "2026-11-25"


def objects_to_tracking() -> bool:
    """Whether the request carries the Global Privacy Control signal."""
    return request.headers.get("Sec-GPC") == "1"


class Support(TypedDict):
    """Whether the signal is respected, and the day since when it is as it is now."""

    gpc: bool
    lastUpdate: str


@bp.get("/.well-known/gpc.json")
@public
@describes(answers={200: Support}, example=Example(path={}))
def support() -> Response:
    """The signal is respected, since when it is as it is now."""
    return json_answer({"gpc": True, "lastUpdate": _LAST_CHANGED})
