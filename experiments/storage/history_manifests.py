"""Manifests: what says which files of a history count, the whole one's and those of its parts."""

import os
from pathlib import Path
from typing import TypeVar

import msgspec

from experiments.errors import BespokeError

T = TypeVar("T", bound=msgspec.Struct)

#: Of the files; another one is not read.
SCHEMA = 2
MANIFEST = "manifest.json"


class InvalidHistory(BespokeError):
    """A history, or an engine for it, that cannot be used."""

    code = "invalid_history"


class HistoryFile(msgspec.Struct, frozen=True):
    """A file of a table, by its place in the folder."""

    table: str
    path: str
    rows: int
    bytes: int


class PartManifest(msgspec.Struct, frozen=True):
    """What a history holds of the visitors of one database.

    Attributes:
        names: what stands for nobody, so that visitors who have other names now are noticed.
        moved: what stands for the last time that a partition of the visitors had come into the database, or left it.
        removals: a digest of what had been removed from the events.
        watermark: the number of the last event that was looked at, and `events` how many there were up to it.
    """

    names: str
    moved: str
    removals: str
    watermark: int = 0
    events: int = 0
    files: tuple[HistoryFile, ...] = ()


class Manifest(msgspec.Struct, frozen=True):
    """What a history holds.

    Attributes:
        experiment: its key.
        taken_ms: all that was accepted before is in it; None while it is being written.
        parts: of each database, by its name.
    """

    schema: int
    experiment: str
    taken_ms: int | None = None
    parts: dict[str, PartManifest] = {}

    def of(self, table: str) -> list[HistoryFile]:
        """The files of a table."""
        return [file for part in self.parts.values() for file in part.files if file.table == table]


def found(path: Path, kind: type[T]) -> T | None:
    """The manifest in a file; None where there is none.

    :raises InvalidHistory: if it cannot be read.
    """
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except msgspec.MsgspecError as error:
        raise InvalidHistory(f"{path}: {error}, must be the manifest of a history") from error


def keep(path: Path, manifest: msgspec.Struct) -> None:
    """Put a manifest in the place of the one before."""
    part = path.with_suffix(".json.part")
    with part.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
