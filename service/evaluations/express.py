"""The express lane: requests that come by the thousand a second, answered before Flask's dispatch.

Routing, contexts and response objects cost several times what a decision does. Here a plain request that goes well
gets the answer that Flask would have given, from the same function that its view calls. All else goes the whole way,
so that refusals have one place; it takes along what must not happen twice: the body, the charge, and the fault.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import msgspec
from flask import Flask
from flask import request
from werkzeug.datastructures import Authorization

from experiments.keys import check_key
from experiments.keys import includes
from experiments.snapshot import Snapshot
from experiments.storage.configuration import KeyRow
from service.errors import Refused
from service.installation import Installation
from service.requests.answers import JSON
from service.requests.asked import Asked
from service.requests.asked import Lane
from service.requests.asked import stay
from service.requests.bodies import parse
from service.requests.cors import VARY
from service.requests.cors import allowance
from service.requests.headers import ALWAYS
from service.requests.headers import UNCACHED
from service.requests.throttle import STANDING
from service.requests.throttle import charge
from service.requests.throttle import rate_headers
from service.requests.traces import trace_headers
from service.requests.turns import LEAVE

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
Application = Callable[..., Iterable[bytes]]

_FAULT = "bespoke.fault"
_PLAIN_KINDS = {"", JSON, f"{JSON}; charset=utf-8", f"{JSON};charset=utf-8"}
_FIXED = (("Content-Type", JSON), *ALWAYS.items(), UNCACHED, VARY)


class Express:
    """An application with lanes before it, each for a method and an address, or one up to its last part."""

    def __init__(
        self, application: Application, installation: Installation, lanes: Mapping[tuple[str, str], Lane]
    ) -> None:
        self._application = application
        self._installation = installation
        self._lanes = lanes
        self._known = _Known(installation.snapshots.latest)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request by its lane, or else by the application."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        before, slash, name = path.rpartition("/")
        lane = self._lanes.get((method, path)) or self._lanes.get((method, before + slash))
        asked = None if lane is None else self._asked(environ, name)
        body = None if lane is None or asked is None else self._body(lane, asked, environ)
        if asked is None or body is None:
            return self._application(environ, start_response)
        start_response("200 OK", self._headers(environ, asked.key, len(body)))
        return [body]

    def _asked(self, environ: Environ, name: str) -> Asked | None:
        """What a plain request asks; None where the whole way must look at it."""
        key = self._key(environ)
        if key is None or environ.get("CONTENT_TYPE", "") not in _PLAIN_KINDS or "HTTP_CONTENT_ENCODING" in environ:
            return None
        value = self._value(environ)
        if not isinstance(value, dict):
            return None
        return Asked(name, value, key, environ.get("HTTP_SEC_GPC") == "1", environ.get(LEAVE, stay))

    def _key(self, environ: Environ) -> KeyRow | None:
        snapshot = self._installation.snapshots.latest
        if self._known.snapshot is not snapshot:
            self._known = _Known(snapshot)
        key = self._known.key(_presented(environ))
        if key is not None and key.origins and environ.get("HTTP_ORIGIN", key.origins[0]) not in key.origins:
            return None
        return key

    def _value(self, environ: Environ) -> Any:
        length = environ.get("CONTENT_LENGTH") or ""
        if not length.isdecimal() or int(length) > self._installation.config.body_limit_bytes:
            return None
        try:
            data = environ["wsgi.input"].read(int(length))
            environ["wsgi.input"] = BytesIO(data)
            return parse(data)
        except Refused:
            return None

    def _body(self, lane: Lane, asked: Asked, environ: Environ) -> bytes | None:
        standing = environ[STANDING] = charge(self._installation, asked.key, environ.get("REMOTE_ADDR", ""))
        if standing is not None and not standing.passes:
            return None
        try:
            return msgspec.json.encode(lane(self._installation, asked))
        except Exception as fault:
            environ[_FAULT] = fault
            return None

    def _headers(self, environ: Environ, key: KeyRow, length: int) -> Headers:
        headers: Headers = [*_FIXED, ("Content-Length", str(length))]
        if environ[STANDING] is not None and self._installation.buckets is not None:
            headers += rate_headers(self._installation.buckets.rate, environ[STANDING]).items()
        if "HTTP_ORIGIN" in environ:
            exposes_etag = self._installation.config.expose_etag
            headers += allowance(environ["HTTP_ORIGIN"], [key], exposes_etag=exposes_etag).items()
        if "HTTP_TRACEPARENT" in environ:
            headers += trace_headers(environ["HTTP_TRACEPARENT"]).items()
        return headers


class _Known:
    """The keys of a snapshot that were presented and may evaluate, by their texts: looking at one costs a digest."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._keys: dict[str, KeyRow] = {}

    def key(self, text: str) -> KeyRow | None:
        """The row of a key that may evaluate, or None."""
        known = self._keys.get(text)
        if known is not None:
            return known
        key = check_key(text, self.snapshot.keys.get)
        if key is None or not includes(key.scope, "client"):
            return None
        return self._keys.setdefault(text, key)


def init_app(app: Flask) -> None:
    """Let a fault that the lane met be refused where all others are."""
    app.before_request(_raise_fault)


def _raise_fault() -> None:
    fault = request.environ.get(_FAULT)
    if fault is not None:
        raise fault


def _presented(environ: Environ) -> str:
    authorization: str | None = environ.get("HTTP_AUTHORIZATION")
    if authorization is None:
        return str(environ.get("HTTP_X_API_KEY", ""))
    if authorization.startswith("Bearer "):
        return authorization[len("Bearer ") :]
    # Segment's clients send the key as a user name, with an empty password.
    read = Authorization.from_header(authorization)
    return (read and read.username) or ""
