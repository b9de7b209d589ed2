"""Examples: values of attributes at which rules turn from true to false or back, and visitors made of them. Pure.

A number is tried at, between and beyond the numbers that rules compare it with; a text as each text that they name, and
as others; nothing known of an attribute is an example too. For what a pattern matches there are none.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from math import gcd
from math import prod
from typing import Any
from typing import NamedTuple

from experiments.model import AttributeType
from experiments.rules.attribute_columns import AttributeColumn
from experiments.rules.coercions import is_number
from experiments.rules.conditions import CONNECTIVES

#: Visitors are made of every combination of values, up to so many; of more, so many are taken evenly.
MOST_EXAMPLES = 4096
#: Steps through combinations: far from any fraction of a whole, so that all values of all attributes are met alike.
_GOLDEN = 0.6180339887498949
_LAST_NUMBER = re.compile(r"[0-9]+(?=[^0-9]*$)")
_OTHER = "another"

Values = Mapping[str, Sequence[Any]]


class Visitors(NamedTuple):
    """Made-up visitors, one in each row of the columns; `are_all` says whether they are every combination of values."""

    columns: Mapping[str, AttributeColumn]
    size: int
    are_all: bool


def operands_of(condition: Any) -> Iterator[tuple[str, Any]]:
    """Every attribute that a rule names, with what is asked of it."""
    if isinstance(condition, list):
        for inner in condition:
            yield from operands_of(inner)
    elif isinstance(condition, Mapping):
        for name, operand in condition.items():
            yield from operands_of(operand) if name in CONNECTIVES else ((name, operand),)


def asks_for_pattern(rule: Mapping[str, Any]) -> bool:
    """Whether some of what a rule asks has no examples."""
    return any("$regex" in str(operand) for _, operand in operands_of(rule) if isinstance(operand, Mapping))


def example_values(rules: Iterable[Mapping[str, Any]], types: Mapping[str, AttributeType]) -> dict[str, list[Any]]:
    """The examples of each attribute that rules name, nothing known of it first."""
    named: dict[str, list[Any]] = defaultdict(list)
    for rule in rules:
        for name, operand in operands_of(rule):
            named[name].extend(_literals(operand))
    return {name: [None, *_MAKERS[types[name]](_different(found))] for name, found in named.items() if name in types}


def example_visitors(values: Values, types: Mapping[str, AttributeType], *, most: int = MOST_EXAMPLES) -> Visitors:
    """Visitors of these values."""
    # Python's integers, since combinations of many attributes are more than any of numpy's can count.
    every = prod(map(len, values.values()))
    size = min(every, most)
    places = range(size) if every <= most else [number * _stride(every) % every for number in range(size)]
    columns, rest = {}, list(places)
    for name, found in values.items():
        chosen = [found[place % len(found)] for place in rest]
        columns[name] = AttributeColumn(chosen, is_list=types[name] == "list")
        rest = [place // len(found) for place in rest]
    return Visitors(columns, size, every <= most)


def _stride(every: int) -> int:
    """A step that meets every combination before it meets one again."""
    stride = int(every * _GOLDEN) | 1
    while gcd(stride, every) > 1:
        stride += 2
    return stride


def _literals(operand: Any) -> Iterator[Any]:
    """The values that an operand names, however deep."""
    if isinstance(operand, Mapping):
        for name, argument in operand.items():
            if name not in ("$regex", "$exists"):
                yield from _literals(argument)
    elif isinstance(operand, list):
        for item in operand:
            yield from _literals(item)
    elif operand is not None:
        yield operand


def _different(values: Iterable[Any]) -> list[Any]:
    """Each once; true is not 1."""
    return list({(type(value) is bool, value): value for value in values}.values())


def _numbers(named: Sequence[Any]) -> list[Any]:
    edges = sorted(value for value in named if is_number(value))
    if not edges:
        return [0]
    between = [(low + high) / 2 for low, high in zip(edges, edges[1:], strict=False)]
    return sorted({edges[0] - 1, *edges, *between, edges[-1] + 1})


def _texts(named: Sequence[Any]) -> list[Any]:
    # With a mark behind it a text comes just after itself in order.
    return ["", _OTHER, *(form for text in map(str, named) for form in (text, f"{text}!"))]


def _versions(named: Sequence[Any]) -> list[Any]:
    # A pre-release comes just before its version.
    return ["0", *(form for text in map(str, named) for form in (f"{text}-0", text, _LAST_NUMBER.sub(_next, text)))]


def _next(number: re.Match[str]) -> str:
    return str(int(number[0]) + 1)


def _lists(named: Sequence[Any]) -> list[Any]:
    """None of the items, each alone, all of them, all but one; and so many others as sizes ask for."""
    sizes = {int(value) + step for value in named if is_number(value) and 0 <= value < 20 for step in (-1, 0, 1)}
    others = [[f"{_OTHER} {place}" for place in range(size)] for size in sorted(sizes | {0, 1}) if size >= 0]
    alone, without = [[item] for item in named], [[one for one in named if one is not item] for item in named]
    return [*others, *alone, *(without if len(named) > 2 else ()), list(named)]


_MAKERS = {
    "boolean": lambda named: [True, False], "number": _numbers, "string": _texts, "version": _versions, "list": _lists,
}
