"""Statements as PostgreSQL reads them: the one SQL of the tables, with its places and rows made native."""

import re
from collections.abc import Callable
from collections.abc import Sequence
from functools import cache
from typing import Any
from typing import NamedTuple

_PLACE = re.compile(r"\?(\d*)|(?<!:):([a-z_]+)")
_INSERT = re.compile(r"INSERT INTO (\w+) \(([^)]*)\) VALUES \(([^)]*)\)(.*)", re.DOTALL)


class Native(NamedTuple):
    """A statement with numbered places; `names` are those of its values in this order, where they come by name."""

    text: str
    names: tuple[str, ...]


@cache
def native(statement: str) -> Native:
    """The statement with PostgreSQL's places."""
    names: list[str] = []
    count = 0

    def place(match: re.Match[str]) -> str:
        nonlocal count
        number, name = match.groups()
        if name:
            if name not in names:
                names.append(name)
            return f"${names.index(name) + 1}"
        count += 1
        return f"${number or count}"

    return Native(_PLACE.sub(place, statement), tuple(names))


class Inserting(NamedTuple):
    """A statement that inserts many rows at once, in their order, from an array of a type for each place."""

    text: str
    types: tuple[str, ...]


def inserting(statement: str, type_of: Callable[[str, str], str]) -> Inserting | None:
    """The statement for many rows; None where it inserts nothing. `type_of` tells the type of a table's column."""
    match = _INSERT.fullmatch(statement)
    if match is None:
        return None
    table, columns, values, rest = match.groups()
    pairs = list(zip(columns.split(", "), values.split(", "), strict=True))
    given = [column for column, value in pairs if value == "?"]
    chosen = ", ".join(f"given.{column}" if value == "?" else value for column, value in pairs)
    types = tuple(type_of(table, column) for column in given)
    arrays = ", ".join(f"${number}::{type_name}[]" for number, type_name in enumerate(types, 1))
    text = (
        f"INSERT INTO {table} ({columns}) SELECT {chosen}"
        f" FROM unnest({arrays}) WITH ORDINALITY AS given ({', '.join(given)}, place) ORDER BY given.place{rest}"
    )
    return Inserting(text, types)


@cache
def asking(question: str, *, values: int, columns: int) -> str:
    """A question about many rows of bytes, an array for each of its last places, after its other values.

    Each row is looked for by itself, in the one partition where it can be: a list of all would be looked for in every
    partition, and the planner, where it knows little of a table yet, would rather read the whole of it.
    """
    names = [f"given_{number}" for number in range(columns)]
    places = iter([*(f"${number}" for number in range(1, values + 1)), *(f"given.{name}" for name in names)])
    one = _PLACE.sub(lambda _: next(places), question)
    arrays = ", ".join(f"${values + number}::bytea[]" for number in range(1, columns + 1))
    return (
        f"SELECT found.* FROM unnest({arrays}) AS given ({', '.join(names)})"
        f" CROSS JOIN LATERAL ({one} OFFSET 0) AS found"
    )


def array(values: Sequence[Any], type_name: str) -> list[Any]:
    """The values of a column of so many rows, as PostgreSQL takes them at once."""
    if type_name == "boolean":
        # Those of an embedded database are numbers.
        return [None if value is None else bool(value) for value in values]
    return list(values)
