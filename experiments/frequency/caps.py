"""Frequency caps: how many exposures a visitor may have in a span, and who has had them. Pure.

A cap is the same whatever arm a visitor has, controls included: else exposure would depend on the arm. Where an
experiment draws it, it is computed from the visitor's stand-in, by a hash that has nothing to do with the arm's.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

from experiments.model import Frequency

_SEED = b"frequency"
#: The draw takes so many bytes of the hash: what is left over of them is less than any sample shows.
_BYTES = 8


class Cap(NamedTuple):
    """At most so many exposures in a span that ends now."""

    most: int
    seconds: int

    def is_reached(self, exposed_ms: Iterable[int], *, now_ms: int) -> bool:
        """Whether these exposures leave no room for another one."""
        since_ms = now_ms - self.seconds * 1000
        return sum(since_ms < at_ms <= now_ms for at_ms in exposed_ms) >= self.most


def cap_of(experiment: str, frequency: Frequency, stand_in: bytes) -> Cap:
    """The visitor's own cap in an experiment."""
    drawn = int.from_bytes(sha256(b"\0".join((_SEED, experiment.encode(), stand_in))).digest()[:_BYTES], "big")
    return Cap(frequency.caps[drawn * len(frequency.caps) >> 8 * _BYTES], frequency.per_seconds)
