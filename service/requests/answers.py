"""Answers in JSON, floats always with a decimal point."""

from typing import Any

import msgspec
from flask import Response


JSON = "application/json"


def json_answer(value: Any, *, status: int = 200, kind: str = JSON) -> Response:
    """A response whose body is the value."""
    return Response(msgspec.json.encode(value), status, content_type=kind)
