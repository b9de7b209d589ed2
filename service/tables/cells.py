"""Cells of tables in CSV: texts read as declared types, and values written so that no spreadsheet runs them."""

import re
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import msgspec

from experiments.model import AttributeType

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\0")
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"-?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,3})?")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def safe_cell(value: Any) -> Any:
    """Numbers are ours and go as they are; a text that would be run as a formula is quoted as text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, list)):
        return msgspec.json.encode(value).decode()
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value


def number(text: str) -> int | float:
    """A number as JSON writes it, or with zeros before it.

    :raises ValueError: with the rule.
    """
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    raise ValueError("must be a number, with a point before its decimals")


def _boolean(text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise ValueError("must be true, false, 1 or 0")
    return _BOOLEANS[text.lower()]


def _list(text: str) -> list[Any]:
    try:
        return msgspec.json.decode(text, type=list)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ValueError('must be a JSON array, like ["a", "b"]') from error


#: What makes a value of a cell that is not empty; a ValueError says the rule.
READERS: Mapping[AttributeType, Callable[[str], Any]] = {
    "string": str,
    "version": str,
    "number": number,
    "boolean": _boolean,
    "list": _list,
}
