"""The gallery as JSON."""

from typing import Any

from flask import Blueprint
from flask import Response

from service.auth import requires
from service.gallery.entries import gallery
from service.reference.operations import Example
from service.reference.operations import describes
from service.requests.answers import json_answer

bp = Blueprint("gallery", __name__)

_TEXT = {"type": "string"}
_ENTRY: dict[str, Any] = {
    "type": "object",
    "required": ["name", "kind", "story", "known_case", "source", "experiment", "assumptions", "days"],
    "properties": {
        "name": _TEXT, "kind": _TEXT, "story": _TEXT, "known_case": _TEXT, "source": _TEXT,
        "experiment": {"type": "object", "description": "the document"},
        "assumptions": {"type": "object", "description": "what is true of its visitors, as a pre-flight takes it"},
        "days": {"type": "integer"},
    },
}
_GALLERY = {
    "type": "object", "required": ["campaigns"], "properties": {"campaigns": {"type": "array", "items": _ENTRY}},
}


@bp.get("/v1/gallery")
@requires("report")
@describes(answers={200: _GALLERY}, example=Example(path={}))
def list_gallery() -> Response:
    """Ready campaigns, each with its document and with what is true of its visitors."""
    return json_answer({"campaigns": [
        {
            "name": entry.name, "kind": entry.kind, "story": entry.story, "known_case": entry.known_case,
            "source": entry.source, "experiment": entry.document, "assumptions": entry.assumed, "days": entry.days,
        }
        for entry in gallery().values()
    ]})
