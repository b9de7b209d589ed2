"""Pages of other origins: what client keys may do, the pages that they were made for may do from a browser.

Follows the CORS protocol (https://fetch.spec.whatwg.org/#http-cors-protocol), without credentials. A preflight brings
no key, so it asks whether any client key is for the origin; the answer itself is for the origins of the request's key.
"""

from collections.abc import Iterable

from flask import Flask
from flask import Response
from flask import current_app
from flask import g
from flask import request
from werkzeug.exceptions import HTTPException

from experiments.storage.configuration import KeyRow
from service.auth import required_scope
from service.current import current_installation
from service.errors import Refused

_ANY = "*"
_ALLOWED = ", ".join((
    "Authorization", "X-API-Key", "Content-Type", "Content-Encoding", "If-None-Match", "Idempotency-Key",
    "traceparent", "tracestate", "baggage",
))
_EXPOSED = ("Retry-After", "RateLimit", "RateLimit-Policy")
#: Of the answers that client keys get.
VARY = ("Vary", "Origin")
# No browser keeps a preflight for longer.
_PREFLIGHT_SECONDS = 86_400


def allowed_origin(origin: str, keys: Iterable[KeyRow]) -> str | None:
    """What an origin is told that may use one of the keys: itself, or `*` where a key is for any; else None."""
    allowed = [key.origins for key in keys if key.scope == "client" and key.revoked_ms is None]
    if () in allowed:
        return _ANY
    return origin if any(origin in origins for origins in allowed) else None


def allowance(origin: str, keys: Iterable[KeyRow], *, exposes_etag: bool) -> dict[str, str]:
    """The header fields that let a page of this origin read an answer to one of the keys; none where it may not."""
    allowed = allowed_origin(origin, keys)
    if allowed is None:
        return {}
    exposed = (*_EXPOSED, "ETag") if exposes_etag else _EXPOSED
    return {"Access-Control-Allow-Origin": allowed, "Access-Control-Expose-Headers": ", ".join(exposed)}


def init_app(app: Flask) -> None:
    """Answer preflights, and let pages read the answers that are theirs."""
    app.before_request(_preflight)
    app.after_request(_allow)


def _preflight() -> Response | None:
    origin = request.headers.get("Origin")
    method = request.headers.get("Access-Control-Request-Method")
    if request.method != "OPTIONS" or origin is None or method is None or not _is_for_clients(method):
        return None
    allowed = _allowed_by_any_key(origin)
    if allowed is None:
        raise Refused(403, "origin_not_allowed", f"Origin: {origin[:200]} is not among the origins of any client key")
    return Response(status=204, headers={
        "Access-Control-Allow-Origin": allowed,
        "Access-Control-Allow-Methods": method,
        "Access-Control-Allow-Headers": _ALLOWED,
        "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
    })


def _is_for_clients(method: str) -> bool:
    """Whether client keys may do this at the address."""
    routes = current_app.create_url_adapter(request)
    assert routes is not None, "a request has an address"
    try:
        endpoint, _ = routes.match(method=method)
    except HTTPException:
        return False
    return bool(required_scope(endpoint) == "client")


def _allowed_by_any_key(origin: str) -> str | None:
    snapshots = current_installation().snapshots
    # A key that was made a moment ago is in the database, not yet in the snapshot.
    return allowed_origin(origin, snapshots.latest.keys.values()) or allowed_origin(
        origin, snapshots.refresh().keys.values()
    )


def _allow(response: Response) -> Response:
    if required_scope(request.endpoint) != "client":
        return response
    response.headers.add(*VARY)
    origin = request.headers.get("Origin")
    if origin is not None and request.method != "OPTIONS":
        exposes_etag = current_installation().config.expose_etag
        response.headers.update(allowance(origin, _keys_at_hand(), exposes_etag=exposes_etag))
    return response


def _keys_at_hand() -> Iterable[KeyRow]:
    """The request's key; where none was recognised, whichever the page may have meant: it shall read that."""
    key = g.get("key")
    return current_installation().snapshots.latest.keys.values() if key is None else [key]
