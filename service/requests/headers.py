"""Headers that every response carries, unless its view says otherwise."""

from flask import Flask
from flask import Response
from flask import request

_CONTENT_POLICY = "; ".join((
    "default-src 'self'",
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "object-src 'none'",
))
#: What every response says.
ALWAYS = {
    "Content-Security-Policy": _CONTENT_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

#: What all but files say that are the same for everybody.
UNCACHED = ("Cache-Control", "private, no-store")


def init_app(app: Flask) -> None:
    """Add the headers to every response."""
    app.after_request(_add)


def _add(response: Response) -> Response:
    for name, value in ALWAYS.items():
        response.headers.setdefault(name, value)
    if response.status_code == 401:
        response.headers.setdefault("WWW-Authenticate", "Bearer")
    if request.endpoint != "static":
        response.headers.setdefault(*UNCACHED)
    return response
