"""Who was never exposed, known without asking the database: most visitors that are evaluated are of these.

A Bloom filter (B. H. Bloom, Space/time trade-offs in hash coding with allowable errors, Communications of the ACM 13,
1970) holds everybody who was exposed: whom it does not hold was never exposed, whom it holds has to be looked up.
"""

import hashlib
from collections.abc import Callable
from collections.abc import Iterable
from functools import lru_cache
from functools import partial
from pathlib import Path
from threading import Event
from threading import Lock
from typing import Any

from experiments.storage.commits import CommitsBeside
from experiments.storage.session import Session
from experiments.storage.visitors import VisitorKey

# With ten bits a visitor and four places, one in eighty who was not exposed is looked up all the same.
_BITS_EACH = 10
_FIRST_BITS = 1 << 19
_GROWTH = 8
_CHUNK = 10_000

_Places = tuple[int, int, int, int]


class Exposed:
    """Everybody who was exposed, through this process or another that writes to the same database."""

    def __init__(self, path: Path) -> None:
        self._commits = CommitsBeside(path)
        self._layers = [_Layer(_FIRST_BITS)]
        self._adding = Lock()
        self._is_filled = False
        self._newest_event = 0
        # The number of commits beside this process at which nobody is missing.
        self._complete: int | None = None

    def may_hold(self, key: VisitorKey) -> bool:
        """Whether a visitor may have been exposed; a no is certain."""
        if self._commits.count() != self._complete:
            return True
        places = _places(key)
        return any(layer.holds(places) for layer in self._layers)

    def add(self, keys: Iterable[VisitorKey]) -> None:
        """Hold these, before anybody else can see that they were exposed."""
        with self._adding:
            for places in map(_places, keys):
                self._room().add(places)

    def _room(self) -> "_Layer":
        if self._layers[-1].is_full():
            self._layers.append(_Layer(self._layers[-1].bits * _GROWTH))
        return self._layers[-1]

    def fill(self, read: Callable[[Callable[[Session], Any]], Any], stopped: Event) -> None:
        """Hold all who were exposed before; others may write meanwhile."""
        self._newest_event = read(lambda session: session.events.newest())
        keys: list[VisitorKey] = [("", b"")]
        while keys and not stopped.is_set():
            # Some at a time: a long read would keep the log from being taken in.
            keys = read(partial(_chunk, after=keys[-1]))
            self.add(keys)
        self._is_filled = not keys

    def is_behind(self) -> bool:
        """Whether others have committed, and `follow` must look what."""
        return self._is_filled and self._commits.count() != self._complete

    def follow(self, session: Session) -> None:
        """Hold whom others have exposed; in a write transaction, in which nobody else can announce a commit."""
        if not self._is_filled:
            return
        if self.is_behind():
            self.add(session.exposures.keys_by_events(after=self._newest_event))
            self._complete = self._commits.count()
        self._newest_event = session.events.newest()

    def close(self) -> None:
        """Hold no more."""
        self._complete = None
        self._commits.close()


def _chunk(session: Session, *, after: VisitorKey) -> list[VisitorKey]:
    return session.exposures.keys(after=after, limit=_CHUNK)


class _Layer:
    """A filter of fixed size; where it is full, a larger one goes on."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self._left = bits // _BITS_EACH
        self._bytes = bytearray(bits // 8)

    def is_full(self) -> bool:
        return self._left <= 0

    def add(self, places: _Places) -> None:
        self._left -= 1
        for place in places:
            place %= self.bits
            self._bytes[place >> 3] |= 1 << (place & 7)

    def holds(self, places: _Places) -> bool:
        for place in places:
            place %= self.bits
            if not self._bytes[place >> 3] >> (place & 7) & 1:
                return False
        return True


def _places(key: VisitorKey) -> _Places:
    """Four numbers of 32 bits, as evenly spread as the stand-in for the visitor, which is a keyed hash."""
    experiment, visitor = key
    number = int.from_bytes(visitor, "little") ^ _salt(experiment)
    return number & 0xFFFFFFFF, number >> 32 & 0xFFFFFFFF, number >> 64 & 0xFFFFFFFF, number >> 96 & 0xFFFFFFFF


@lru_cache(maxsize=1 << 14)
def _salt(experiment: str) -> int:
    return int.from_bytes(hashlib.blake2b(experiment.encode(), digest_size=16).digest(), "little")
