"""A connection as the tables see it: one SQL for all databases, and a name for whatever each of them does its own way.

Statements have a `?` for each of their values, or `:name` where these come by name.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple
from typing import Protocol

Row = Sequence[Any]
Values = Sequence[Any] | Mapping[str, Any]


class Sums(NamedTuple):
    """A table of sums that are changed by adding only: by what a row is known, and what it sums up."""

    table: str
    keys: tuple[str, ...]
    sums: tuple[str, ...]


class Listed(NamedTuple):
    """The condition that a column has one of some values: what stands after the column, and what its places take."""

    condition: str
    values: Sequence[Any]


class Found(Protocol):
    """What a statement has found or done."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""

    def fetchone(self) -> Any:
        """The next row, or None."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """What tables ask of a connection."""

    def execute(self, statement: str, values: Values = ..., /) -> Found:
        """Run a statement."""

    def executemany(self, statement: str, rows: Iterable[Values], /) -> Found:
        """Run a statement on each of the rows."""

    def rollback(self) -> None:
        """End a transaction without keeping anything of it."""

    def stream(self, statement: str, /) -> Iterator[Any]:
        """The rows of a statement that finds many, never all of them in memory."""

    def of_each(self, visitors: Collection[bytes], question: str, values: Sequence[Any] = ..., /) -> list[Any]:
        """The rows of a question about each of these visitors; it ends with the visitor's place."""

    def of_events(self, keys: Collection[tuple[bytes, bytes]], question: str, /) -> list[Any]:
        """The rows of a question about each of these events; it ends with the places of visitor and id."""

    def among(self, values: Collection[object]) -> Listed:
        """The condition that a column has one of these values."""

    def adding(self, sums: Sums) -> str:
        """The statement that adds to a row of sums, or makes it: values for its keys, then for its sums."""

    def filling(self, table: str, columns: Sequence[str]) -> str:
        """The statement that puts a row into a table as it was in another database."""

    def number_on(self) -> None:
        """Give the next event a number after those of all events."""

    def insert_events(self, statement: str, rows: Sequence[Row]) -> dict[tuple[bytes, bytes], int]:
        """Insert those events that are not there; their numbers, by visitor and id."""

    def hold(self, visitors: Iterable[bytes]) -> None:
        """Keep others from changing what is known of these visitors, until the transaction ends."""

    def faults(self) -> Iterator[str]:
        """What is wrong with the database beneath its rows."""

    def facts(self) -> Mapping[str, str]:
        """What kind of database it is, and how it is set where promises rest on that."""

    def pending(self) -> list[str]:
        """The steps of the schema that have not been taken."""

    def numbers_all_events(self) -> bool:
        """Whether a number that no event has is that of an event that is gone."""

    def close(self) -> None:
        """Let the connection go."""
