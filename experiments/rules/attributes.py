"""Attributes at the door: only declared ones come in, and only of the declared type."""

from collections.abc import Callable
from collections.abc import Mapping
from types import NoneType
from typing import Any

from experiments.errors import InvalidContext
from experiments.errors import shown
from experiments.model import AttributeType
from experiments.model import Experiment
from experiments.rules.attribute_columns import AttributeColumn

_LARGEST_NUMBER = 2**53
_LONGEST_TEXT = 1000
_LONGEST_LIST = 1000


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT


def _is_number(value: object) -> bool:
    # bool is an int to Python; nobody who sends true means 1.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return -_LARGEST_NUMBER <= value <= _LARGEST_NUMBER


def _is_list(value: object) -> bool:
    if not isinstance(value, list) or len(value) > _LONGEST_LIST:
        return False
    return all(_is_text(item) or _is_number(item) or isinstance(item, bool) for item in value)


_TEST_AND_RULE: dict[AttributeType, tuple[Callable[[object], bool], str]] = {
    "string": (_is_text, f"must be a string of at most {_LONGEST_TEXT} characters"),
    "version": (_is_text, f"must be a version string of at most {_LONGEST_TEXT} characters"),
    "number": (_is_number, "must be a finite number between -2^53 and 2^53"),
    "boolean": (lambda value: isinstance(value, bool), "must be true or false"),
    "list": (_is_list, f"must be a list of at most {_LONGEST_LIST} strings, numbers or booleans"),
}

#: What values of each type are to Python; equal ones of them are the same value.
_KINDS: dict[AttributeType, set[type]] = {
    "string": {str}, "version": {str}, "number": {int, float}, "boolean": {bool}, "list": {list}
}


def are_of_type(type_: AttributeType, column: AttributeColumn) -> bool:
    """Whether all values of a column, but for those that are null, are what an attribute of the type may be."""
    holds, _ = _TEST_AND_RULE[type_]
    if not set(map(type, column.values)) <= _KINDS[type_] | {NoneType}:
        return False
    return all(value is None or holds(value) for value in column.different)


def is_of_type(value: object, type_: AttributeType) -> bool:
    """Whether a value may be that of an attribute of this type."""
    holds, _ = _TEST_AND_RULE[type_]
    return holds(value)


def declared_attributes(experiment: Experiment, sent: Mapping[str, Any]) -> dict[str, Any]:
    """The declared ones of the attributes sent; everything else is dropped, null is as good as absent.

    :raises InvalidContext: `INVALID_CONTEXT`, if one is not of its declared type.
    """
    kept = {}
    for name, type_ in experiment.attribute_types.items():
        value = sent.get(name)
        if value is None:
            continue
        holds, rule = _TEST_AND_RULE[type_]
        if not holds(value):
            raise InvalidContext("INVALID_CONTEXT", f"attribute {name!r}: {shown(value)} {rule}")
        kept[name] = value
    return kept
