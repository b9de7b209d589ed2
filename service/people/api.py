"""The people who may log in, over HTTP: who there is, and as what."""

from typing import TypedDict

from flask import Blueprint
from flask import Response

from experiments.audit import Deed
from experiments.errors import InvalidUser
from experiments.errors import LastAdmin
from experiments.errors import UnknownUser
from experiments.errors import shown
from experiments.people import ROLES
from experiments.people import change_role
from experiments.people import list_users
from experiments.storage.people import UserRow
from experiments.times import iso
from service.auth import requires
from service.current import current_installation
from service.current import current_key
from service.reference.operations import Example
from service.reference.operations import TEXT
from service.reference.operations import describes
from service.requests.answers import json_answer
from service.requests.bodies import read_object

bp = Blueprint("users", __name__)

_MEMBERS = ("email", "role")
_ROLE_OF = {
    "type": "object", "required": [*_MEMBERS], "additionalProperties": False,
    "properties": {"email": TEXT, "role": {"type": "string", "enum": [*ROLES]}},
}


class User(TypedDict):
    """Somebody who may log in."""

    email: str
    role: str
    created_at: str


class Users(TypedDict):
    """Everybody who may log in, by e-mail."""

    users: list[User]


@bp.get("/v1/users")
@requires("admin")
@describes(answers={200: Users}, example=Example(path={}))
def read_users() -> Response:
    """Everybody who may log in."""
    return json_answer({"users": [_user(row) for row in list_users(current_installation().store)]})


# An e-mail stays out of addresses, which are logged.
@bp.post("/v1/users/role")
@requires("admin")
@describes(
    body=_ROLE_OF,
    answers={200: User},
    refuses=(InvalidUser, UnknownUser, LastAdmin),
    example=Example(path={}, body={"email": "ann@shop.example", "role": "editor"}, status=404),
)
def write_role() -> Response:
    """Give somebody another role, at once and wherever they are logged in."""
    body = read_object()
    if unknown := body.keys() - set(_MEMBERS):
        raise InvalidUser(f"{shown(min(unknown))} must be one of {', '.join(_MEMBERS)}")
    email, role = (_text(body, name) for name in _MEMBERS)
    installation = current_installation()
    deed = Deed(current_key().prefix, installation.clock.now_ms())
    return json_answer(_user(change_role(installation.store, email, role=role, deed=deed)))


def _text(body: dict[str, object], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise InvalidUser(f"{name}: {shown(value)} must be a text")
    return value


def _user(row: UserRow) -> User:
    return {"email": row.email, "role": row.role, "created_at": iso(row.created_ms)}
