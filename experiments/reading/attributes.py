"""The `attributes` section: what may be known about a visitor, by name and type."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any
from typing import get_args

from experiments.errors import Problem
from experiments.model import Attribute
from experiments.model import AttributeType
from experiments.reading.fields import Fields
from experiments.reading.values import Reading
from experiments.reading.values import Refusal
from experiments.reading.values import T
from experiments.reading.values import flag
from experiments.reading.values import line
from experiments.reading.values import number
from experiments.reading.values import one_of

MAX_ATTRIBUTES = 64
MAX_BANDS = 100
_LONGEST_NAME = 64
_LARGEST_NUMBER = 2.0**53
#: Names that mean something else in an evaluation context.
RESERVED_NAMES = ("targetingKey", "consent", "token")
_TYPES: tuple[AttributeType, ...] = get_args(AttributeType)


def read_attributes(document: Fields) -> dict[str, Attribute]:
    """The declared attributes by name, each from its type or from an object with a type."""
    section = document.inner("attributes")
    if len(section.values) > MAX_ATTRIBUTES:
        rule = f"attributes are too many; at most {MAX_ATTRIBUTES}"
        document.problems.append(Problem("attributes", len(section.values), rule))
        return {}
    return {name: _attribute(section, name) for name in section.values if _is_named_well(section, name)}


def _is_named_well(section: Fields, name: str) -> bool:
    rule = _broken_naming_rule(name)
    if rule is not None:
        section.problems.append(Problem(section.path_of(name), name, rule))
    return rule is None


def _broken_naming_rule(name: str) -> str | None:
    if name in RESERVED_NAMES:
        return "cannot be the name of an attribute; the context gives it another meaning"
    # A dot would be a path to the rules, a dollar sign an operator.
    if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable() or set(name) & {".", "$"}:
        return f"must be a name of 1 to {_LONGEST_NAME} printable characters without . and $"
    return None


def _attribute(section: Fields, name: str) -> Attribute:
    if isinstance(section.values[name], dict):
        return _described_attribute(section.inner(name))
    return Attribute(section.require(name, one_of(_TYPES), "string"))


def _described_attribute(fields: Fields) -> Attribute:
    fields.only("type", "store", "bands")
    type_ = fields.require("type", one_of(_TYPES), None)
    store = fields.read("store", flag, False)
    if not store:
        fields.refuse_given("bands", rule="have no use without store: true")
    bands: tuple[Any, ...] = fields.read("bands", _BANDS[type_ or "string"], ()) if type_ else ()
    return Attribute(type_ or "string", store, bands)


def _edges(value: object) -> tuple[float, ...]:
    """The edges between bands of numbers, ascending."""
    edges = _list_of(number(-_LARGEST_NUMBER, _LARGEST_NUMBER), value)
    if any(lower >= higher for lower, higher in pairwise(edges)):
        raise Refusal("must ascend strictly")
    return edges


def _kept_texts(value: object) -> tuple[str, ...]:
    """The texts that are stored as they are."""
    texts = _list_of(line(200), value)
    if len(set(texts)) < len(texts):
        raise Refusal("must not repeat")
    return texts


def _no_bands(value: object) -> tuple[Any, ...]:
    raise Refusal("have no use for an attribute of two values")


_BANDS: Mapping[AttributeType, Reading[tuple[Any, ...]]] = {
    "number": _edges,
    "string": _kept_texts,
    "version": _kept_texts,
    "list": _kept_texts,
    "boolean": _no_bands,
}


def _list_of(reading: Reading[T], value: object) -> tuple[T, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_BANDS:
        raise Refusal(f"must be a list of 1 to {MAX_BANDS}")
    return tuple(map(reading, value))
