"""Queries of addresses: each name once, and only names that the endpoint knows."""

from typing import Any

from flask import request

from experiments.errors import shown
from service.errors import Refused


def read_query(*names: str) -> dict[str, str]:
    """The values that are given, by name; an empty one, as forms send it, is none.

    :raises Refused: 400 if a name is unknown, or stands twice.
    """
    for name, values in request.args.lists():
        if name not in names:
            raise Refused(400, "invalid_query", f"{shown(name)} must be one of {', '.join(names)}")
        if len(values) > 1:
            raise Refused(400, "invalid_query", f"{name}: is given {len(values)} times")
    return {name: value for name, value in request.args.items() if value}


def whole(query: dict[str, str], name: str, *, highest: int) -> int | None:
    """A whole number above 0 of a query, None where it is not given.

    :raises Refused: 400 if it is something else.
    """
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(highest)) and 0 < int(text) <= highest):
        raise Refused(400, "invalid_query", f"{name}: {shown(text)} must be a whole number from 1 to {highest}")
    return int(text)


def whole_number(highest: int) -> dict[str, Any]:
    """The schema of what `whole` reads."""
    return {"type": "integer", "minimum": 1, "maximum": highest}
