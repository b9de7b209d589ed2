"""Logins: a password gets a session, and its id says from then on who somebody is."""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import NamedTuple
from typing import NoReturn

from experiments.audit import Change
from experiments.audit import Deed
from experiments.audit import perform
from experiments.errors import WrongLogin
from experiments.storage.people import SessionRow
from experiments.storage.people import UserRow
from experiments.storage.session import Session
from experiments.storage.store import Store

#: What the audit log calls whoever it does not know: what they typed may be a password in the wrong field.
NOBODY = "somebody"

_SEEN_AGAIN_MS = 60_000


class Person(NamedTuple):
    """Somebody who is logged in, and the session by which they are known."""

    email: str
    role: str
    session: SessionRow


class Attempt(NamedTuple):
    """What somebody logs in with; `session_id` is what their browser was known by before."""

    email: str
    password: str
    address: str
    session_id: str


def log_in(
    store: Store,
    attempt: Attempt,
    *,
    verify_password: Callable[[str, str | None], bool],
    lifetime_seconds: int,
    now_ms: int,
    random: Callable[[int], bytes],
) -> str:
    """The id of a new session: it is in the answer and nowhere else.

    `verify_password` compares a password with a hash, and takes as long where there is none; `random` gives that many
    random bytes.

    :raises WrongLogin: if there is no such user, or another password.
    """
    user = store.read(lambda session: session.users.get(attempt.email))
    # Slow on purpose, so it must not hold the writer.
    if not verify_password(attempt.password, user.password_hash if user else None) or user is None:
        _refuse(store, attempt, user, now_ms=now_ms)
    session_id = urlsafe_b64encode(random(32)).rstrip(b"=").decode()
    row = SessionRow(session_digest(session_id), user.email, now_ms, now_ms, now_ms + lifetime_seconds * 1000)

    def work(session: Session) -> Change[str]:
        if session.users.get(user.email) != user:
            raise WrongLogin("the user was changed a moment ago: try again")
        session.sessions.remove_expired(now_ms=now_ms)
        session.sessions.remove(session_digest(attempt.session_id))
        session.sessions.insert(row)
        return Change(session_id, "login", user.email, {"address": attempt.address})

    return perform(store, work, deed=Deed(user.email, now_ms))


def _refuse(store: Store, attempt: Attempt, user: UserRow | None, *, now_ms: int) -> NoReturn:
    failed = Change(None, "login failed", user.email if user else NOBODY, {"address": attempt.address})
    perform(store, lambda session: failed, deed=Deed(NOBODY, now_ms))
    raise WrongLogin("the e-mail or the password is wrong")


def log_out(store: Store, person: Person, *, now_ms: int) -> None:
    """End a session."""

    def work(session: Session) -> Change[None]:
        session.sessions.remove(person.session.digest)
        return Change(None, "logout", person.email)

    perform(store, work, deed=Deed(person.email, now_ms))


def person_of(store: Store, session_id: str, *, now_ms: int) -> Person | None:
    """Who is logged in by the session of this id; None where nobody is, or is no longer."""

    def look(session: Session) -> Person | None:
        row = session.sessions.get(session_digest(session_id))
        if row is None or row.expires_ms <= now_ms:
            return None
        user = session.users.get(row.email)
        return None if user is None else Person(user.email, user.role, row)

    return store.read(look)


def mark_seen(store: Store, person: Person, *, now_ms: int) -> None:
    """Remember that a session is in use, to the minute."""
    if now_ms - person.session.seen_ms >= _SEEN_AGAIN_MS:
        store.transact(lambda session: session.sessions.mark_seen(person.session.digest, now_ms=now_ms))


def session_digest(session_id: str) -> bytes:
    """What is kept of a session's id: enough to know it again."""
    return hashlib.sha256(session_id.encode()).digest()
