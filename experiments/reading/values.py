"""Readers of single values, each with the JSON Schema of what it takes."""

import re
import unicodedata
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any
from typing import TypeVar

from experiments.durations import format_duration
from experiments.durations import parse_duration
from experiments.reading.shapes import Reading
from experiments.reading.shapes import Refusal
from experiments.reading.shapes import taking

T = TypeVar("T")

_KEY = "[a-z0-9._-]{1,64}"
_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CURRENCY = "[A-Z]{3}"
_CONTROLS = r"\x00-\x1f\x7f-\x9f"
_LINE = rf"^[^{_CONTROLS}]*[^\s{_CONTROLS}][^{_CONTROLS}]*$"
#: NUL is what no store can keep.
_PARAGRAPH = r"^[^\x00]*$"
_LONGEST_DURATION = 16


def text_like(pattern: str, **limits: Any) -> dict[str, Any]:
    """The schema of text that a pattern matches from end to end."""
    return {"type": "string", "pattern": f"^{pattern}$", **limits}


@taking(text_like(_KEY))
def key(value: object) -> str:
    """A key: what addresses, counters and exports call a thing by."""
    if not isinstance(value, str) or not re.fullmatch(_KEY, value):
        raise Refusal("must be 1 to 64 of the characters a-z 0-9 . _ -")
    return value


@taking(text_like(_KEY, maxLength=32))
def channel(value: object) -> str:
    """A channel: a key of at most 32 characters."""
    if len(key(value)) > 32:
        raise Refusal("must be at most 32 characters")
    return key(value)


def line(longest: int) -> Reading[str]:
    """Text on one line, not blank."""

    @taking({"type": "string", "maxLength": longest, "pattern": _LINE})
    def read(value: object) -> str:
        text = paragraph(longest)(value)
        if not text.strip():
            raise Refusal("must not be empty")
        if any(unicodedata.category(character) == "Cc" for character in text):
            raise Refusal("must not contain control characters")
        return text

    return read


def paragraph(longest: int) -> Reading[str]:
    """Text of any kind, possibly empty."""

    @taking({"type": "string", "maxLength": longest, "pattern": _PARAGRAPH})
    def read(value: object) -> str:
        if not isinstance(value, str):
            raise Refusal("must be text")
        if len(value) > longest:
            raise Refusal(f"must be at most {longest} characters, has {len(value)}")
        return value

    return read


def one_of(choices: tuple[T, ...]) -> Reading[T]:
    """One of the words."""

    @taking({"type": "string", "enum": list(choices)})
    def read(value: object) -> T:
        # Identity of type first: 1 equals True, and a list cannot be looked up.
        found = next((choice for choice in choices if isinstance(value, str) and choice == value), None)
        if found is None:
            raise Refusal(f"must be one of {', '.join(map(str, choices))}")
        return found

    return read


@taking({"type": "boolean"})
def flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise Refusal("must be true or false")
    return value


def number(low: float, high: float) -> Reading[float]:
    """A number from `low` to `high`, both included; a bool is no number."""

    @taking({"type": "number", "minimum": low, "maximum": high})
    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refusal("must be a number")
        if not low <= value <= high:
            raise Refusal(f"must be from {low:.15g} to {high:.15g}")
        return float(value)

    return read


def above_zero(high: float) -> Reading[float]:
    """A number above 0 and at most `high`."""

    @taking({"type": "number", "exclusiveMinimum": 0, "maximum": high})
    def read(value: object) -> float:
        found = number(0, high)(value)
        if found == 0:
            raise Refusal("must be above 0")
        return found

    return read


def whole(low: int, high: int) -> Reading[int]:
    """A whole number from `low` to `high`; 100.0 is one, since JSON does not tell it from 100."""

    @taking({"type": "integer", "minimum": low, "maximum": high})
    def read(value: object) -> int:
        found = number(low, high)(value)
        if not found.is_integer():
            raise Refusal("must be a whole number")
        return int(found)

    return read


def money(reading: Reading[float]) -> Reading[Decimal]:
    """An amount as written; how many decimals it may have depends on the currency, see `decimals`."""
    return Reading(lambda value: Decimal(repr(reading(value))), reading.schema)


def decimals(most: int) -> Callable[[Decimal], Decimal]:
    """The rule that an amount has at most so many decimals."""

    def check(amount: Decimal) -> Decimal:
        exponent = amount.normalize().as_tuple().exponent
        if not isinstance(exponent, int) or -exponent > most:
            raise Refusal(f"must have at most {most} decimals")
        return amount

    return check


def duration(low_seconds: int, high_seconds: int) -> Reading[int]:
    """A written duration, in seconds."""

    @taking(text_like("[0-9]{1,10}[smhd]"))
    def read(value: object) -> int:
        try:
            seconds = parse_duration(paragraph(_LONGEST_DURATION)(value))
        except ValueError as error:
            raise Refusal(str(error)) from error
        if not low_seconds <= seconds <= high_seconds:
            raise Refusal(f"must be from {format_duration(low_seconds)} to {format_duration(high_seconds)}")
        return seconds

    return read


@taking(text_like(_DATE, format="date"))
def iso_date(value: object) -> str:
    """A day, written year-month-day."""
    try:
        if not isinstance(value, str) or not re.fullmatch(_DATE, value):
            raise ValueError
        date.fromisoformat(value)
    except ValueError as error:
        raise Refusal("must be a date like 2027-03-01") from error
    return value


@taking(text_like(_CURRENCY))
def currency_code(value: object) -> str:
    """A currency of ISO 4217."""
    if not isinstance(value, str) or not re.fullmatch(_CURRENCY, value):
        raise Refusal("must be three capital letters of ISO 4217, such as EUR")
    return value


@taking({"type": "object"})
def any_object(value: object) -> dict[str, Any]:
    """A JSON object, whose inside is checked elsewhere."""
    if not isinstance(value, dict):
        raise Refusal("must be an object")
    return value
