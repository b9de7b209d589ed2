"""The log as it lies on disk: whether all that was acknowledged in it can still be read.

SQLite reads the log up to the first frame that does not hold together, and says nothing of what follows. After a crash
that is right: one transaction may be half on disk, and it is the last, since each is synced before the next begins.
Where the ends of more than one follow, the disk has lost what it had kept.

https://www.sqlite.org/fileformat2.html#walformat
"""

import struct
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.storage.sqlite import damaged

# SQLite's own choice, which nobody here changes.
_PAGE_SIZE = 4096
_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_SUMMED_HEADER = 24
_SUMMED_FRAME = 8

_Pair = tuple[int, int]


class _Frame(NamedTuple):
    """A page of a transaction, which `ends` with its last; salts change whenever the log begins anew."""

    ends: bool
    salts: _Pair
    sums: _Pair
    summed: bytes


def check_log(path: Path) -> None:
    """Look whether the log holds together; before anybody opens the database, since that leaves out what does not.

    :raises StorageDamaged: if it breaks off before transactions that were acknowledged.
    """
    log = Path(f"{path}-wal")
    # Twice: where a command writes meanwhile, its transaction is whole by then.
    if all(_breaks_off(log.read_bytes() if log.exists() else b"") for _ in range(2)):
        raise damaged(path, "its log breaks off before transactions that were acknowledged")


def _breaks_off(data: bytes) -> bool:
    frames = list(_frames(data))
    if not frames:
        return False
    magic, _, _, _, *salts, first, second = _HEADER.unpack_from(data)
    sums, order = (first, second), ">" if magic & 1 else "<"
    if _summed((0, 0), data[:_SUMMED_HEADER], order) != sums:
        return _ends(frames, frames[0].salts) > 1
    for number, frame in enumerate(frames):
        sums = _summed(sums, frame.summed, order)
        if (list(frame.salts), frame.sums) != (salts, sums):
            return _ends(frames[number:], (salts[0], salts[1])) > 1
    return False


def _ends(frames: Sequence[_Frame], salts: _Pair) -> int:
    return sum(frame.ends and frame.salts == salts for frame in frames)


def _frames(data: bytes) -> Iterator[_Frame]:
    size = _FRAME.size + _PAGE_SIZE
    for start in range(_HEADER.size, len(data) - size + 1, size):
        _, pages, salt, other, first, second = _FRAME.unpack_from(data, start)
        summed = data[start : start + _SUMMED_FRAME] + data[start + _FRAME.size : start + size]
        yield _Frame(pages > 0, (salt, other), (first, second), summed)


def _summed(sums: _Pair, data: bytes, order: str) -> _Pair:
    first, second = sums
    for one, other in struct.iter_unpack(f"{order}2I", data):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return first, second
