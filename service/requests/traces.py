"""Traces: the id by which a request is found again in the logs of all who had a part in it (W3C Trace Context)."""

import re
import secrets

from flask import Flask
from flask import Response
from flask import g
from flask import has_request_context
from flask import request

#: The header in which W3C's next version answers with the id.
RESPONSE = "traceresponse"

_PARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


def trace_of(parent: str | None) -> str | None:
    """The trace id that a `traceparent` holds; None where it is not one."""
    match = _PARENT.fullmatch(parent or "")
    # What follows is of a later version than the first.
    return None if match is None or (match[1] == "00" and match[3]) else match[2]


def trace_id() -> str | None:
    """The trace id of the request at hand, made where it brought none; None outside of requests."""
    if not has_request_context():
        return None
    if "trace_id" not in g:
        g.trace_id = trace_of(request.headers.get("traceparent")) or secrets.token_hex(16)
    return str(g.trace_id)


def trace_headers(parent: str | None) -> dict[str, str]:
    """What answers a request that brought a trace."""
    trace = trace_of(parent)
    return {} if trace is None else {RESPONSE: _response(trace)}


def init_app(app: Flask) -> None:
    """Answer with the id whoever brought one, and whoever met a failure of ours, which is in the log under it."""
    app.after_request(_add)


def _add(response: Response) -> Response:
    if response.status_code >= 500:
        response.headers[RESPONSE] = _response(trace_id() or "")
    else:
        response.headers.update(trace_headers(request.headers.get("traceparent")))
    return response


def _response(trace: str) -> str:
    return f"00-{trace}-{secrets.token_hex(8)}-00"
