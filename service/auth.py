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

_SCOPE = "required_scope"
_FIND = "key_in_address"
_PUBLIC = "public"
_STATIC = "static"


def requires(scope: Scope) -> Callable[[View], View]:
    """Let in whoever brings a key whose scope includes this one."""

    def mark(view: View) -> View:
        setattr(view, _SCOPE, scope)
        return view

    return mark


def requires_in_address(scope: Scope, find: Callable[[], str | None]) -> Callable[[View], View]:
    """Let in whoever brings a key of exactly this scope in the address, where `find` finds it, or else as everywhere.

    For protocols that put it there. Addresses are logged, so keys that are secrets are no good in them.
    """

    def mark(view: View) -> View:
        setattr(view, _FIND, find)
        return requires(scope)(view)

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
    find = getattr(current_app.view_functions[request.endpoint], _FIND, None)
    if scope == _PUBLIC:
        return
    found = None if find is None else find()
    g.key = _known_key(_presented() if found is None else found)
    if scope is None or not includes(g.key.scope, scope):
        raise Refused(403, "forbidden", f"a key of scope {g.key.scope} may not do this")
    if found is not None and g.key.scope != scope:
        raise Refused(403, "secret_in_address", f"a key of scope {g.key.scope} must not stand in an address")
    _check_origin(g.key)


def _known_key(text: str | None) -> KeyRow:
    if text is None:
        places = "Authorization: Bearer KEY, X-API-Key, or client_key to /track"
        raise Refused(401, "unauthorized", f"a key is required: {places}")
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
