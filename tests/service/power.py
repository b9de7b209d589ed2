"""Losses of power: what a server wrote and synced, recorded call by call, and the files that a loss could have left.

What was synced is there. Of what was not, any write may be there or not, and one of them cut off in its midst: between
two syncs the disk keeps no order.
"""

import random
import re
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_SECTOR = 512
_CALLS = "pwrite64,fsync,fdatasync,ftruncate,unlink"
_BYTES = r"((?:\\x[0-9a-f]{2})*)"
_LINE = re.compile(rf'^(\d+\.\d+) (\w+)\((?:\d+<{_BYTES}>|"{_BYTES}")(?:, "{_BYTES}", \d+)?(?:, (\d+))?\) += (\d+)')

#: The database and its log; all else is made anew after a loss.
_FILES = ("bespoke.db", "bespoke.db-wal")


def recorded(trace: Path, line: Sequence[str]) -> list[str]:
    """A command line whose processes' calls are recorded, a file for each thread."""
    return ["strace", "-D", "-ff", "-ttt", "-y", "-xx", "-s", "8192", "-e", f"trace={_CALLS}", "-o", str(trace), *line]


class Call(NamedTuple):
    """What was done to a file and when: `data` written at a `place`; without data cut off there, or else synced."""

    at: float
    file: str
    data: bytes
    place: int | None

    def change(self, content: bytearray, *, length: int | None = None) -> None:
        """Do it to a file's content, or only its first bytes."""
        assert self.place is not None, "a sync changes nothing"
        if not self.data:
            del content[self.place :]
        content.extend(bytes(max(0, self.place - len(content))))
        data = self.data[:length]
        content[self.place : self.place + len(data)] = data


def calls(trace: Path) -> list[Call]:
    """The calls of all threads on the database and its log, in order."""
    parts = trace.parent.glob(f"{trace.name}.*")
    found = [call for part in parts for line in part.read_text().splitlines() for call in _call(line)]
    return sorted(found, key=lambda call: call.at)


def _call(line: str) -> Iterator[Call]:
    read = _LINE.match(line)
    if read is None:
        return
    at, name, described, named, data, number, _ = read.groups()
    file = Path(_decoded(described or named).decode()).name
    if file not in _FILES:
        return
    is_sync = name in ("fsync", "fdatasync")
    yield Call(float(at), file, _decoded(data or ""), None if is_sync else int(number or 0))


def _decoded(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


class Disk:
    """The files as synced, and the calls since then, of which a loss may undo any."""

    def __init__(self, folder: Path) -> None:
        self._synced = {name: bytearray(_content(folder / name)) for name in _FILES}
        self._since: dict[str, list[Call]] = {name: [] for name in _FILES}

    def do(self, call: Call) -> None:
        """Let a call be made."""
        if call.place is not None:
            self._since[call.file].append(call)
            return
        for each in self._since[call.file]:
            each.change(self._synced[call.file])
        self._since[call.file].clear()

    def lose_power(self, folder: Path, *, chance: float, random: random.Random) -> None:
        """Leave files as they may be found after a loss now; each call since the last sync has a chance to be there."""
        for name, synced in self._synced.items():
            content = bytearray(synced)
            for call in self._since[name]:
                if random.random() < chance:
                    is_torn = chance < 1 and random.random() < 0.1
                    call.change(content, length=_SECTOR * random.randrange(1, 8) if is_torn else None)
            (folder / name).write_bytes(content)


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""
