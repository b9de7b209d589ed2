"""Who was exposed, and who never was, mostly known without asking the database.

A Bloom filter (B. H. Bloom, Space/time trade-offs in hash coding with allowable errors, Communications of the ACM 13,
1970) holds everybody who was exposed: whom it does not hold was never exposed, whom it holds has to be looked up, once.
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

from experiments.model import Exposure
from experiments.storage.commits import CommitsBeside
from experiments.storage.remembered import Remembered
from experiments.storage.session import Session
from experiments.storage.visitors import VisitorKey

# With ten bits a visitor and four places, one in eighty who was not exposed is looked up all the same.
_BITS_EACH = 10
_FIRST_BITS = 1 << 19
_GROWTH = 8
_CHUNK = 10_000

_PLACES = 4
_PLACE_BITS = 32


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
        self._remembered = Remembered()

    def exposure(self, key: VisitorKey, look_up: Callable[[VisitorKey], Exposure | None]) -> Exposure | None:
        """What an exposure of the visitor fixed, looked up where that has to be; None if there was none."""
        number = number_of(key)
        if not self._may_hold(number):
            return None
        remembered = self._remembered
        return remembered.get(number) or self._looked_up(key, number, look_up, remembered)

    def _looked_up(
        self,
        key: VisitorKey,
        number: int,
        look_up: Callable[[VisitorKey], Exposure | None],
        remembered: Remembered,
    ) -> Exposure | None:
        found = look_up(key)
        if found is not None:
            # Where it was missed: what has been forgotten meanwhile is not known again by this.
            remembered.keep(number, found)
        if remembered.is_full():
            self.forget()
        return found

    def forget(self) -> None:
        """Look everybody up anew who was exposed; for when exposures have been removed."""
        self._remembered = Remembered()

    def may_hold(self, key: VisitorKey) -> bool:
        """Whether a visitor may have been exposed; a no is certain."""
        return self._may_hold(number_of(key))

    def _may_hold(self, number: int) -> bool:
        if self._commits.count() != self._complete:
            return True
        for layer in self._layers:
            if layer.holds(number):
                return True
        return False

    def add(self, keys: Iterable[VisitorKey]) -> None:
        """Hold these, before anybody else can see that they were exposed."""
        with self._adding:
            for number in map(number_of, keys):
                self._room().add(number)

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
        self._mask = min(bits, 1 << _PLACE_BITS) - 1
        self._left = bits // _BITS_EACH
        self._bytes = bytearray(bits // 8)

    def is_full(self) -> bool:
        return self._left <= 0

    def add(self, number: int) -> None:
        self._left -= 1
        for _ in range(_PLACES):
            place = number & self._mask
            self._bytes[place >> 3] |= 1 << (place & 7)
            number >>= _PLACE_BITS

    def holds(self, number: int) -> bool:
        for _ in range(_PLACES):
            place = number & self._mask
            if not self._bytes[place >> 3] >> (place & 7) & 1:
                return False
            number >>= _PLACE_BITS
        return True


def number_of(key: VisitorKey) -> int:
    """A number of 128 bits for a visitor in an experiment, as evenly spread as the stand-in, which is a keyed hash."""
    experiment, visitor = key
    return int.from_bytes(visitor, "little") ^ _salt(experiment)


@lru_cache(maxsize=1 << 14)
def _salt(experiment: str) -> int:
    return int.from_bytes(hashlib.blake2b(experiment.encode(), digest_size=16).digest(), "little")
