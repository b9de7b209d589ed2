"""Filters: what a message may do with a value. All take any value and give at most `LONGEST_RESULT` characters.

They are Liquid's by name and meaning (https://shopify.github.io/liquid/), few of them, each with a bound, because
filters in a row multiply: three times `replace` can make a gigabyte of a name.
"""

import html
from collections.abc import Callable
from decimal import Decimal
from decimal import InvalidOperation
from decimal import ROUND_HALF_UP
from functools import wraps
from typing import Any

from liquid import Environment
from liquid.builtin.filters.misc import default
from liquid.exceptions import FilterArgumentError
from liquid.exceptions import FilterError
from liquid.filter import with_environment
from liquid.undefined import is_undefined
from markupsafe import escape as escaped

from experiments.errors import shown
from experiments.rules.coercions import is_number
from experiments.rules.coercions import number_text

LONGEST_RESULT = 10_000
_LARGEST_RESULT = 10**15
_MOST_DECIMALS = 10

_TextFilter = Callable[..., str]


def text_of(value: object) -> str:
    """A value as it stands in a message: nothing for a missing one, `3` for 3.0, list items without a gap."""
    if isinstance(value, str):
        return value
    if value is None or is_undefined(value):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number_text(value)
    return "".join(map(text_of, value)) if isinstance(value, list) else ""


def _on_text(filter_: _TextFilter) -> _TextFilter:
    @wraps(filter_)
    def bounded(value: object, *arguments: object, **options: Any) -> str:
        result = filter_(text_of(value), *arguments, **options)
        return _within_bound(result, len(result))

    return bounded


def _within_bound(text: str, length: int) -> str:
    if length > LONGEST_RESULT:
        raise FilterError(f"a filter's result must be at most {LONGEST_RESULT} characters", token=None)
    return text


@_on_text
def _upcase(text: str) -> str:
    return text.upper()


@_on_text
def _downcase(text: str) -> str:
    return text.lower()


@_on_text
def _capitalize(text: str) -> str:
    return text.capitalize()


@_on_text
def _strip(text: str) -> str:
    return text.strip()


@_on_text
def _append(text: str, end: object) -> str:
    return text + text_of(end)


@_on_text
def _prepend(text: str, start: object) -> str:
    return text_of(start) + text


@_on_text
def _replace(text: str, old: object, new: object = "") -> str:
    wanted, given = text_of(old), text_of(new)
    # Known before it is made, so that a result too long never is.
    _within_bound(text, len(text) + text.count(wanted) * (len(given) - len(wanted)))
    return text.replace(wanted, given)


@_on_text
def _truncate(text: str, length: object = 50, end: object = "...") -> str:
    wanted, ellipsis = int(_number(length)), text_of(end)
    return text if len(text) <= wanted else text[: max(0, wanted - len(ellipsis))] + ellipsis


@with_environment
@_on_text
def _escape(text: str, *, environment: Environment) -> str:
    # Where values are escaped anyway, this one says that it has been.
    return escaped(text) if environment.autoescape else html.escape(text)


def _join(value: object, separator: object = " ") -> str:
    items = list(map(text_of, value)) if isinstance(value, list) else [text_of(value)]
    _within_bound("", sum(map(len, items)) + len(items) * len(text_of(separator)))
    return text_of(separator).join(items)


def _number(value: object) -> Decimal:
    if value is None or is_undefined(value):
        return Decimal(0)
    try:
        number = Decimal(text_of(value)) if is_number(value) or isinstance(value, str) else Decimal("NaN")
    except InvalidOperation as error:
        raise FilterArgumentError(f"{_quoted(value)} is not a number", token=None) from error
    if not number.is_finite() or abs(number) > _LARGEST_RESULT:
        raise FilterArgumentError(f"{_quoted(value)} is not a number up to 10^15", token=None)
    return number


def _quoted(value: object) -> str:
    return shown(str(text_of(value)))


def plain_number(number: float | Decimal) -> float:
    """A whole number as an int, which is written without a point."""
    return int(number) if number == int(number) else float(number)


def _plus(value: object, other: object) -> float:
    return plain_number(_number(value) + _number(other))


def _minus(value: object, other: object) -> float:
    return plain_number(_number(value) - _number(other))


def _round(value: object, decimals: object = 0) -> float:
    places = min(max(int(_number(decimals)), 0), _MOST_DECIMALS)
    return plain_number(_number(value).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP))


FILTERS: dict[str, Callable[..., object]] = {
    "append": _append,
    "capitalize": _capitalize,
    "default": default,
    "downcase": _downcase,
    "escape": _escape,
    "join": _join,
    "minus": _minus,
    "plus": _plus,
    "prepend": _prepend,
    "replace": _replace,
    "round": _round,
    "strip": _strip,
    "truncate": _truncate,
    "upcase": _upcase,
}
