"""Folders of lines of JSON: as a source, whatever is appended there; as a sink, a file for each day's news."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from experiments.news import News
from experiments.outcome_sources import Fetched

_PATTERN = "*.ndjson"
_MOST_LINES = 1_000


class _Place(msgspec.Struct):
    """Up to where a folder has been read: files before this one whole."""

    file: str = ""
    offset: int = 0


class FolderSource:
    """The lines of a folder's files, in the order of their names; files only grow, and new ones come last."""

    def __init__(self, target: str) -> None:
        self._folder = Path(target)

    def __call__(self, reached: str) -> Fetched:
        """The lines that follow; one that is still being written waits."""
        place = msgspec.json.decode(reached, type=_Place) if reached else _Place()
        lines: list[bytes] = []
        for path in self._files(place.file):
            place = _Place(path.name, place.offset if path.name == place.file else 0)
            for line in _lines(path, place.offset):
                lines.append(line)
                place.offset += len(line)
                if len(lines) == _MOST_LINES:
                    return _fetched(lines, place)
        return _fetched(lines, place)

    def _files(self, first: str) -> list[Path]:
        if not self._folder.is_dir():
            raise FileNotFoundError(f"{self._folder} must be a folder that can be read")
        return sorted(path for path in self._folder.glob(_PATTERN) if path.name >= first)


def _lines(path: Path, offset: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if line.endswith(b"\n"):
                yield line


def _fetched(lines: list[bytes], place: _Place) -> Fetched:
    return Fetched([_event(line) for line in lines if line.strip()], msgspec.json.encode(place).decode())


def _event(line: bytes) -> dict[str, object]:
    try:
        found = msgspec.json.decode(line)
    except msgspec.DecodeError:
        found = None
    # What is no event is rejected by name with the others, and keeps nobody waiting.
    return found if isinstance(found, dict) else {"type": "unreadable"}


class FolderSink:
    """A line for each news, in a file of its day (UTC); made for whatever loads files into a warehouse."""

    def __init__(self, target: str) -> None:
        self._folder = Path(target)

    def __call__(self, news: News) -> None:
        """Append a line, on disk before this returns."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{news['time'][:10]}.ndjson").open("ab") as file:
            file.write(msgspec.json.encode(news) + b"\n")
            file.flush()
            os.fsync(file.fileno())
