"""Bursts: the statements of a transaction, sent together as soon as somebody asks what one of them has found or done.

What asks for nothing goes along with the next question, so that a server far away is waited for less. A burst ends
where the server answers that it waits for us: only then does it end a transaction that we leave alone for too long.
"""

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import psycopg

Raw = psycopg.Connection[Any]


class Bursts:
    """The statements of one connection that wait to be sent."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw
        self._waiting: list[Statement] = []

    def add(self, text: str, values: Sequence[Any] | None = None, *, is_many: bool = False) -> "Statement":
        """Have a statement sent with the next burst; `values` are those of many runs of it where it has many."""
        statement = Statement(self, self._raw.cursor(), text, values, is_many=is_many)
        self._waiting.append(statement)
        return statement

    def send(self) -> None:
        """Send what waits, and have what it finds."""
        waiting, self._waiting = self._waiting, []
        if len(waiting) == 1:
            waiting[0].run()
        elif waiting:
            with self._raw.pipeline():
                for statement in waiting:
                    statement.run()


class Statement:
    """A statement that is sent once somebody asks for what it has found or done."""

    def __init__(
        self, bursts: Bursts, cursor: psycopg.Cursor[Any], text: str, values: Sequence[Any] | None, *, is_many: bool
    ) -> None:
        self._bursts = bursts
        self._cursor = cursor
        self._text = text
        self._values = values
        self._is_many = is_many

    def run(self) -> None:
        """Run it; among others, what it finds is there once they are all sent."""
        if self._is_many:
            self._cursor.executemany(self._text.encode(), self._values or ())
        else:
            self._cursor.execute(self._text.encode(), self._values)

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        return self._asked().rowcount

    def fetchone(self) -> Any:
        """The next row, or None."""
        return self._asked().fetchone()

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        return self._asked().fetchall()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._asked())

    def _asked(self) -> psycopg.Cursor[Any]:
        self._bursts.send()
        return self._cursor
