"""Bursts: the statements of a transaction, sent together as soon as somebody asks what one of them has found or done.

What asks for nothing goes along with the next question, so that a server far away is waited for less. A burst ends
with a sync and with nothing after it: only where the server knows that it waits for us does it end a transaction that
we leave alone for too long.
"""

import select
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import psycopg

Raw = psycopg.Connection[Any]


class Bursts:
    """The statements of one transaction that wait to be sent."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw
        self._waiting: list[Statement] = []
        self._pipeline: psycopg.Pipeline | None = None
        self._ending = ExitStack()

    def add(self, text: str, values: Sequence[Any] | None = None, *, is_many: bool = False) -> "Statement":
        """Have a statement sent with the next burst; `values` are those of many runs of it where it has many."""
        statement = Statement(self, self._raw.cursor(), text, values, is_many=is_many)
        self._waiting.append(statement)
        return statement

    def send(self) -> None:
        """Send what waits, and have what it finds."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        if self._pipeline is None:
            self._pipeline = self._ending.enter_context(self._raw.pipeline())
        for statement in waiting:
            statement.run()
        self._push()
        # Leaving the pipeline instead would ask the server to flush, after which it minds no time.
        self._pipeline.sync()

    def _push(self) -> None:
        """Have all of it on its way: whoever waits for answers sends nothing any more, however much is still here."""
        connection, poll = self._raw.pgconn, select.poll()
        poll.register(connection.socket, select.POLLIN | select.POLLOUT)
        while connection.flush():
            if any(event & select.POLLIN for _, event in poll.poll()):
                connection.consume_input()

    def end(self) -> None:
        """Send nothing more."""
        self._waiting.clear()
        self._ending.close()


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
        run(self._cursor, self._text, self._values, is_many=self._is_many)

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


def run(
    cursor: psycopg.Cursor[Any], text: str, values: Sequence[Any] | None = None, *, is_many: bool = False
) -> psycopg.Cursor[Any]:
    """Run a statement on a cursor; `values` are those of many runs of it where it has many."""
    if is_many:
        cursor.executemany(text.encode(), values or ())
        return cursor
    return cursor.execute(text.encode(), values)
