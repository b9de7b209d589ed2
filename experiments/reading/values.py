"""Readers of single values: each takes any JSON value and returns the typed one, or raises `Refusal`."""

import re
import unicodedata
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import TypeVar

from experiments.durations import format_duration
from experiments.durations import parse_duration

T = TypeVar("T")
Reading = Callable[[object], T]

_KEY = re.compile(r"[a-z0-9._-]{1,64}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CURRENCY = re.compile(r"[A-Z]{3}")


class Refusal(Exception):
    """The rule that a value breaks; it never leaves this package."""


def key(value: object) -> str:
    """A key: what addresses, counters and exports call a thing by."""
    if not isinstance(value, str) or not _KEY.fullmatch(value):
        raise Refusal("must be 1 to 64 of the characters a-z 0-9 . _ -")
    return value


def channel(value: object) -> str:
    """A channel: a key of at most 32 characters."""
    if len(key(value)) > 32:
        raise Refusal("must be at most 32 characters")
    return key(value)


def line(longest: int) -> Reading[str]:
    """Text on one line, not blank."""

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

    def read(value: object) -> str:
        if not isinstance(value, str):
            raise Refusal("must be text")
        if len(value) > longest:
            raise Refusal(f"must be at most {longest} characters, has {len(value)}")
        return value

    return read


def one_of(choices: tuple[T, ...]) -> Reading[T]:
    """One of the words."""

    def read(value: object) -> T:
        # Identity of type first: 1 equals True, and a list cannot be looked up.
        found = next((choice for choice in choices if isinstance(value, str) and choice == value), None)
        if found is None:
            raise Refusal(f"must be one of {', '.join(map(str, choices))}")
        return found

    return read


def flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise Refusal("must be true or false")
    return value


def number(low: float, high: float) -> Reading[float]:
    """A number from `low` to `high`, both included; a bool is no number."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refusal("must be a number")
        if not low <= value <= high:
            raise Refusal(f"must be from {low:.15g} to {high:.15g}")
        return float(value)

    return read


def above_zero(high: float) -> Reading[float]:
    """A number above 0 and at most `high`."""

    def read(value: object) -> float:
        found = number(0, high)(value)
        if found == 0:
            raise Refusal("must be above 0")
        return found

    return read


def whole(low: int, high: int) -> Reading[int]:
    """A whole number from `low` to `high`; 100.0 is one, since JSON does not tell it from 100."""

    def read(value: object) -> int:
        found = number(low, high)(value)
        if not found.is_integer():
            raise Refusal("must be a whole number")
        return int(found)

    return read


def money(low: float, high: float, *, decimals: int) -> Reading[Decimal]:
    """An amount from `low` to `high`, as written, of at most so many decimals."""

    def read(value: object) -> Decimal:
        amount = Decimal(repr(number(low, high)(value)))
        exponent = amount.normalize().as_tuple().exponent
        if not isinstance(exponent, int) or -exponent > decimals:
            raise Refusal(f"must have at most {decimals} decimals")
        return amount

    return read


def money_above_zero(high: float, *, decimals: int) -> Reading[Decimal]:
    """An amount above 0."""

    def read(value: object) -> Decimal:
        above_zero(high)(value)
        return money(0, high, decimals=decimals)(value)

    return read


def duration(low_seconds: int, high_seconds: int) -> Reading[int]:
    """A written duration, in seconds."""

    def read(value: object) -> int:
        try:
            seconds = parse_duration(paragraph(16)(value))
        except ValueError as error:
            raise Refusal(str(error)) from error
        if not low_seconds <= seconds <= high_seconds:
            raise Refusal(f"must be from {format_duration(low_seconds)} to {format_duration(high_seconds)}")
        return seconds

    return read


def iso_date(value: object) -> str:
    """A day, written year-month-day."""
    try:
        if not isinstance(value, str) or not _DATE.fullmatch(value):
            raise ValueError
        date.fromisoformat(value)
    except ValueError as error:
        raise Refusal("must be a date like 2027-03-01") from error
    return value


def currency_code(value: object) -> str:
    """A currency of ISO 4217."""
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise Refusal("must be three capital letters of ISO 4217, such as EUR")
    return value
