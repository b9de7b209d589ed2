"""The journal of requests: every failure of ours is logged, every refusal counted, and at `debug` each request logged.

What the express lane answers well is no news; with the level at `debug` it is closed, so that all requests pass here.
"""

import logging
from time import perf_counter
from types import TracebackType

from flask import Flask
from flask import Response
from flask import g
from flask import request

from service.current import current_installation
from service.operation.logs import said

log = logging.getLogger(__name__)

ExcInfo = tuple[type, BaseException, TracebackType] | tuple[None, None, None]


def init_app(app: Flask) -> None:
    """Keep the journal."""
    app.before_request(_begin)
    app.after_request(_end)
    app.log_exception = _fault  # type: ignore[method-assign]  # Flask logs without a trace.


def is_complete() -> bool:
    """Whether each request is to be logged."""
    return log.isEnabledFor(logging.DEBUG)


def _begin() -> None:
    g.began = perf_counter()


def _end(response: Response) -> Response:
    status = response.status_code
    if status >= 400:
        current_installation().tallies.refusals.add((_route(), str(status)))
    # A fault has had its line.
    if status >= 500 and "is_faulty" not in g:
        log.warning("%s %s was answered %d", _method(), _route(), status, extra=_said(status))
    elif is_complete():
        log.debug("%s %s was answered %d", _method(), _route(), status, extra=_said(status))
    return response


def _fault(exc_info: ExcInfo) -> None:
    g.is_faulty = True
    log.error("%s %s failed", _method(), _route(), exc_info=exc_info, extra=_said(500))


def _said(status: int) -> dict[str, object]:
    milliseconds = round((perf_counter() - g.get("began", perf_counter())) * 1000, 3)
    return dict(said("request", method=_method(), route=_route(), status=status, milliseconds=milliseconds))


def _route() -> str:
    """The template of the address: addresses themselves hold keys and links."""
    return "(none)" if request.url_rule is None else request.url_rule.rule


def _method() -> str:
    return request.method if request.method.isalpha() and len(request.method) < 10 else "(none)"
