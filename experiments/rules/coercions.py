"""Values as JavaScript converts and compares them, because the condition language is defined by what it does there.

Numbers, texts and comparisons follow ECMA-262 (https://tc39.es/ecma262/, 7.1 type conversion, 7.2 testing and
comparison) for every value that JSON can bring. Nothing here raises.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from math import inf
from math import isfinite
from math import isnan
from math import nan
from typing import Any

_SPACES = (
    " \t\n\r\v\f\xa0\ufeff\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
#: Up to here, every integer is a number of JavaScript.
_EXACT = 2**53
_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_INTEGER_OF_BASE = re.compile(r"0([xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)")
_INFINITY = {"Infinity": inf, "+Infinity": inf, "-Infinity": -inf}

#: JSON brings nothing deeper than this (bodies are refused), so deeper lists have no text.
_DEEPEST_LIST = 16


def is_number(value: object) -> bool:
    """Whether a value is a number; true and false are not, though Python counts them in."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def to_number(value: object) -> float:
    """A value as a number: null is 0, true is 1, a text that is no number is NaN."""
    if isinstance(value, (int, float)):
        return _double(value)
    if isinstance(value, (list, tuple)):
        value = to_text(value)
    if isinstance(value, str):
        return _number_in(value.strip(_SPACES))
    return 0.0 if value is None else nan


def _double(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf


def _number_in(text: str) -> float:
    if not text:
        return 0.0
    if _DECIMAL.fullmatch(text):
        return float(text)
    if _INTEGER_OF_BASE.fullmatch(text):
        # At most 1,000 digits come in; beyond 308 of them a double is infinite anyway.
        return _double(int(text, 0))
    return _INFINITY.get(text, nan)


def to_text(value: object, *, depth: int = _DEEPEST_LIST) -> str:
    """A value as a text: `null`, `true`, `3` for 3.0, list items joined by commas."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number_text(value)
    if isinstance(value, (list, tuple)):
        return ",".join(_item_text(item, depth - 1) for item in value)
    return "[object Object]"


def _item_text(item: object, depth: int) -> str:
    return "" if item is None or depth == 0 else to_text(item, depth=depth)


def number_text(value: float) -> str:
    """A number as people write it: the shortest digits that mean it, without a point where it is whole."""
    if isinstance(value, int) and abs(value) <= _EXACT:
        return str(value)
    number = _double(value)
    if not isfinite(number):
        return "NaN" if isnan(number) else "Infinity" if number > 0 else "-Infinity"
    if number == 0 or 1e-6 <= abs(number) < 1e21:
        return _without_zeros(format(Decimal(repr(number)), "f"))
    digits, exponent = repr(number).split("e")
    return f"{_without_zeros(digits)}e{int(exponent):+d}"


def _without_zeros(digits: str) -> str:
    plain = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return "0" if plain == "-0" else plain


def is_truthy(value: object) -> bool:
    """Whether a value counts as true: all but false, 0, NaN, the empty text and null; an empty list does."""
    if isinstance(value, float) and isnan(value):
        return False
    return bool(value) or isinstance(value, (list, tuple, Mapping))


def is_exact(value: object) -> bool:
    """Whether a value is a number that JavaScript has as it is."""
    if type(value) is int:
        return -_EXACT <= value <= _EXACT
    return type(value) is float


def identity(value: object) -> Any:
    """Something hashable that equals that of another value exactly if the two are strictly equal.

    Lists and objects equal nothing, not even themselves; 1 equals 1.0 but not true.
    """
    if isinstance(value, bool):
        return (value,)
    if isinstance(value, (int, float)):
        return _double(value)
    return value if value is None or isinstance(value, str) else object()


def comparable(left: object, right: object) -> tuple[Any, Any]:
    """The two as a pair that `<` orders as JavaScript orders them: by code units if both are texts, else as numbers."""
    left, right = _primitive(left), _primitive(right)
    if isinstance(left, str) and isinstance(right, str):
        return code_units(left), code_units(right)
    return to_number(left), to_number(right)


def _primitive(value: object) -> object:
    return to_text(value) if isinstance(value, (list, tuple, Mapping)) else value


def code_units(text: str) -> bytes:
    """Bytes that order as the text's UTF-16 code units do."""
    return text.encode("utf-16-be", "surrogatepass")


def is_same_json(left: object, right: object) -> bool:
    """Whether two values are written as the same JSON; the order of an object's keys counts."""
    if isinstance(right, list):
        return isinstance(left, list) and len(left) == len(right) and all(map(is_same_json, left, right))
    if isinstance(right, Mapping):
        if not isinstance(left, Mapping) or list(left) != list(right):
            return False
        return all(is_same_json(left[key], right[key]) for key in right)
    return bool(identity(left) == identity(right))
