"""Exposure tokens: an assignment that its visitor can hand back, and nobody can make up."""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import msgspec

from experiments.errors import InvalidSignature
from experiments.model import Exposure
from experiments.signing import Succession
from experiments.signing import sign
from experiments.signing import sign_all
from experiments.signing import unsign

_DAY_MS = 86_400_000


class Claim(NamedTuple):
    """What a token says; `weight` in ten-thousandths, `expires_ms` since 1970, UTC.

    The `context` is the visitor's when the arm was drawn; None where nothing of that is stored.
    """

    experiment: str
    segment: str
    arm: str
    epoch: int
    weight: int
    expires_ms: int
    context: str | None = None

    @property
    def fixed(self) -> Exposure:
        """What an exposure by this token fixes."""
        return Exposure(self.arm, self.segment, self.epoch, self.weight)


_CLAIM = msgspec.json.Decoder(Claim)


def expiry(now_ms: int, *, lifetime_seconds: int) -> int:
    """When a token issued now ends, on a whole day, so that an evaluation repeated on a day has the same body."""
    return (now_ms // _DAY_MS + 1) * _DAY_MS + lifetime_seconds * 1000


def issue(claim: Claim, visitor: str, *, key: Succession) -> str:
    """The token of an assignment, bound to its visitor."""
    return sign(_payload(claim), key=key, bound_to=visitor.encode("utf-8", "surrogatepass"))


def issue_all(claim: Claim, visitors: Iterable[str], *, key: Succession) -> list[str]:
    """The tokens of visitors who share an assignment, each bound to its own."""
    bound_to = [visitor.encode("utf-8", "surrogatepass") for visitor in visitors]
    return sign_all(_payload(claim), key=key, bound_to=bound_to)


def _payload(claim: Claim) -> bytes:
    # Without a context a token is what it was before there were any, which nodes of both versions read.
    return msgspec.json.encode(claim if claim.context is not None else claim[:-1])


def read(token: str, visitor: str, *, key: Succession) -> Claim:
    """What a token of this visitor says; the caller looks at `expires_ms`.

    :raises InvalidSignature: if it was not issued here for this visitor.
    """
    payload = unsign(token, key=key, bound_to=visitor.encode("utf-8", "surrogatepass"))
    try:
        return _claim(payload)
    except msgspec.DecodeError as error:
        raise InvalidSignature("the token holds something else") from error


# Only what is genuine comes here, and tokens of one assignment have their payload in common.
@lru_cache(maxsize=1 << 12)
def _claim(payload: bytes) -> Claim:
    return _CLAIM.decode(payload)
