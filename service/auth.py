"""Keys on requests: every view says which scope it requires, and a view that says nothing lets nobody in."""

from collections.abc import Callable
from typing import Any
from typing import TypeVar

from flask import Flask
from flask import current_app
from flask import g
from flask import request

from experiments.keys import Scope
from experiments.keys import check_key
from experiments.keys import includes
from experiments.storage.configuration import KeyRow
from service.current import current_installation
from service.errors import Refused

View = TypeVar("View", bound=Callable[..., Any])

#: Where else than in a header a key is found, or None where the request has none there.
Finding = Callable[[], str | None]

_SCOPE = "required_scope"
_ELSEWHERE = "key_elsewhere"
_PUBLIC = "public"
_STATIC = "static"


def requires(
    scope: Scope, *, in_address: Finding | None = None, in_body: Finding | None = None
) -> Callable[[View], View]:
    """Let in whoever brings a key whose scope includes this one, in a header.

    Where clients cannot send headers, a client key may stand elsewhere: in the address, where it is looked for first,
    or in the body, where it is looked for last. Both are seen by others, so keys that are secrets are no good there.
    """

    def mark(view: View) -> View:
        setattr(view, _SCOPE, scope)
        setattr(view, _ELSEWHERE, (in_address, in_body))
        return view

    return mark


def public(view: View) -> View:
    """Let everybody in; what the view shows is its own care."""
    setattr(view, _SCOPE, _PUBLIC)
    return view


def required_scope(endpoint: str | None) -> Any:
    """The scope that an endpoint's view requires; None where it says none, or there is no such endpoint."""
    return getattr(current_app.view_functions.get(endpoint or ""), _SCOPE, None)


def init_app(app: Flask) -> None:
    """Ask every request for what its view requires."""
    app.before_request(_check)


def _check() -> None:
    if request.endpoint is None or request.endpoint == _STATIC:
        return
    scope = required_scope(request.endpoint)
    if scope == _PUBLIC:
        return
    g.key = _known_key(request.endpoint)
    if scope is None or not includes(g.key.scope, scope):
        raise Refused(403, "forbidden", f"a key of scope {g.key.scope} may not do this")
    _check_origin(g.key)


def _known_key(endpoint: str) -> KeyRow:
    in_address, in_body = getattr(current_app.view_functions[endpoint], _ELSEWHERE, (None, None))
    seen, secret = _found(in_address), _presented()
    if seen is None and secret is None:
        seen = _found(in_body)
    if seen is not None:
        return _checked_seen(seen)
    if secret is None:
        raise Refused(401, "unauthorized", "a key is required: Authorization: Bearer KEY, or X-API-Key")
    return _checked(secret)


def _found(find: Finding | None) -> str | None:
    return None if find is None else find()


def _checked_seen(text: str) -> KeyRow:
    row = _checked(text)
    if row.scope != "client":
        rule = "must come in a header, where nobody sees it"
        raise Refused(403, "secret_in_public", f"a key of scope {row.scope} {rule}")
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


def _find(prefix: str) -> KeyRow | None:
    """A key by its prefix; one that was made a moment ago is in the database, not yet in the snapshot."""
    installation = current_installation()
    row = installation.snapshots.latest.keys.get(prefix)
    return row or installation.store.read(lambda session: session.keys.get(prefix))


def _check_origin(key: KeyRow) -> None:
    origin = request.headers.get("Origin")
    if origin is not None and key.origins and origin not in key.origins:
        raise Refused(403, "origin_not_allowed", f"Origin: {origin[:200]} is not among the origins of this key")
