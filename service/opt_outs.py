"""Opt-outs over HTTP: visitors who object, by ids that stay out of addresses and logs."""

from typing import TypedDict

from flask import Blueprint
from flask import Response

from experiments.errors import RejectedEvent
from experiments.errors import shown
from experiments.event_shape import Id
from experiments.privacy.opt_outs import opt_in
from experiments.privacy.opt_outs import opt_out
from experiments.privacy.opt_outs import standing
from experiments.times import iso
from service.auth import requires
from service.current import current_installation
from service.errors import Refused
from service.installation import Installation
from service.reference.operations import Example
from service.reference.operations import describes
from service.requests.answers import json_answer
from service.requests.bodies import read_object

bp = Blueprint("opt_outs", __name__, url_prefix="/v1/opt-outs")

_EXAMPLE = Example(path={}, body={"id": "ann"})
_CODES = {400: ("unknown_member",), 422: ("invalid_visitor",)}


class OptOutRequest(TypedDict):
    """The visitor whom it is about."""

    id: Id


class OptOut(TypedDict):
    """Whether the visitor objects, and since when that is so; null where nothing was ever said."""

    opted_out: bool
    since: str | None


@bp.post("")
@requires("server")
@describes(
    body=OptOutRequest, answers={200: OptOut}, refuses=(RejectedEvent,), codes=_CODES, example=_EXAMPLE,
)
def add() -> Response:
    """Let a visitor object: the mass arm from now on, and nothing more of theirs is stored or counted."""
    installation, visitor = current_installation(), _visitor()
    opt_out(
        installation.store, installation.snapshots, [visitor], keyring=installation.keyring,
        now_ms=installation.clock.now_ms(), log=installation.log,
    )
    return _standing(installation, visitor)


@bp.post("/remove")
@requires("server")
@describes(
    body=OptOutRequest, answers={200: OptOut}, refuses=(RejectedEvent,), codes=_CODES, example=_EXAMPLE,
)
def remove() -> Response:
    """Let a visitor take an objection back."""
    installation, visitor = current_installation(), _visitor()
    opt_in(
        installation.store, installation.snapshots, [visitor], keyring=installation.keyring,
        now_ms=installation.clock.now_ms(),
    )
    return _standing(installation, visitor)


@bp.post("/lookup")
@requires("server")
@describes(
    body=OptOutRequest, answers={200: OptOut}, refuses=(RejectedEvent,), codes=_CODES, example=_EXAMPLE,
)
def look_up() -> Response:
    """Whether a visitor objects."""
    return _standing(current_installation(), _visitor())


def _visitor() -> str:
    body = read_object()
    if unknown := body.keys() - OptOutRequest.__annotations__:
        raise Refused(400, "unknown_member", f"{shown(min(unknown))} must be id, the only member")
    value = body.get("id")
    if not isinstance(value, str):
        raise RejectedEvent("invalid_visitor", f"id: {shown(value)} must be a string")
    return value


def _standing(installation: Installation, visitor: str) -> Response:
    found = standing(installation.store, visitor, keyring=installation.keyring)
    since = None if found.since_ms is None else iso(found.since_ms)
    return json_answer({"opted_out": found.opted_out, "since": since})
