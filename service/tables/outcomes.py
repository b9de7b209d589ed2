"""Outcomes in a table, as a CRM, a survey or an export gives them: each row an event."""

from collections.abc import Iterable
from typing import Any

from experiments.outcome_sources import derived_id
from experiments.snapshot import Snapshot
from service.errors import Refused
from service.requests.bodies import parse
from service.tables.cells import number
from service.tables.reader import Row
from service.tables.reader import Table

#: Columns that mean something by themselves; any other is a property of the event.
COLUMNS = ("visitor", "event", "timestamp", "id", "properties")

_REQUIRED = ("visitor", "event")


class Outcomes:
    """A table of outcomes in reading; `numbers` are the properties that metrics add up."""

    def __init__(self, table: Table, *, numbers: Iterable[str]) -> None:
        """Find the columns.

        :raises InvalidTable: if one is missing.
        """
        for column in _REQUIRED:
            if column not in table.columns:
                columns = ", ".join(table.columns)[:200]
                raise table.fault(1, f"column {column!r} is missing; there are {columns}")
        self._numbers = frozenset(numbers)
        self._properties = tuple(column for column in table.columns if column not in COLUMNS)

    def event(self, row: Row) -> dict[str, Any]:
        """The event of a row, as Segment's clients send it; an empty cell says nothing."""
        cells = row.cells
        said = {
            "userId": cells["visitor"],
            "event": cells["event"],
            "timestamp": cells.get("timestamp") or None,
            "properties": self._all_properties(row),
        }
        return {"type": "track", **said, "messageId": cells.get("id") or derived_id(said)}

    def _all_properties(self, row: Row) -> Any:
        properties = _json(row.cells.get("properties") or "{}")
        if not isinstance(properties, dict):
            return properties
        columns = ((column, row.cells[column]) for column in self._properties)
        return {**properties, **{column: self._value(column, text) for column, text in columns if text}}

    def _value(self, column: str, text: str) -> Any:
        if column not in self._numbers:
            return text
        try:
            return number(text)
        except ValueError:
            # It is refused by name where the metric reads it.
            return text


def added_up(snapshot: Snapshot) -> set[str]:
    """The properties that metrics add up."""
    metrics = (metric for entry in snapshot.entries.values() for metric in entry.experiment.metrics)
    return {metric.property for metric in metrics if metric.property is not None}


def _json(text: str) -> Any:
    try:
        return parse(text.encode())
    except Refused:
        # A text is no object, which is what it is refused for.
        return text
