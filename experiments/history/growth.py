"""Growth: the part of a history that is of one database goes on by what has come into it, some files at a time.

What is there already is not written again, as long as nothing has been removed from the events since, and no partition
has come or gone: then all is written anew, so that whoever was erased is in no file. What was broken off goes on behind
its last file.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from threading import Event
from typing import NamedTuple

import msgspec

from experiments.history.portions import Portion
from experiments.history.portions import Portions
from experiments.history.portions import cell_columns
from experiments.history.states import State
from experiments.history.states import is_as_it_was
from experiments.storage.history_manifests import HistoryFile
from experiments.storage.history_manifests import InvalidHistory
from experiments.storage.history_manifests import PartManifest
from experiments.storage.history_part import HistoryPart
from experiments.storage.history_rows import together
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.times import date_of
from experiments.times import day_of

_PAGE = 5000
#: A file has events of so many pages at most.
_PAGES = 40
#: What stands for removed events: it may have no rows, but every table has a file.
_FIRST = "received=1970-01-01/0"


class _Page(NamedTuple):
    """Events that came on one day: how many, the numbers of the first and of the last, and their rows."""

    day: int
    first: int
    last: int
    events: int
    rows: Portion


def grow(part: HistoryPart, portions: Portions, state: State, store: Store, *, ended: Event) -> PartManifest:
    """Bring the part of a database up to its state, unless it has `ended`: then nobody waits for it any more.

    :raises InvalidHistory: if something was removed from the events meanwhile, or partitions were moved.
    """
    grown = _grown(part, portions, state, store, ended=ended)
    if not _is_as_it_was(grown, portions, store):
        raise InvalidHistory(
            f"{portions.experiment}: events were removed or moved while its history was written: write it again"
        )
    cells = part.write("cells", "cells", cell_columns(state.cells, state.removed))
    return msgspec.structs.replace(grown, files=(*grown.files, cells))


def _grown(part: HistoryPart, portions: Portions, state: State, store: Store, *, ended: Event) -> PartManifest:
    """The manifest of all files up to the newest event."""
    manifest = _begun(part, portions, state, store)
    for pages in _files(_pages(store, portions, after=manifest.watermark, until=state.newest, ended=ended)):
        manifest = _with(part, manifest, pages)
        part.keep(manifest)
    return manifest


def _begun(part: HistoryPart, portions: Portions, state: State, store: Store) -> PartManifest:
    """The manifest of what is there already, or of what stands for removed events."""
    found, names = part.manifest(), portions.nobody()
    if found is None or found.names != names or not _is_as_it_was(found, portions, store):
        part.clear()
        removed = store.read(partial(_removed, portions))
        found = PartManifest(names, state.moved, state.removals, files=_written(part, removed, _FIRST))
    part.keep(found)
    part.sweep(found)
    return found


def _is_as_it_was(manifest: PartManifest, portions: Portions, store: Store) -> bool:
    return store.read(partial(is_as_it_was, key=portions.experiment, manifest=manifest))


def _removed(portions: Portions, session: Session) -> Portion:
    key = portions.experiment
    return portions.of_removed(session.exposures.removed(key), session.totals.removed(key))


def _files(read: Iterable[_Page]) -> Iterator[list[_Page]]:
    """The pages of each file, those of another day apart."""
    pages: list[_Page] = []
    for page in read:
        if pages and (len(pages) == _PAGES or page.day > pages[0].day):
            yield pages
            pages = []
        pages.append(page)
    if pages:
        yield pages


def _pages(store: Store, portions: Portions, *, after: int, until: int, ended: Event) -> Iterator[_Page]:
    # Each page is a read of its own: a long one would keep the log from being taken in.
    while not ended.is_set() and (page := store.read(partial(_page, portions, after, until))):
        yield page
        after = page.last


def _page(portions: Portions, after: int, until: int, session: Session) -> _Page | None:
    columns, key = session.event_columns, portions.experiment
    events = _of_a_day(columns.page(after, until, limit=_PAGE))
    if not events:
        return None
    (first, received_ms), (last, _) = events[0], events[-1]
    rows = portions.of_events(
        columns.exposures(after, last, experiment=key),
        columns.outcomes(after, last, experiment=key, names=portions.heard),
    )
    return _Page(day_of(received_ms), first, last, len(events), rows)


def _of_a_day(events: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Events up to the first one that came on a later day; those of one number are together."""
    days = [day_of(received_ms) for _, received_ms in events]
    for place, ((before, _), (number, _)) in enumerate(pairwise(events), start=1):
        if days[place] > days[0] and number > before:
            return events[:place]
    return events


def _with(part: HistoryPart, manifest: PartManifest, pages: list[_Page]) -> PartManifest:
    """A manifest with the files of some pages more."""
    first, last = pages[0], pages[-1]
    name = f"received={date_of(first.day)}/{first.first}-{last.last}"
    rows = Portion(*map(together, Portion._fields, zip(*(page.rows for page in pages), strict=True)))
    return msgspec.structs.replace(
        manifest,
        watermark=last.last,
        events=manifest.events + sum(page.events for page in pages),
        files=(*manifest.files, *_written(part, rows, name)),
    )


def _written(part: HistoryPart, portion: Portion, name: str) -> tuple[HistoryFile, ...]:
    """The files of a portion; of a table without rows there is only the first."""
    is_first = name == _FIRST
    return tuple(
        part.write(table, name, columns) for table, columns in portion._asdict().items() if columns[0] or is_first
    )
