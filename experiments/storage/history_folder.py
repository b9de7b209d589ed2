"""The folder of an experiment's history: a part for each database, and a manifest that says which files count."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.errors import MissingExtra
from experiments.errors import shown
from experiments.storage.cubes import Engine
from experiments.storage.history_manifests import MANIFEST
from experiments.storage.history_manifests import SCHEMA
from experiments.storage.history_manifests import InvalidHistory
from experiments.storage.history_manifests import Manifest
from experiments.storage.history_manifests import found
from experiments.storage.history_manifests import keep
from experiments.storage.history_part import HistoryPart
from experiments.storage.history_rows import HistoryCell


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
        path = self.path / MANIFEST
        manifest = found(path, Manifest)
        if manifest and manifest.schema != SCHEMA:
            raise InvalidHistory(
                f"{path}: the schema {manifest.schema} is not known, must be {SCHEMA}: delete {self.path}, and"
                " export it again"
            )
        return manifest

    def keep(self, manifest: Manifest) -> None:
        """Put a manifest in the place of the one before."""
        keep(self.path / MANIFEST, manifest)

    def part(self, name: str) -> HistoryPart:
        """The part of a database."""
        return HistoryPart(self.path, name, writing=self._tables.write_columns)

    def sweep(self, manifest: Manifest) -> None:
        """Remove the parts that a manifest does not have: those of databases that are no more."""
        for path in self.path.iterdir():
            if path.is_dir() and path.name not in manifest.parts:
                shutil.rmtree(path)

    def whole(self) -> Manifest:
        """The manifest of a history that can be read.

        :raises InvalidHistory: if there is none, it was not finished, or one of its files is gone or another one.
        """
        manifest = self.manifest()
        if manifest is None:
            raise InvalidHistory(f"{self.path} has no history: `bespoke export KEY --history FOLDER` writes one")
        key = manifest.experiment
        if key != self.experiment:
            raise InvalidHistory(f"{self.path} has the history of {key}, must have its own")
        if manifest.taken_ms is None:
            raise InvalidHistory(f"{self.path} is not finished: `bespoke export {key} --history` goes on")
        self._check(manifest)
        return manifest

    def _check(self, manifest: Manifest) -> None:
        for file in (file for part in manifest.parts.values() for file in part.files):
            path = self.path / file.path
            size = path.stat().st_size if path.exists() else None
            if size != file.bytes:
                raise InvalidHistory(f"{path} has {size} bytes, must have {file.bytes}: write the history again")

    def paths(self, manifest: Manifest, table: str) -> list[Path]:
        """Where the files of a table are."""
        return [self.path / file.path for file in manifest.of(table)]

    def cells(self, manifest: Manifest) -> list[list[HistoryCell]]:
        """The cells that each database had."""
        return [self._tables.read_rows(path, "cells") for path in self.paths(manifest, "cells")]


def histories_in(folder: Path) -> list[HistoryFolder]:
    """The histories of a folder, by experiment.

    :raises InvalidHistory: if there is none.
    """
    histories = [HistoryFolder(folder, path.name.partition("=")[2]) for path in sorted(folder.glob("experiment=*"))]
    if not histories:
        raise InvalidHistory(f"{folder} has no history: `bespoke export KEY --history {folder}` writes one")
    return histories


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
