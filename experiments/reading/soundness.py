"""What no JSON text can carry, or no store can keep: found before a document is read.

Values named here are described, not quoted: a number of a million digits has no text, a list nested
a million times has no representation.
"""

import math
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

from experiments.errors import Problem

#: Room for the deepest rule inside a segment.
MAX_DEPTH = 64
#: The first whole number that no 64-bit integer holds.
INTEGER_LIMIT = 2**63

_Found = tuple[str, Any, int]


def unsound_values(document: object) -> list[Problem]:
    """The values that cannot be kept, wherever they are; containers at most `MAX_DEPTH` deep."""
    problems: list[Problem] = []
    waiting: list[_Found] = [("document", document, 1)]
    while waiting:
        path, value, depth = waiting.pop()
        problems += _check(path, value, depth)
        if depth <= MAX_DEPTH:
            waiting += [(inner_path, inner, depth + 1) for inner_path, inner in _inside(path, value)]
    return problems


def _inside(path: str, value: object) -> Iterator[tuple[str, Any]]:
    prefix = "" if path == "document" else f"{path}."
    if isinstance(value, dict):
        yield from ((f"{prefix}{shown_name(name)}", inner) for name, inner in value.items())
    elif isinstance(value, list):
        yield from ((f"{path}[{index}]", inner) for index, inner in enumerate(value))


def shown_name(name: object) -> str:
    """A name from the document, short and printable enough for a path."""
    text = name if isinstance(name, str) else "?"
    return (text if text.isprintable() else ascii(text))[:64]


def _check(path: str, value: object, depth: int) -> Iterable[Problem]:
    if isinstance(value, dict | list):
        return _check_container(path, value, depth)
    if isinstance(value, str):
        return _check_text(path, value)
    return _check_scalar(path, value)


def _check_container(path: str, value: dict[Any, Any] | list[Any], depth: int) -> Iterator[Problem]:
    if depth > MAX_DEPTH:
        yield Problem(path, "what is inside", f"must not be nested deeper than {MAX_DEPTH}")
    elif isinstance(value, dict):
        for name in value:
            yield from _check_name(path, name)


def _check_name(path: str, name: object) -> Iterable[Problem]:
    if not isinstance(name, str):
        return (Problem(path, type(name).__name__, "cannot be the name of a field"),)
    return _check_text(path, name)


def _check_text(path: str, text: str) -> Iterator[Problem]:
    if "\0" in text:
        yield Problem(path, text, "must not contain the character NUL")
    if any("\ud800" <= character <= "\udfff" for character in text):
        yield Problem(path, ascii(text), "must be text that UTF-8 can carry, without half surrogate pairs")


def _check_scalar(path: str, value: object) -> Iterator[Problem]:
    if isinstance(value, float) and not math.isfinite(value):
        yield Problem(path, value, "must be a finite number")
    elif isinstance(value, int) and abs(value) >= INTEGER_LIMIT:
        yield Problem(path, f"an integer of {value.bit_length()} bits", "must be within 64 bits")
    elif value is not None and not isinstance(value, int | float):
        yield Problem(path, type(value).__name__, "is not a JSON value")
