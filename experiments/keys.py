"""Keys: made once, shown once, known again by the digest that is kept."""

import hashlib
import hmac
import re
from base64 import b32encode
from base64 import urlsafe_b64encode
from collections.abc import Callable
from collections.abc import Sequence
from typing import Literal
from typing import get_args

from experiments.audit import Change
from experiments.audit import Deed
from experiments.audit import configure
from experiments.errors import InvalidKey
from experiments.errors import UnknownKey
from experiments.errors import shown
from experiments.storage.configuration import KeyRow
from experiments.storage.session import Session
from experiments.storage.store import Store

Scope = Literal["client", "server", "report", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

#: The scopes that each scope includes.
_INCLUDED: dict[str, frozenset[str]] = {
    "client": frozenset({"client"}),
    "server": frozenset({"server", "client"}),
    "report": frozenset({"report"}),
    "admin": frozenset(SCOPES),
}

_PREFIX_LENGTH = 12
_LONGEST_NAME = 200
_ORIGIN = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


def includes(scope: str, wanted: Scope) -> bool:
    """Whether a key of this scope may do what `wanted` allows."""
    return wanted in _INCLUDED[scope]


def create_key(
    store: Store, *, scope: str, name: str, origins: Sequence[str], random: Callable[[int], bytes], deed: Deed
) -> str:
    """Make a key and keep its digest; the key itself is in the answer and nowhere else.

    `random` gives that many random bytes; `origins` are the only pages that may use the key, none for all.

    :raises InvalidKey: if the scope, the name or an origin is none.
    """
    if scope not in SCOPES:
        raise InvalidKey(f"scope: {shown(scope)} must be one of {', '.join(SCOPES)}")
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise InvalidKey(f"name: {shown(name)} must be at most {_LONGEST_NAME} printable characters")
    prefix = ("pk_" if scope == "client" else "sk_") + _readable(random(6))
    text = prefix + urlsafe_b64encode(random(32)).rstrip(b"=").decode()
    row = KeyRow(prefix, _digest(text), scope, name, tuple(map(_origin, origins)), deed.now_ms, None)

    def work(session: Session) -> Change[str]:
        session.keys.insert(row)
        return Change(text, "key create", prefix, {"scope": scope, "name": name, "origins": row.origins})

    return configure(store, work, deed=deed)


def list_keys(store: Store) -> list[KeyRow]:
    """Every key that was made, the oldest first, revoked ones too."""
    return store.read(lambda session: session.keys.all())


def revoke_key(store: Store, prefix: str, *, deed: Deed) -> None:
    """End a key, for good.

    :raises UnknownKey: if there is none of this prefix that has not ended.
    """

    def work(session: Session) -> Change[None]:
        if not session.keys.revoke(prefix, now_ms=deed.now_ms):
            raise UnknownKey(prefix)
        return Change(None, "key revoke", prefix)

    configure(store, work, deed=deed)


def check_key(text: str, find: Callable[[str], KeyRow | None]) -> KeyRow | None:
    """The row of a key that is good; `find` looks a prefix up. None if it is unknown, wrong or revoked."""
    row = find(text[:_PREFIX_LENGTH])
    if row is None or row.revoked_ms is not None:
        return None
    return row if hmac.compare_digest(row.digest, _digest(text)) else None


def _readable(data: bytes) -> str:
    return b32encode(data).decode().lower()[: _PREFIX_LENGTH - len("pk_")]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _origin(text: str) -> str:
    origin = text.lower().removesuffix("/")
    if not _ORIGIN.fullmatch(origin):
        raise InvalidKey(f"origin: {shown(text)} must be a scheme and a host: https://shop.example")
    # Browsers leave out the port that a scheme has anyway.
    return origin.removesuffix(":443" if origin.startswith("https:") else ":80")
