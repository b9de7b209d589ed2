"""The spool: what a node has accepted, on its own disk until the shards have it.

A folder for each process that ever appended, `writer` by name, with files of records that are only appended to. Whoever
starts takes over the folders of processes that have ended. A file goes once everything in it has been passed.
"""

import secrets
import shutil
from collections import Counter
from collections import deque
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from errno import ENOSPC
from io import FileIO
from itertools import count
from os import strerror
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from experiments.errors import StorageFull
from experiments.storage.spool_disk import SpoolDisk
from experiments.storage.spool_folders import free
from experiments.storage.spool_folders import is_new
from experiments.storage.spool_folders import keep_names
from experiments.storage.spool_folders import taken
from experiments.storage.spool_records import HEAD_BYTES
from experiments.storage.spool_records import Record
from experiments.storage.spool_records import head
from experiments.storage.spool_records import records

_FILE_BYTES = 16 << 20
_NAME_BYTES = 8


class Source(NamedTuple):
    """Where numbers have no gaps: what one process has appended for one partition."""

    writer: str
    partition: int


class Entry(NamedTuple):
    """What was appended at once for a partition, by its number there."""

    source: Source
    number: int
    at_ms: int
    body: bytes


class Waits(NamedTuple):
    """What waits of a process: since when, None where nothing does; how many entries; the bytes of its files.

    What is appended from now on has the time `at_ms` or a later one.
    """

    since_ms: int | None
    at_ms: int
    entries: int
    bytes: int


class _Place(NamedTuple):
    """Where an entry is."""

    number: int
    at_ms: int
    file: "_File"
    offset: int
    length: int


@dataclass(eq=False)
class _File:
    """A file of records, and how many of them have not been passed."""

    path: Path
    kept: int = 0
    is_full: bool = False


