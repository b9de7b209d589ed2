"""Passwords: hashed slowly and with much memory, so that a stolen database gives none of them away."""

import os
from base64 import b64encode
from unicodedata import normalize

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

_HASHER = PasswordHasher()


def hash_password(password: str) -> str:
    """What is kept of a password."""
    return _HASHER.hash(_typed(password))


def verify_password(password: str, password_hash: str | None) -> bool:
    """Whether it is the password of this hash; where there is none it is not, and to find that takes as long."""
    try:
        return _HASHER.verify(password_hash or nobodys_hash(), _typed(password))
    except VerifyMismatchError:
        return False


def nobodys_hash() -> str:
    """A hash as costly as those of users, of a password that nobody knows."""
    cost = f"m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}"
    return f"$argon2id$v=19${cost}${_random(_HASHER.salt_len)}${_random(_HASHER.hash_len)}"


def _random(length: int) -> str:
    return b64encode(os.urandom(length)).rstrip(b"=").decode()


def _typed(password: str) -> str:
    # Keyboards differ in how they compose one and the same letter.
    return normalize("NFKC", password)
