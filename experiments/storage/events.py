"""The events: what was accepted, once for each visitor and id."""

from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import msgspec

from experiments.storage.sqlite import Connection


class EventRow(NamedTuple):
    """An event as stored; `experiments` are those it may count for, exposures carry what they exposed to."""

    visitor: bytes
    id: bytes
    digest: bytes
    kind: str
    experiments: tuple[str, ...]
    name: str
    at_ms: int
    received_ms: int
    trusted: bool
    identified: bool
    amounts: Mapping[str, int | float] | None = None
    arm: str | None = None
    segment: str | None = None
    epoch: int | None = None
    weight: int | None = None
    asserted: bool | None = None


_COLUMNS = (
    "visitor, id, digest, kind, experiments, name, at_ms, received_ms, trusted, identified,"
    " amounts, arm, segment, epoch, weight, asserted"
)
_INSERT = (
    f"INSERT INTO events ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (visitor, id) DO NOTHING"
)


class Events:
    """The record that the counters can be recounted from."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, event: EventRow) -> int | None:
        """Keep an event; its number, or None where the visitor has one of this id."""
        amounts = None if event.amounts is None else msgspec.json.encode(event.amounts).decode()
        cursor = self._connection.execute(
            _INSERT, (*event[:4], " ".join(event.experiments), *event[5:10], amounts, *event[11:])
        )
        return int(cursor.lastrowid) if cursor.rowcount else None

    def digest(self, visitor: bytes, id: bytes) -> bytes:
        """The digest of the event that a visitor has under an id."""
        row = self._connection.execute(
            "SELECT digest FROM events WHERE visitor = ? AND id = ?", (visitor, id)
        ).fetchone()
        return bytes(row[0])

    def get(self, number: int) -> EventRow:
        """One event by its number."""
        return _event(
            self._connection.execute(f"SELECT {_COLUMNS} FROM events WHERE seq = ?", (number,)).fetchone()
        )

    def in_order(self) -> Iterator[EventRow]:
        """Every event, in the order of storing."""
        return (_event(row) for row in self._connection.execute(f"SELECT {_COLUMNS} FROM events ORDER BY seq"))


def _event(row: tuple[Any, ...]) -> EventRow:
    fields = dict(zip(EventRow._fields, row, strict=True))
    fields["experiments"] = tuple(fields["experiments"].split())
    fields["trusted"], fields["identified"] = bool(fields["trusted"]), bool(fields["identified"])
    if fields["amounts"] is not None:
        fields["amounts"] = msgspec.json.decode(fields["amounts"])
    if fields["asserted"] is not None:
        fields["asserted"] = bool(fields["asserted"])
    return EventRow(**fields)
