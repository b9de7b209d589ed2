"""The export of a history: exposures and outcomes of an experiment into a folder, a part at a time.

What is there already is not written again, as long as nothing has been removed from the events since: then all is
written anew, so that whoever was erased is in no file. An export that was broken off goes on behind its last part.
"""

import hashlib
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import msgspec

from experiments.history.parts import Numbered
from experiments.history.parts import Part
from experiments.history.parts import Parts
from experiments.history.parts import cell_rows
from experiments.lifecycle import find
from experiments.log.undivided import shards_elsewhere
from experiments.signing import Keyring
from experiments.storage.cells import CellRow
from experiments.storage.cells import CellSums
from experiments.storage.history_folder import HistoryFile
from experiments.storage.history_folder import HistoryFolder
from experiments.storage.history_folder import InvalidHistory
from experiments.storage.history_folder import Manifest
from experiments.storage.history_folder import SCHEMA
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.storage.waiting import ORPHANS
from experiments.times import date_of
from experiments.times import day_of

_PAGE = 5000
#: Events of a part at most.
_PART = 200_000
#: The part that stands for removed events: it may have no rows, but every table has a file.
_FIRST = "received=1970-01-01/0"


class _State(NamedTuple):
    """The counters of an experiment while nobody writes, and the number of the newest event that they count."""

    newest: int
    cells: list[CellRow]
    removed: CellSums
    removals: str


def export_history(store: Store, key: str, folder: HistoryFolder, *, keyring: Keyring, now_ms: int) -> Manifest:
    """Write the history of an experiment, or what has come since it was written last.

    :raises UnknownExperiment: if there is none.
    :raises InvalidHistory: if visitors are in several databases, something was removed from the events meanwhile, or
        somebody else is writing it.
    """
    parts = Parts(store.read(lambda session: find(session, key)).experiment, keyring)
    with folder.alone():
        # While nobody writes, no event with a lower number is still to come.
        state = store.transact(partial(_state, key=key))
        manifest = _grown(store, folder, Manifest(SCHEMA, key, parts.nobody(), state.removals), parts, state.newest)
        cells = folder.write("cells", "cells", cell_rows(state.cells, state.removed))
        whole = msgspec.structs.replace(manifest, taken_ms=now_ms, files=(*manifest.files, cells))
        folder.keep(whole)
        return whole


def _grown(store: Store, folder: HistoryFolder, new: Manifest, parts: Parts, newest: int) -> Manifest:
    """The manifest of all parts up to the newest event."""
    manifest = _begun(store, folder, new, parts)
    for events in _parts(store, after=manifest.watermark, until=newest):
        manifest = _with(folder, manifest, parts, events)
        folder.keep(manifest)
    if not store.read(partial(_is_as_it_was, manifest=manifest)):
        raise InvalidHistory(
            f"{manifest.experiment}: events were removed while its history was written: write it again"
        )
    return manifest


def _state(session: Session, *, key: str) -> _State:
    # Numbers of events are those of one database.
    if shards := shards_elsewhere(session):
        raise InvalidHistory(f"{key}: visitors are in the shards {', '.join(shards)}, must be in one database")
    return _State(
        session.events.newest(), session.cells.of(key), session.cells.removed(key), _removals(session, key)
    )


def _removals(session: Session, key: str) -> str:
    """A digest of what was removed: cells know of whoever was exposed, and a counter of the others' outcomes."""
    removed = sorted(session.cells.removed(key).items())
    orphans = session.counters.of(key).get(ORPHANS, 0)
    return hashlib.sha256(msgspec.json.encode([removed, orphans])).hexdigest()


def _is_as_it_was(session: Session, *, manifest: Manifest) -> bool:
    """Whether the database still has all that a history has looked at."""
    is_there = session.events.count(until=manifest.watermark) == manifest.events
    return is_there and _removals(session, manifest.experiment) == manifest.removals


def _begun(store: Store, folder: HistoryFolder, new: Manifest, parts: Parts) -> Manifest:
    """The manifest of what is there already, or of what stands for removed events."""
    found = folder.manifest()
    if found and found.names == new.names and store.read(partial(_is_as_it_was, manifest=found)):
        files = tuple(file for file in found.files if file.table != "cells")
        begun = msgspec.structs.replace(found, taken_ms=None, files=files)
    else:
        folder.clear()
        removed = store.read(partial(_removed, parts=parts, key=new.experiment))
        begun = msgspec.structs.replace(new, files=_written(folder, removed, _FIRST))
    folder.keep(begun)
    folder.sweep(begun)
    return begun


def _removed(session: Session, *, parts: Parts, key: str) -> Part:
    return parts.of_removed(session.exposures.removed(key), session.totals.removed(key))


def _parts(store: Store, *, after: int, until: int) -> Iterator[list[Numbered]]:
    """Events in the order of storing, those received on another day apart."""
    part: list[Numbered] = []
    for number, event in _events(store, after=after, until=until):
        if part and (len(part) == _PART or day_of(event.received_ms) > day_of(part[0][1].received_ms)):
            yield part
            part = []
        part.append((number, event))
    if part:
        yield part


def _events(store: Store, *, after: int, until: int) -> Iterator[Numbered]:
    last = after
    while last < until:
        # Each page is a read of its own: a long one would keep the log from being taken in.
        page = store.read(lambda session: session.events.after(last, limit=_PAGE))
        yield from (pair for pair in page if pair[0] <= until)
        last = page[-1][0] if page else until


def _with(folder: HistoryFolder, manifest: Manifest, parts: Parts, events: list[Numbered]) -> Manifest:
    """A manifest with one part more."""
    (first, oldest), (last, _) = events[0], events[-1]
    name = f"received={date_of(day_of(oldest.received_ms))}/{first}-{last}"
    files = _written(folder, parts.of_events(events), name)
    return msgspec.structs.replace(
        manifest, watermark=last, events=manifest.events + len(events), files=(*manifest.files, *files)
    )


def _written(folder: HistoryFolder, part: Part, name: str) -> tuple[HistoryFile, ...]:
    """The files of a part; of a table without rows there is only the first."""
    is_first = name == _FIRST
    return tuple(folder.write(table, name, rows) for table, rows in part._asdict().items() if rows or is_first)
