"""Forms: what changes something comes from a page of this server, shown to the same browser."""

import hmac

from flask import request

from experiments.signing import derive_key
from service.current import current_installation
from service.errors import Refused
from service.people.sessions import browser_id

FIELD = "form_token"

_SAFE = ("GET", "HEAD", "OPTIONS")


def form_token() -> str:
    """What a form holds to show that this server made it for this browser."""
    return _token(current_installation().keyring.sessions.current)


def _token(key: bytes) -> str:
    return derive_key(key, browser_id()).hex()


def check_form() -> None:
    """See that a request that may change something was sent by a form of ours.

    :raises Refused: 403 if it comes from another site, or its form was not made for this browser.
    """
    if request.method not in _SAFE:
        _check_site()
        given = request.form.get(FIELD, "")
        if not _is_ours(given):
            raise Refused(403, "invalid_form", "the form has expired or is not this server's: open the page again")


def _is_ours(given: str) -> bool:
    keys = current_installation().keyring.sessions.all()
    return any(hmac.compare_digest(given.encode(), _token(key).encode()) for key in keys)


def _check_site() -> None:
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None and site != "same-origin":
        raise Refused(403, "other_site", f"Sec-Fetch-Site: {site[:40]} must be same-origin")
    # Browsers say the first only over https and to this machine. The scheme is a proxy's own.
    if origin is not None and origin.partition("://")[2] != request.host:
        raise Refused(403, "other_site", f"Origin: {origin[:200]} must be the host that is asked, {request.host}")
