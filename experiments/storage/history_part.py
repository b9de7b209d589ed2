"""The folder of a part of a history: the files that are written of one database, and how far they go."""

import shutil
from collections.abc import Callable
from pathlib import Path

from experiments.storage.history_manifests import MANIFEST
from experiments.storage.history_manifests import HistoryFile
from experiments.storage.history_manifests import PartManifest
from experiments.storage.history_manifests import found
from experiments.storage.history_manifests import keep
from experiments.storage.history_rows import ROWS
from experiments.storage.history_rows import Columns

#: What writes a file: its path, its table and the columns; the bytes that it has.
Writing = Callable[[Path, str, Columns], int]


class HistoryPart:
    """The part of a database, in a folder of its name."""

    def __init__(self, folder: Path, name: str, *, writing: Writing) -> None:
        self._folder, self._name = folder, name
        self._writing = writing
        self._path = folder / name

    def manifest(self) -> PartManifest | None:
        """What is there; None where nothing is.

        :raises InvalidHistory: if it cannot be read.
        """
        return found(self._path / MANIFEST, PartManifest)

    def keep(self, manifest: PartManifest) -> None:
        """Put a manifest in the place of the one before."""
        self._path.mkdir(exist_ok=True)
        keep(self._path / MANIFEST, manifest)

    def clear(self) -> None:
        """Remove all of it, the manifest first: nobody goes on with half of a part."""
        (self._path / MANIFEST).unlink(missing_ok=True)
        for table in ROWS:
            shutil.rmtree(self._path / table, ignore_errors=True)

    def sweep(self, manifest: PartManifest) -> None:
        """Remove the files that a manifest does not have, left by an export that was broken off."""
        known = {self._folder / file.path for file in manifest.files}
        for path in set(self._path.glob("*/**/*.p*")) - known:
            path.unlink()

    def write(self, table: str, name: str, columns: Columns) -> HistoryFile:
        """Write a file of a table."""
        place = f"{self._name}/{table}/{name}.parquet"
        return HistoryFile(table, place, len(columns[0]), self._writing(self._folder / place, table, columns))
