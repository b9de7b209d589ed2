"""Texts that only this installation can have made: a payload and its keyed mark, safe in an address.

Keys are derived one for each purpose, so that a mark made for one is void for another: those that outlast a secret from
the installation's root, and those that only sign from the secret itself.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from binascii import b2a_base64
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from experiments.errors import InvalidSignature

_MARK_BYTES = 16
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_MARK_LETTERS = 22
#: Brings a mark to whole groups of base64, so that many can be written at once.
_FILLING = bytes(2)

# Of HMAC with SHA-256, for keys that are no longer than a block.
_BLOCK_BYTES = 64
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


class Succession(NamedTuple):
    """A secret or a key that signs, and the one before or after it, which is still good while one follows the other."""

    current: bytes
    previous: bytes | None = None

    def all(self) -> tuple[bytes, ...]:
        """Those that are good."""
        return (self.current,) if self.previous is None else (self.current, self.previous)

    def derived(self, purpose: str) -> "Succession":
        """The keys for one purpose."""
        return Succession(*(derive_key(secret, purpose) for secret in self.all()))


@dataclass(frozen=True)
class Keyring:
    """The installation's keys, one for each purpose; visitors, their tombstones and exports keep theirs for good."""

    visitors: bytes
    tombstones: bytes
    exports: bytes
    tokens: Succession
    links: Succession
    sessions: Succession
    fingerprint: str


def keyring(root: bytes, secrets: Succession | None = None) -> Keyring:
    """All keys; the root is the only secret where none are given.

    The fingerprint is what databases keep of the root: enough to know it again, too little to make it.
    """
    secrets = secrets or Succession(root)
    return Keyring(
        visitors=derive_key(root, "visitors"),
        tombstones=derive_key(root, "tombstones"),
        exports=derive_key(root, "exports"),
        tokens=secrets.derived("tokens"),
        links=secrets.derived("links"),
        sessions=secrets.derived("sessions"),
        fingerprint=derive_key(root, "fingerprint").hex()[:32],
    )


def derive_key(secret: bytes, purpose: str) -> bytes:
    """The 32-byte key for one purpose."""
    return hmac.digest(secret, b"bespoke/" + purpose.encode(), "sha256")


def pseudonym(visitor: str, *, key: bytes) -> bytes:
    """The 16 bytes that stand for a visitor on disk; the id itself is never stored."""
    return _mark(key, visitor.encode("utf-8", "surrogatepass"))


def pseudonyms(visitors: Iterable[str], *, key: bytes) -> list[bytes]:
    """What `pseudonym` gives for each visitor, at a third of the cost."""
    return _marks(key, (visitor.encode("utf-8", "surrogatepass") for visitor in visitors))


def disguised(stand_ins: Iterable[bytes], *, key: bytes, within: str = "") -> list[bytes]:
    """What stands for stand-ins where nobody may know them again; another one `within` each name."""
    return _marks(key, stand_ins, after=_measured(within.encode()))


def sign(payload: bytes, *, key: Succession, bound_to: bytes = b"") -> str:
    """`payload` and its mark as one text; `bound_to` must be shown again to open it, but is not inside."""
    return _head(payload) + _encode(_mark(key.current, _measured(payload) + bound_to))


def sign_all(payload: bytes, *, key: Succession, bound_to: Iterable[bytes]) -> list[str]:
    """What `sign` gives for each of `bound_to`, at a third of the cost."""
    head = _head(payload)
    marks = _marks(key.current, bound_to, after=_measured(payload))
    letters = urlsafe_b64encode(_FILLING.join([*marks, b""])).decode()
    return [head + letters[start : start + _MARK_LETTERS] for start in range(0, len(letters), _MARK_LETTERS + 2)]


def unsign(text: str, *, key: Succession, bound_to: bytes = b"") -> bytes:
    """The payload of a signed text.

    :raises InvalidSignature: if it was not signed with `key` for `bound_to`.
    """
    try:
        encoded, mark = text.split(".")
        payload = _decode(encoded)
        genuine = _is_genuine(_decode(mark), _measured(payload) + bound_to, key=key)
    except (ValueError, Base64Error) as error:
        raise InvalidSignature("the signed text is malformed") from error
    if not genuine:
        raise InvalidSignature("the signature does not match")
    return payload


def _is_genuine(mark: bytes, signed: bytes, *, key: Succession) -> bool:
    return any(hmac.compare_digest(mark, _mark(each, signed)) for each in key.all())


def _mark(key: bytes, payload: bytes) -> bytes:
    inner, outer = _states(key)
    within, around = inner.copy(), outer.copy()
    within.update(payload)
    around.update(within.digest())
    return around.digest()[:_MARK_BYTES]


def _measured(payload: bytes) -> bytes:
    """A payload that can be told from what follows it."""
    return len(payload).to_bytes(4) + payload


def _marks(key: bytes, payloads: Iterable[bytes], *, after: bytes = b"") -> list[bytes]:
    """HMAC-SHA256 as RFC 2104 defines it, cut: states copied after the key went in cost a third of `hmac.digest`.

    What all payloads come `after` goes in once, too.
    """
    inner, outer = (state.copy() for state in _states(key))
    inner.update(after)
    copy_inner, copy_outer = inner.copy, outer.copy
    marks = []
    for payload in payloads:
        within, around = copy_inner(), copy_outer()
        within.update(payload)
        around.update(within.digest())
        marks.append(around.digest()[:_MARK_BYTES])
    return marks


@lru_cache(maxsize=16)
def _states(key: bytes) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    block = key.ljust(_BLOCK_BYTES, b"\0")
    return hashlib.sha256(block.translate(_INNER_PAD)), hashlib.sha256(block.translate(_OUTER_PAD))


# Tokens of one assignment have their payload in common.
@lru_cache(maxsize=1 << 12)
def _head(payload: bytes) -> str:
    return _encode(payload) + "."


def _encode(data: bytes) -> str:
    return b2a_base64(data, newline=False).translate(_TO_URL_SAFE).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return a2b_base64(text.encode("ascii").translate(_FROM_URL_SAFE) + b"=" * (-len(text) % 4))
