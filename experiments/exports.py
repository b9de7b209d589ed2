"""Exports: the tables of an experiment, for other programs, a page of rows at a time however many there are.

Visitors have names of their own in each experiment's exports, the same in all of its tables: they tell rows apart, and
cannot be found again in the database, in another experiment, or by whoever knows the id.
"""

from collections import defaultdict
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import Any
from typing import Literal
from typing import NamedTuple

from experiments.allocation import GRAIN
from experiments.counting import EXPOSURES
from experiments.estimates import metric_keys
from experiments.ledger import ledger_json
from experiments.lifecycle import find
from experiments.model import Experiment
from experiments.partitions import Span
from experiments.privacy.suppression import withheld
from experiments.signing import Keyring
from experiments.signing import disguised
from experiments.storage.cells import CellKey
from experiments.storage.cells import CellRow
from experiments.storage.events import EventRow
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.storage.visitors import ExposureRow
from experiments.times import date_of

Kind = Literal["text", "whole", "number", "flag", "time"]
#: `time` is in ms since 1970, UTC.
Rows = list[tuple[Any, ...]]

#: Those with a row for each visitor or event, and those without.
ROW_LEVEL = ("exposures", "outcomes")
AGGREGATE = ("allocations", "cells")

_PAGE = 5000


class Export(NamedTuple):
    """A table: its columns with the kind of their values, any of which may be None, and its rows, page by page."""

    columns: dict[str, Kind]
    pages: Iterator[Rows]


class _Source(NamedTuple):
    store: Store
    experiment: Experiment
    keyring: Keyring
    min_cell: int

    def names(self, visitors: Sequence[bytes]) -> list[str]:
        """What visitors are called here."""
        return [
            name.hex() for name in disguised(visitors, key=self.keyring.exports, within=self.experiment.key)
        ]


def export(store: Store, key: str, table: str, *, keyring: Keyring, min_cell: int) -> Export:
    """A table of an experiment.

    :raises UnknownExperiment: if there is none.
    """
    experiment = store.read(lambda session: find(session, key)).experiment
    return _TABLES[table](_Source(store, experiment, keyring, min_cell))


def _exposure_table(source: _Source) -> Export:
    columns: dict[str, Kind] = {
        "visitor": "text", "arm": "text", "segment": "text", "epoch": "whole", "propensity": "number", "at": "time",
        "asserted": "flag", "attributes": "text", "exposures": "whole",
    }
    return Export(columns, _exposure_pages(source))


def _exposure_pages(source: _Source) -> Iterator[Rows]:
    for part in source.store.parts():
        rest = part.span
        # Each page is a read of its own: a long one would keep the log from being taken in, and old rows from going.
        while page := part.read(partial(_exposures, rest, source.experiment.key)):
            rest = rest.after(page[-1][0])
            names = source.names([visitor for visitor, _ in page])
            yield [
                (name, row.arm, row.segment, row.epoch, row.weight / GRAIN, row.at_ms, row.asserted, row.context, row.n)
                for name, (_, row) in zip(names, page, strict=True)
            ]


def _exposures(span: Span, key: str, session: Session) -> list[tuple[bytes, ExposureRow]]:
    return session.exposures.within(span, key, limit=_PAGE)


def _outcome_table(source: _Source) -> Export:
    properties = sorted({metric.property for metric in source.experiment.metrics if metric.property is not None})
    columns: dict[str, Kind] = {
        "visitor": "text", "event": "text", "at": "time", "received_at": "time", "trusted": "flag",
    }
    return Export(
        {**columns, **{f"properties.{name}": "number" for name in properties}}, _outcome_pages(source, properties)
    )


def _outcome_pages(source: _Source, properties: Sequence[str]) -> Iterator[Rows]:
    for part in source.store.parts():
        rest, after = part.span, b""
        while page := part.read(partial(_events, rest, after)):
            rest, after = rest._replace(low=page[-1].visitor), page[-1].id
            outcomes = [row for row in page if row.kind == "outcome" and source.experiment.key in row.experiments]
            names = source.names([row.visitor for row in outcomes])
            yield [_outcome(name, row, properties) for name, row in zip(names, outcomes, strict=True)]


