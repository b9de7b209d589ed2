"""People: who may log in, as what, and with which password."""

import re
from collections.abc import Callable
from typing import Literal
from typing import get_args

from experiments.audit import Change
from experiments.audit import Deed
from experiments.audit import perform
from experiments.errors import InvalidUser
from experiments.errors import LastAdmin
from experiments.errors import UnknownUser
from experiments.errors import UserExists
from experiments.errors import shown
from experiments.storage.people import UserRow
from experiments.storage.session import Session
from experiments.storage.store import Store

#: Each role may do what those before it may.
Role = Literal["viewer", "editor", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 1000
_LONGEST_EMAIL = 254
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")


def suffices(role: str, wanted: Role) -> bool:
    """Whether somebody of this role may do what `wanted` allows."""
    return ROLES.index(wanted) <= ROLES.index(role)


def create_user(
    store: Store, email: str, *, role: str, password: str, hash_password: Callable[[str], str], deed: Deed
) -> UserRow:
    """Let somebody log in.

    :raises InvalidUser: if the e-mail, the role or the password is none.
    :raises UserExists: if the e-mail is taken.
    """
    _check_role(role)
    known_as = parse_email(email)
    row = UserRow(known_as, role, hash_password(_allowed(password, known_as)), deed.now_ms)

    def work(session: Session) -> Change[UserRow]:
        if not session.users.insert(row):
            raise UserExists(f"user {shown(row.email)} exists already")
        return Change(row, "user create", row.email, {"role": role})

    return perform(store, work, deed=deed)


def change_password(
    store: Store, email: str, *, password: str, hash_password: Callable[[str], str], deed: Deed
) -> None:
    """Give a user another password, and end every session of theirs.

    :raises UnknownUser: if there is none.
    :raises InvalidUser: if the password is none.
    """
    known_as = parse_email(email)
    password_hash = hash_password(_allowed(password, known_as))

    def work(session: Session) -> Change[None]:
        if not session.users.change_password(known_as, password_hash):
            raise UnknownUser(known_as)
        session.sessions.remove_of(known_as)
        return Change(None, "user password", known_as)

    perform(store, work, deed=deed)


def change_role(store: Store, email: str, *, role: str, deed: Deed) -> UserRow:
    """Give a user another role; servers ask for it at every request.

    :raises InvalidUser: if the role is none.
    :raises UnknownUser: if there is no such user.
    :raises LastAdmin: if nobody would be admin any more.
    """
    _check_role(role)
    known_as = parse_email(email)

    def work(session: Session) -> Change[UserRow]:
        user_by_email = {user.email: user for user in session.users.all()}
        user = user_by_email.pop(known_as, None)
        if user is None:
            raise UnknownUser(known_as)
        if user.role == "admin" and "admin" not in {role, *(other.role for other in user_by_email.values())}:
            raise LastAdmin(known_as)
        session.users.change_role(known_as, role)
        return Change(user._replace(role=role), "user role", known_as, {"role": role, "before": user.role})

    return perform(store, work, deed=deed)


def remove_user(store: Store, email: str, *, deed: Deed) -> None:
    """Let somebody log in no more, end every session of theirs and forget their drafts.

    :raises UnknownUser: if there is none.
    """
    known_as = parse_email(email)

    def work(session: Session) -> Change[None]:
        if not session.users.remove(known_as):
            raise UnknownUser(known_as)
        session.sessions.remove_of(known_as)
        session.drafts.remove_of(known_as)
        return Change(None, "user remove", known_as)

    perform(store, work, deed=deed)


def list_users(store: Store) -> list[UserRow]:
    """Everybody who may log in, by e-mail."""
    return store.read(lambda session: session.users.all())


def parse_email(text: str) -> str:
    """An e-mail address as users are known by it: in small letters.

    :raises InvalidUser: if it is none.
    """
    email = text.lower()
    if len(email) > _LONGEST_EMAIL or not email.isprintable() or not _EMAIL.fullmatch(email):
        raise InvalidUser(f"e-mail: {shown(text)} must be like ann@shop.example, at most {_LONGEST_EMAIL} characters")
    return email


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise InvalidUser(f"role: {shown(role)} must be one of {', '.join(ROLES)}")


def _allowed(password: str, email: str) -> str:
    # No error shows a password.
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        rule = f"must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters"
        raise InvalidUser(f"password: {rule}, it has {len(password)}")
    if password.lower() == email:
        raise InvalidUser("password: it must not be the e-mail itself")
    return password