@dataclass
class Spool:
    """The entries of one process, and of those that ended before it, until they are passed; its `disk` may fail."""

    folder: Path
    now_ms: Callable[[], int]
    writer: str = field(default_factory=lambda: secrets.token_hex(_NAME_BYTES))

    def __post_init__(self) -> None:
        self._lock, self._syncing = Lock(), Lock()
        self._places: dict[Source, deque[_Place]] = {}
        self._numbers: dict[int, int] = {}
        self._files = count(1)
        self._written = self._synced = 0
        self.disk = SpoolDisk(self.folder)
        self._locks = {self.writer: taken(self.folder / self.writer)}
        self.adopt()
        self._file, self._stream = self._opened()

    def append(self, bodies: Mapping[int, bytes]) -> list[Entry]:
        """Keep what was accepted for each partition; on disk when this returns.

        :raises StorageFull: if there is no space; nothing is kept.
        :raises StorageError: if the disk has failed, now or before.
        """
        self.disk.check()
        with self._lock:
            at_ms = self.now_ms()
            entries = [
                Entry(Source(self.writer, partition), self._numbers.get(partition, 0) + 1, at_ms, body)
                for partition, body in bodies.items()
            ]
            self._write(entries)
            self._written += 1
            written = self._written
        self._sync(written)
        return entries

    def _write(self, entries: Sequence[Entry]) -> None:
        start, written = self._stream.tell(), b"".join(map(_record, entries))
        try:
            if self._stream.write(written) != len(written):
                raise OSError(ENOSPC, strerror(ENOSPC))
        except OSError as error:
            # Of a number that was given and not kept nothing after it would ever be applied.
            self._undo(start)
            raise StorageFull(f"no space is left for {self.folder}: {error.strerror}") from error
        for (source, number, at_ms, body) in entries:
            self._numbers[source.partition] = number
            start += HEAD_BYTES
            self._places.setdefault(source, deque()).append(_Place(number, at_ms, self._file, start, len(body)))
            start += len(body)
            self._file.kept += 1

    def _undo(self, start: int) -> None:
        """Let the next record begin where this one did."""
        self._stream.truncate(start)
        self._stream.seek(start)

    def _sync(self, written: int) -> None:
        """Have it on disk, with all that others have written meanwhile."""
        with self._syncing:
            if self._synced >= written:
                return
            with self._lock:
                written, stream = self._written, self._stream
            self.disk.flush(stream)
            self._synced = written
            if stream.tell() > _FILE_BYTES:
                self._begin_file()

    def _begin_file(self) -> None:
        with self._lock:
            self.disk.flush(self._stream)
            self._synced = self._written
            self._stream.close()
            full, (self._file, self._stream) = self._file, self._opened()
            full.is_full = True
            self._drop(full)

    def _opened(self) -> tuple[_File, FileIO]:
        folder = self.folder / self.writer
        path = folder / f"{next(self._files):012}.spool"
        stream = path.open("xb", buffering=0)
        keep_names(folder)
        return _File(path), stream

    def sources(self) -> list[Source]:
        """Where something waits to be passed."""
        with self._lock:
            return [source for source, places in self._places.items() if places]

    def pass_to(self, positions: Mapping[Source, int]) -> None:
        """Let go of what has been applied: up to these numbers."""
        with self._lock:
            for source, number in positions.items():
                places = self._places.get(source, deque())
                while places and places[0].number <= number:
                    file = places.popleft().file
                    file.kept -= 1
                    self._drop(file)

    def _drop(self, file: _File) -> None:
        if file.is_full and not file.kept:
            file.path.unlink(missing_ok=True)

    def waits(self, writer: str) -> Waits:
        """What waits of a process."""
        size = sum(map(_size, (self.folder / writer).glob("*.spool")))
        with self._lock:
            own = [places for source, places in self._places.items() if source.writer == writer and places]
            since_ms = min((places[0].at_ms for places in own), default=None)
            return Waits(since_ms, self.now_ms(), sum(map(len, own)), size)

    def lags(self) -> dict[int, int]:
        """How many entries wait for each partition, by those for which any do."""
        with self._lock:
            counts = Counter({source: len(places) for source, places in self._places.items()})
        lags = Counter[int]()
        for source, n in counts.items():
            lags[source.partition] += n
        return dict(sorted((+lags).items()))

    def entries(self, source: Source, *, most_bytes: int) -> list[Entry]:
        """The first that wait there, in order, about so many bytes of them."""
        with self._lock:
            places = list(self._places.get(source, ()))
        entries, size = [], 0
        for place in places:
            if size > most_bytes:
                break
            body = _body(place)
            if body is None:
                # It was passed a moment ago.
                continue
            entries.append(Entry(source, place.number, place.at_ms, body))
            size += place.length
        return entries

    def forget(self, writers: Collection[str]) -> None:
        """Let go of all that is there of some processes."""
        with self._lock:
            waiting = {source: places[-1].number for source, places in self._places.items() if places}
        self.pass_to({source: number for source, number in waiting.items() if source.writer in writers})

    def close(self) -> list[str]:
        """Let the files go; a folder in which nothing waits goes too, and whose these were is told."""
        with self._lock:
            self._stream.close()
            waiting = {source.writer for source, places in self._places.items() if places}
            gone = [writer for writer in self._locks if writer not in waiting]
            for writer in gone:
                # Another process may be looking whether it is free, and have its lock file made anew.
                shutil.rmtree(self.folder / writer, ignore_errors=True)
            for lock in self._locks.values():
                lock.close()
        return gone

    @property
    def writers(self) -> list[str]:
        """Whose entries these are: this process, and those whose folders it has taken over."""
        return list(self._locks)

    def adopt(self) -> None:
        """Take over the folders of processes that have ended."""
        own = set(self.writers)
        for folder in sorted(self.folder.iterdir()):
            if folder.name not in own and not is_new(folder) and (lock := free(folder)):
                try:
                    read = [(path, list(records(path))) for path in sorted(folder.glob("*.spool"))]
                except OSError:
                    # Half of it is not all of it: it is tried again.
                    lock.close()
                    raise
                with self._lock:
                    for path, found in read:
                        self._take(path, folder.name, found)
                    self._locks[folder.name] = lock

    def _take(self, path: Path, writer: str, read: Sequence[Record]) -> None:
        file = _File(path, len(read), is_full=True)
        for partition, number, at_ms, offset, length in read:
            places = self._places.setdefault(Source(writer, partition), deque())
            places.append(_Place(number, at_ms, file, offset, length))
        self._drop(file)


def _record(entry: Entry) -> bytes:
    (_, partition), number, at_ms, body = entry
    return head(partition, number, at_ms, body) + body


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        # It was passed a moment ago.
        return 0


def _body(place: _Place) -> bytes | None:
    try:
        with place.file.path.open("rb") as stream:
            stream.seek(place.offset)
            return stream.read(place.length)
    except FileNotFoundError:
        return None