def _events(span: Span, after: bytes, session: Session) -> list[EventRow]:
    return session.events.within(span, after=after, limit=_PAGE)


def _outcome(name: str, row: EventRow, properties: Sequence[str]) -> tuple[Any, ...]:
    amounts = row.amounts or {}
    return name, row.name, row.at_ms, row.received_ms, row.trusted, *(amounts.get(each) for each in properties)


def _allocations(source: _Source) -> Export:
    columns: dict[str, Kind] = {
        "number": "whole", "epoch": "whole", "kind": "text", "act": "text", "at": "text", "actor": "text",
        "reason": "text", "segment": "text", "context": "text", "arm": "text", "weight": "number",
    }
    return Export(columns, _allocation_pages(source))


def _allocation_pages(source: _Source) -> Iterator[Rows]:
    key = source.experiment.key
    for decision in source.store.read(lambda session: list(map(ledger_json, session.ledger.rows(key)))):
        shared = tuple(decision[name] for name in ("number", "epoch", "kind", "act", "at", "actor", "reason"))
        yield [
            (*shared, segment, context, arm, weight)
            for segment, of_segment in decision["weights"].items()
            for context, arms in chain([(None, of_segment)], decision["contexts"].get(segment, {}).items())
            for arm, weight in arms.items()
        ]


def _cells(source: _Source) -> Export:
    columns: dict[str, Kind] = {
        "epoch": "whole", "day": "text", "segment": "text", "context": "text", "arm": "text", "asserted": "flag",
        "metric": "text", "visitors": "whole", "sum": "whole", "sum_of_squares": "number", "suppressed": "flag",
    }
    return Export(columns, _cell_pages(source))


def _cell_pages(source: _Source) -> Iterator[Rows]:
    by_place = _by_place(source)
    n_by_place = {place: _visitors(cells) for place, cells in by_place.items()}
    hidden = _hidden(n_by_place, min_cell=source.min_cell)
    for place, cells in by_place.items():
        yield [_cell(cell, place in hidden) for cell in cells]


def _by_place(source: _Source) -> dict[CellKey, list[CellRow]]:
    """The cells of all metrics but those that tell who told, by where they count visitors."""
    wanted = set(metric_keys(source.experiment))
    by_place: dict[CellKey, list[CellRow]] = defaultdict(list)
    for cell in source.store.read(lambda session: session.cells.of(source.experiment.key)):
        if cell.key.metric in wanted:
            by_place[cell.key._replace(metric="")].append(cell)
    return by_place


def _visitors(cells: Iterable[CellRow]) -> int:
    return next(cell.n for cell in cells if cell.key.metric == EXPOSURES)


def _hidden(n_by_place: Mapping[CellKey, int], *, min_cell: int) -> set[CellKey]:
    """The places whose figures are hidden: small, or telling a small one, which reports hide by segment and arm."""
    by_group: dict[tuple[str, str, bool], dict[CellKey, int]] = defaultdict(dict)
    for place, n in n_by_place.items():
        by_group[place.arm, place.segment, place.asserted][place] = n
    by_arm: dict[tuple[str, bool], dict[tuple[str, str, bool], int]] = defaultdict(dict)
    for group, places in by_group.items():
        by_arm[group[0], group[2]][group] = sum(places.values())
    whole = {group for groups in by_arm.values() for group in withheld(groups, min_cell=min_cell)}
    return {
        place
        for group, places in by_group.items()
        for place in (places if group in whole else withheld(places, min_cell=min_cell))
    }


def _cell(cell: CellRow, is_hidden: bool) -> tuple[Any, ...]:
    _, epoch, day, segment, arm, asserted, metric, context = cell.key
    sums = (None, None, None) if is_hidden else (cell.n, cell.total, cell.total_squares)
    return epoch, date_of(day), segment, context or None, arm, asserted, metric, *sums, is_hidden


_TABLES: dict[str, Callable[[_Source], Export]] = {
    "exposures": _exposure_table, "outcomes": _outcome_table, "allocations": _allocations, "cells": _cells,
}
