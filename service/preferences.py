"""What a visitor's browser says of being counted (https://www.w3.org/TR/gpc/)."""

from flask import request


def objects_to_tracking() -> bool:
    """Whether the request carries the Global Privacy Control signal."""
    return request.headers.get("Sec-GPC") == "1"
