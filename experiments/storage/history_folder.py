"""The folder of an experiment's history: files of Parquet, and a manifest that says which of them count."""

import fcntl
import os
import shutil
from collections.abc import Iterable
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from experiments.errors import BespokeError
from experiments.errors import MissingExtra
from experiments.errors import shown
from experiments.storage.cubes import Engine
from experiments.storage.history_rows import ROWS
from experiments.storage.history_rows import HistoryCell

#: Of the files; another one is not read.
SCHEMA = 1
_MANIFEST = "manifest.json"


class InvalidHistory(BespokeError):
    """A history, or an engine for it, that cannot be used."""

    code = "invalid_history"


class HistoryFile(msgspec.Struct, frozen=True):
    """A file of a table, by its place in the folder."""

    table: str
    path: str
    rows: int
    bytes: int


class Manifest(msgspec.Struct, frozen=True):
    """What a history holds.

    Attributes:
        experiment: its key.
        names: what stands for nobody, so that visitors who have other names now are noticed.
        watermark: the number of the last event that was looked at, and `events` how many there were up to it.
        removals: a digest of what had been removed from the events.
        taken_ms: of when the whole is; None while it is being written.
    """

    schema: int
    experiment: str
    names: str
    removals: str
    watermark: int = 0
    events: int = 0
    taken_ms: int | None = None
    files: tuple[HistoryFile, ...] = ()

    def of(self, table: str) -> list[HistoryFile]:
        """The files of a table."""
        return [file for file in self.files if file.table == table]


class HistoryFolder:
    """The history of an experiment in a folder of many.

    :raises MissingExtra: if what reads and writes Parquet is not installed.
    """

    def __init__(self, folder: Path, experiment: str) -> None:
        try:
            from experiments.storage import history_tables
        except ModuleNotFoundError as error:
            raise _missing(error, extra="cubes") from error
        self._tables = history_tables
        self.experiment = experiment
        self.path = folder / f"experiment={experiment}"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Write while nobody else does.

        :raises InvalidHistory: if somebody does already.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InvalidHistory(f"{self.path} is being written by another process: wait for it") from error
            yield

    def manifest(self) -> Manifest | None:
        """What is there; None where nothing is.

        :raises InvalidHistory: if it cannot be read.
        """
        path = self.path / _MANIFEST
        if not path.exists():
            return None
        try:
            found = msgspec.json.decode(path.read_bytes(), type=Manifest)
        except msgspec.MsgspecError as error:
            raise InvalidHistory(f"{path}: {error}, must be the manifest of a history") from error
        if found.schema != SCHEMA:
            raise InvalidHistory(f"{path}: the schema {found.schema} is not known, must be {SCHEMA}")
        return found

    def keep(self, manifest: Manifest) -> None:
        """Put a manifest in the place of the one before."""
        part = self.path / f"{_MANIFEST}.part"
        with part.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path / _MANIFEST)

    def clear(self) -> None:
        """Remove all of it, the manifest first: nobody reads half of a history."""
        (self.path / _MANIFEST).unlink(missing_ok=True)
        for table in ROWS:
            shutil.rmtree(self.path / table, ignore_errors=True)

    def sweep(self, manifest: Manifest) -> None:
        """Remove the files that a manifest does not have, left by an export that was broken off."""
        known = {self.path / file.path for file in manifest.files}
        for path in set(self.path.glob("*/**/*.p*")) - known:
            path.unlink()

    def write(self, table: str, name: str, rows: Iterable[NamedTuple]) -> HistoryFile:
        """Write a file of a table."""
        kept, place = list(rows), f"{table}/{name}.parquet"
        return HistoryFile(table, place, len(kept), self._tables.write_rows(self.path / place, table, kept))

    def whole(self) -> Manifest:
        """The manifest of a history that can be read.

        :raises InvalidHistory: if there is none, it was not finished, or one of its files is gone or another one.
        """
        found = self.manifest()
        if found is None:
            raise InvalidHistory(f"{self.path} has no history: `bespoke export KEY --history FOLDER` writes one")
        if found.experiment != self.experiment:
            raise InvalidHistory(f"{self.path} has the history of {found.experiment}, must have its own")
        if found.taken_ms is None:
            raise InvalidHistory(f"{self.path} is not finished: `bespoke export {found.experiment} --history` goes on")
        for file in found.files:
            path = self.path / file.path
            size = path.stat().st_size if path.exists() else None
            if size != file.bytes:
                raise InvalidHistory(f"{path} has {size} bytes, must have {file.bytes}: write the history again")
        return found

    def paths(self, manifest: Manifest, table: str) -> list[Path]:
        """Where the files of a table are."""
        return [self.path / file.path for file in manifest.of(table)]

    def cells(self, manifest: Manifest) -> list[HistoryCell]:
        """The cells that the database had."""
        paths = self.paths(manifest, "cells")
        return [row for path in paths for row in self._tables.read_rows(path, "cells")]


def histories_in(folder: Path) -> list[HistoryFolder]:
    """The histories of a folder, by experiment.

    :raises InvalidHistory: if there is none.
    """
    found = [HistoryFolder(folder, path.name.partition("=")[2]) for path in sorted(folder.glob("experiment=*"))]
    if not found:
        raise InvalidHistory(f"{folder} has no history: `bespoke export KEY --history {folder}` writes one")
    return found


def engine_of(name: str) -> Engine:
    """The engine of a name: `duckdb`, or the address of a Spark master.

    :raises InvalidHistory: if there is none of it.
    :raises MissingExtra: if it is not installed.
    """
    try:
        if name == "duckdb":
            from experiments.storage.duckdb_engine import DuckdbEngine
            return DuckdbEngine()
        if name.startswith("spark://"):
            from experiments.storage.spark_engine import SparkEngine
            return SparkEngine(name)
    except ModuleNotFoundError as error:
        raise _missing(error, extra="cubes" if name == "duckdb" else "spark") from error
    raise InvalidHistory(f"engine: {shown(name)} must be duckdb, or the address of a Spark master (spark://host:7077)")


def _missing(error: ModuleNotFoundError, *, extra: str) -> MissingExtra:
    return MissingExtra(f"a history needs the package {error.name}: pip install -e '.[{extra}]'")
