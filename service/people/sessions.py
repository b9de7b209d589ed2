"""The id by which a browser is known: in a cookie that scripts and other sites do not get."""

import re
import secrets

from flask import Response
from flask import after_this_request
from flask import g
from flask import request

from service.current import current_installation

_NAME = "bespoke_session"
#: Browsers keep a cookie of this prefix only from the host itself and over https: no neighbour can plant one.
_PREFIX = "__Host-"
_ID = re.compile(r"[\w-]{43}", re.ASCII)


def browser_id() -> str:
    """The id that the request came with; a browser without one gets one, by which nobody is logged in."""
    if "browser_id" not in g:
        g.browser_id = presented_id() or _fresh()
    return str(g.browser_id)


def presented_id() -> str | None:
    """The id that the request came with, or None."""
    text = request.cookies.get(_name(), "")
    return text if _ID.fullmatch(text) else None


def keep_id(response: Response, browser_id: str, *, lifetime_seconds: int | None = None) -> Response:
    """Let the browser keep an id, for so long or until it is closed."""
    response.set_cookie(
        _name(), browser_id, max_age=lifetime_seconds, secure=_is_secure(), httponly=True, samesite="Lax", path="/"
    )
    return response


def forget_id(response: Response) -> Response:
    """Let the browser forget its id."""
    response.delete_cookie(_name(), secure=_is_secure(), httponly=True, samesite="Lax", path="/")
    return response


def _fresh() -> str:
    made = secrets.token_urlsafe(32)

    @after_this_request
    def keep(response: Response) -> Response:
        return keep_id(response, made)

    return made


def _name() -> str:
    return _PREFIX + _NAME if _is_secure() else _NAME


def _is_secure() -> bool:
    return request.is_secure or current_installation().config.https == "always"
