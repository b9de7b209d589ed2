"""`Idempotency-Key`: a write that is sent again under its key takes effect once, and is answered as before."""

import hashlib
import re
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

from flask import Flask
from flask import Response
from flask import current_app
from flask import request

from experiments.errors import shown
from experiments.repetition import Claim
from experiments.repetition import Reply
from experiments.repetition import once
from experiments.storage.session import Session
from experiments.storage.store import Store
from service.current import current_installation
from service.current import current_key
from service.errors import Refused
from service.reference.operations import Parameter
from service.requests.answers import JSON

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
REFUSALS = {
    400: ("invalid_idempotency_key",),
    409: ("idempotency_in_flight",),
    422: ("idempotency_key_reused",),
}

T = TypeVar("T")
_EXTENSION = "idempotency"
_KEY = "[ -~]{1,255}"
PARAMETER = {
    HEADER: Parameter(
        {"type": "string", "pattern": f"^{_KEY}$"},
        "any text of yours: for 24 hours the same request under it is answered as before, and not done again",
    )
}


class InFlight:
    """The keys of the requests that are being worked on, each with the API key that it came with."""

    def __init__(self) -> None:
        self.held: set[tuple[str, str]] = set()
        self._lock = Lock()

    @contextmanager
    def hold(self, claim: Claim) -> Iterator[None]:
        """Keep others off a key for as long as its request takes.

        :raises Refused: 409 if one is being worked on.
        """
        holder = claim.actor, claim.key
        with self._lock:
            if holder in self.held:
                detail = f"{HEADER}: the request of {shown(claim.key)} is being worked on; try again"
                raise Refused(409, "idempotency_in_flight", detail)
            self.held.add(holder)
        try:
            yield
        finally:
            self.held.discard(holder)


def init_app(app: Flask) -> None:
    """Know which requests are being worked on."""
    app.extensions[_EXTENSION] = InFlight()


def answer_once(work: Callable[[Store], T], reply: Callable[[Session, T], Reply]) -> Response:
    """The answer to the request, from `work`'s result by `reply`; without a key it is simply done.

    :raises Refused: 400 if the key is none, 409 if its request is being worked on.
    """
    installation = current_installation()
    claim = _claim()
    if claim is None:
        result = work(installation.store)
        return _response(installation.store.read(lambda session: reply(session, result)))
    in_flight = current_app.extensions[_EXTENSION]
    with in_flight.hold(claim):
        now_ms = installation.clock.now_ms()
        return _response(once(installation.store, claim, work=work, reply=reply, now_ms=now_ms))


def _claim() -> Claim | None:
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not re.fullmatch(_KEY, key):
        rule = "must be 1 to 255 printable ASCII characters"
        raise Refused(400, "invalid_idempotency_key", f"{HEADER}: {shown(key)} {rule}")
    asked = f"{request.method} {request.path}\n".encode() + request.get_data()
    return Claim(current_key().prefix, key, hashlib.sha256(asked).digest())


def _response(reply: Reply) -> Response:
    response = Response(reply.body, reply.status, content_type=JSON)
    if reply.location is not None:
        response.location = reply.location
    if reply.is_repeated:
        response.headers[REPLAYED] = "true"
    return response
