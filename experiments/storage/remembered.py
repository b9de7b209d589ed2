"""Exposures that were looked up before, in memory of a bounded size: what they fixed does not change.

Of each visitor there are the number that stands for it in an experiment, and the place of what was fixed among all that
differ, which are few. So a visitor takes 20 bytes, and a search for garbage has nothing to look through.
"""

from mmap import MAP_ANONYMOUS
from mmap import MAP_PRIVATE
from mmap import mmap
from threading import Lock

from experiments.model import Exposure

_NUMBER_BYTES = 16
_ENTRY_BYTES = _NUMBER_BYTES + 4
_ENTRIES_EACH = 8
_BUCKET_BYTES = _ENTRIES_EACH * _ENTRY_BYTES
_BUCKETS = 1 << 18

#: How many exposures that differ there may be; with the table, 60 MB at most.
MOST_DIFFERENT = 1 << 16


class Remembered:
    """The newest exposures that were looked up, some two million of them; of memory it takes what it has used."""

    def __init__(self) -> None:
        # Nobody locks it: a bucket is read and written whole, in one step each. Of two threads that write one at the
        # same time, the later undoes what the other wrote, which is then looked up once more.
        self._table = mmap(-1, _BUCKETS * _BUCKET_BYTES, flags=MAP_PRIVATE | MAP_ANONYMOUS)
        self._different: list[Exposure] = []
        self._places: dict[Exposure, bytes] = {}
        self._adding = Lock()

    def get(self, number: int) -> Exposure | None:
        """What is known of whom this number of 128 bits stands for."""
        start = number % _BUCKETS * _BUCKET_BYTES
        bucket = self._table[start : start + _BUCKET_BYTES]
        # A number is as good as drawn at random: it is found where it was put, or nowhere.
        at = bucket.find(number.to_bytes(_NUMBER_BYTES, "little"))
        if at < 0:
            return None
        return self._different[int.from_bytes(bucket[at + _NUMBER_BYTES : at + _ENTRY_BYTES], "little")]

    def keep(self, number: int, exposure: Exposure) -> None:
        """Remember an exposure, in place of the oldest of its bucket."""
        start = number % _BUCKETS * _BUCKET_BYTES
        end = start + _BUCKET_BYTES
        entry = number.to_bytes(_NUMBER_BYTES, "little") + self._place(exposure)
        self._table[start:end] = entry + self._table[start : end - _ENTRY_BYTES]

    def is_full(self) -> bool:
        """Whether so much differs that an empty one should take its place."""
        return len(self._different) >= MOST_DIFFERENT

    def _place(self, exposure: Exposure) -> bytes:
        place = self._places.get(exposure)
        if place is not None:
            return place
        with self._adding:
            self._different.append(exposure)
            return self._places.setdefault(exposure, (len(self._different) - 1).to_bytes(4, "little"))
