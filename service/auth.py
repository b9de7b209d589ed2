"""Keys on requests: every view says which scope it requires, and a view that says nothing lets nobody in."""

from collections.abc import Callable
from typing import Any
from typing import TypeVar

from flask import Flask
from flask import current_app
from flask import g
from flask import request

from experiments.errors import shown
from experiments.keys import Scope
from experiments.keys import check_key
from experiments.keys import includes
from experiments.storage.configuration import KeyRow
from service.bodies import read_object
from service.current import current_installation
from service.errors import Refused

View = TypeVar("View", bound=Callable[..., Any])

_SCOPE = "required_scope"
_BY_BODY = "takes_key_by_body"
_PUBLIC = "public"
_STATIC = "static"


def requires(scope: Scope, *, by_body: bool = False) -> Callable[[View], View]:
    """Let in whoever brings a key whose scope includes this one.

    `by_body` takes a client key as the body's `writeKey` too, where no header brings one.
    """

    def mark(view: View) -> View:
        setattr(view, _SCOPE, scope)
        setattr(view, _BY_BODY, by_body)
        return view

    return mark


def public(view: View) -> View:
    """Let everybody in; what the view shows is its own care."""
    setattr(view, _SCOPE, _PUBLIC)
    return view


def init_app(app: Flask) -> None:
    """Ask every request for what its view requires."""
    app.before_request(_check)


def _check() -> None:
    if request.endpoint is None or request.endpoint == _STATIC:
        return
    scope = getattr(current_app.view_functions[request.endpoint], _SCOPE, None)
    if scope == _PUBLIC:
        return
    g.key = _known_key(request.endpoint)
    if scope is None or not includes(g.key.scope, scope):
        raise Refused(403, "forbidden", f"a key of scope {g.key.scope} may not do this")
    _check_origin(g.key)


def _known_key(endpoint: str) -> KeyRow:
    text = _presented()
    if text is not None:
        return _checked(text)
    by_body = getattr(current_app.view_functions[endpoint], _BY_BODY, False)
    text = _written() if by_body else None
    if text is None:
        raise Refused(401, "unauthorized", "a key is required: Authorization: Bearer KEY, or X-API-Key")
    row = _checked(text)
    if row.scope != "client":
        raise Refused(403, "forbidden", f"writeKey: a key of scope {row.scope} must come in a header")
    return row


def _checked(text: str) -> KeyRow:
    row = check_key(text, _find)
    if row is None:
        raise Refused(401, "unauthorized", "the key is unknown or revoked")
    return row


def _presented() -> str | None:
    authorization = request.authorization
    if authorization is None:
        return request.headers.get("X-API-Key")
    # Segment's clients send the key as a user name, with an empty password.
    return authorization.token or authorization.username


def _written() -> str | None:
    """The key in the body, where Segment's clients for browsers put it: a beacon has no headers of its own."""
    try:
        text = read_object().get("writeKey")
    except Refused as refused:
        if refused.stable_code == "empty_body":
            return None
        raise
    if text is not None and not isinstance(text, str):
        raise Refused(401, "unauthorized", f"writeKey: {shown(text)} must be a client key")
    return text


def _find(prefix: str) -> KeyRow | None:
    """A key by its prefix; one that was made a moment ago is in the database, not yet in the snapshot."""
    installation = current_installation()
    row = installation.snapshots.latest.keys.get(prefix)
    return row or installation.store.read(lambda session: session.keys.get(prefix))


def _check_origin(key: KeyRow) -> None:
    origin = request.headers.get("Origin")
    if origin is not None and key.origins and origin not in key.origins:
        raise Refused(403, "origin_not_allowed", f"Origin: {origin[:200]} is not among the origins of this key")
