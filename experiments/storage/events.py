"""The events: what was accepted, once for each visitor and id."""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from operator import itemgetter
from typing import Any
from typing import NamedTuple

import msgspec

from experiments.partitions import EVERYBODY
from experiments.partitions import Span
from experiments.storage.configuration import Meta
from experiments.storage.connection import Connection


#: By what an event is known again: visitor and id.
EventKey = tuple[bytes, bytes]


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
    context: str | None = None

    @property
    def key(self) -> EventKey:
        """By what it is known again."""
        return self[:2]


_NAMES = (
    "visitor", "id", "digest", "kind", "experiments", "name", "at_ms", "received_ms", "trusted", "identified",
    "amounts", "arm", "segment", "epoch", "weight", "asserted", "context",
)
_EXPERIMENTS = _NAMES.index("experiments")
_AMOUNTS = _NAMES.index("amounts")
COLUMNS = ", ".join(f"events.{name}" for name in _NAMES)
_INSERT = (
    f"INSERT INTO events ({', '.join(_NAMES)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (visitor, id) DO NOTHING"
)


#: The number of the newest event whenever some were removed: no later one has it again.
_NUMBERED = "events_numbered"


class Events:
    """The record that the counters can be recounted from."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._meta = Meta(connection)

    def insert(self, events: Sequence[EventRow]) -> dict[EventKey, int]:
        """Keep events, the first of each visitor and id; the numbers of those that were not there before."""
        return self._connection.insert_events(_INSERT, [_stored(event) for event in events])

    def are_all_numbered(self) -> bool:
        """Whether a number that no event has is that of an event that nobody here has removed."""
        return self._connection.numbers_all_events() and self._meta.get(_NUMBERED) is None

    def newest(self) -> int:
        """The number of the event that was stored last, be it removed since; 0 where there is none."""
        newest = int(self._connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0])
        return max(newest, int(self._meta.get(_NUMBERED) or 0))

    def count(self, *, until: int) -> int:
        """How many there are up to a number."""
        row = self._connection.execute("SELECT count(*) FROM events WHERE seq <= ?", (until,)).fetchone()
        return int(row[0])

    def digests(self, keys: Iterable[EventKey]) -> dict[EventKey, bytes]:
        """The digests of those events that are there."""
        question = "SELECT visitor, id, digest FROM events WHERE visitor = ? AND id = ?"
        rows = self._connection.of_events(list(keys), question)
        return {(bytes(visitor), bytes(id)): bytes(digest) for visitor, id, digest in rows}

    def exposures_since(self, visitors: Collection[bytes], *, since_ms: int) -> list[tuple[bytes, bytes, str, int]]:
        """The exposures of some visitors after a time: visitor, id, experiment, and when each was."""
        question = (
            "SELECT visitor, id, experiments, at_ms FROM events"
            " WHERE kind = 'exposure' AND at_ms > ? AND visitor = ?"
        )
        rows = self._connection.of_each(visitors, question, (since_ms,))
        return [(bytes(visitor), bytes(id), experiment, at_ms) for visitor, id, experiment, at_ms in rows]

    def in_order(self) -> Iterator[tuple[int, EventRow]]:
        """Every event by its number, in the order of storing."""
        rows = self._connection.stream(f"SELECT seq, {COLUMNS} FROM events ORDER BY seq")
        return ((number, event_of(row)) for number, *row in rows)

    def of_visitors(self, visitors: Collection[bytes]) -> list[tuple[int, EventRow]]:
        """Every event of some visitors by its number, in the order of storing."""
        rows = self._connection.of_each(visitors, f"SELECT seq, {COLUMNS} FROM events WHERE visitor = ?")
        return [(number, event_of(row)) for number, *row in sorted(rows, key=itemgetter(0))]

    def within(self, span: Span, *, after: bytes, limit: int) -> list[EventRow]:
        """The first events of a span, of its first visitor those after an id, in the order of visitors and ids."""
        rows = self._connection.execute(
            f"SELECT {COLUMNS} FROM events WHERE (visitor, id) > (?, ?) AND visitor < ? ORDER BY visitor, id LIMIT ?",
            (span.low, after, span.high, limit),
        )
        return [event_of(row) for row in rows]

    def oldest(self, span: Span, *, limit: int) -> list[tuple[int, EventRow]]:
        """The events of a span that were stored first, by their numbers."""
        within = "" if span == EVERYBODY else " WHERE visitor >= ? AND visitor < ?"
        rows = self._connection.execute(
            f"SELECT seq, {COLUMNS} FROM events{within} ORDER BY seq LIMIT ?", (*(span if within else ()), limit)
        )
        return [(number, event_of(row)) for number, *row in rows]

    def remove(self, keys: Collection[EventKey]) -> None:
        """Remove events."""
        if keys:
            self._meta.set(_NUMBERED, str(self.newest()))
            self._connection.executemany("DELETE FROM events WHERE visitor = ? AND id = ?", keys)


def _stored(event: EventRow) -> list[Any]:
    columns: list[Any] = list(event)
    columns[_EXPERIMENTS] = " ".join(event.experiments)
    if event.amounts is not None:
        columns[_AMOUNTS] = msgspec.json.encode(event.amounts).decode()
    return columns


def event_of(row: Sequence[Any]) -> EventRow:
    """An event from its columns."""
    fields = dict(zip(EventRow._fields, row, strict=True))
    fields["experiments"] = tuple(fields["experiments"].split())
    fields["trusted"], fields["identified"] = bool(fields["trusted"]), bool(fields["identified"])
    if fields["amounts"] is not None:
        fields["amounts"] = msgspec.json.decode(fields["amounts"])
    if fields["asserted"] is not None:
        fields["asserted"] = bool(fields["asserted"])
    return EventRow(**fields)
