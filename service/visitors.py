"""A visitor's rights over HTTP: to read all that is known, and to have it erased."""

from typing import TypedDict

from flask import Blueprint
from flask import Response

from experiments.audit import Deed
from experiments.errors import shown
from experiments.event_shape import Id
from experiments.privacy.access import Access
from experiments.privacy.access import access
from experiments.privacy.erasure import Erased
from experiments.privacy.erasure import erase
from experiments.times import iso
from service.auth import requires
from service.current import current_installation
from service.current import current_key
from service.errors import Refused
from service.reference.operations import Example
from service.reference.operations import describes
from service.requests.answers import json_answer
from service.requests.bodies import read_object

bp = Blueprint("visitors", __name__, url_prefix="/v1/visitors")

_ANN = Example(path={}, body={"id": "ann"})


class OfVisitor(TypedDict):
    """Whose rights they are."""

    id: Id


class Erasure(TypedDict):
    """How many exposures and events are gone, and until when nothing that still comes of the visitor is stored."""

    exposures: int
    events: int
    erased_until: str


# An id stays out of addresses, which are logged.
@bp.post("/lookup")
@requires("admin")
@describes(
    body=OfVisitor,
    answers={200: Access},
    codes={400: ("unknown_member",), 422: ("invalid_visitor",)},
    example=_ANN,
)
def lookup() -> Response:
    """All that is known of a visitor."""
    installation = current_installation()
    return json_answer(access(installation.store, _id(), keyring=installation.keyring))


@bp.post("/erase")
@requires("admin")
@describes(
    body=OfVisitor,
    answers={200: Erasure},
    codes={400: ("unknown_member",), 422: ("invalid_visitor",)},
    example=_ANN,
)
def erase_visitor() -> Response:
    """Erase a visitor: counts stay, and events that still come are ignored."""
    visitor, installation = _id(), current_installation()
    deed = Deed(current_key().prefix, installation.clock.now_ms())
    erased = erase(
        installation.store, visitor, keyring=installation.keyring, remembering=installation.remembering(), deed=deed
    )
    installation.snapshots.refresh()
    return json_answer(erasure(erased))


def erasure(erased: Erased) -> Erasure:
    """What an erasure has come to, for people and programs."""
    return {"exposures": erased.exposures, "events": erased.events, "erased_until": iso(erased.until_ms)}


def _id() -> object:
    body = read_object()
    if unknown := body.keys() - {"id"}:
        raise Refused(400, "unknown_member", f"{shown(min(unknown))} must be id, the only thing that is asked for")
    return body.get("id")
