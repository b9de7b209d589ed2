"""How large a message may be, and its leaves: what it holds besides objects and lists."""

import json
from collections.abc import Iterable
from collections.abc import Iterator
from math import isfinite
from typing import Any

from experiments.errors import Problem
from experiments.messages.templates import InvalidTemplate
from experiments.messages.templates import count_markup

LARGEST_MESSAGE = 1 << 16
DEEPEST_MESSAGE = 16
MOST_MARKUP = 200


def check_bounds(message: dict[str, Any], field: str) -> list[Problem]:
    """The first bound that a message breaks; the other checks may rely on depth and size."""
    if _is_deeper(message, DEEPEST_MESSAGE):
        return [Problem(field, DEEPEST_MESSAGE + 1, f"levels of nesting are too many; at most {DEEPEST_MESSAGE}")]
    size = len(json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    if size > LARGEST_MESSAGE:
        return [Problem(field, size, f"bytes of message are too many; at most {LARGEST_MESSAGE}")]
    markup = _markup_in(message)
    if markup > MOST_MARKUP:
        return [Problem(field, markup, f"outputs and tags in one message are too many; at most {MOST_MARKUP}")]
    return [Problem(path, leaf, "must be a finite number") for path, leaf in leaves(message, field) if _is_odd(leaf)]


def leaves(value: object, path: str) -> Iterator[tuple[str, object]]:
    """Everything in a message that is no object and no list, each with its path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def _is_deeper(message: object, depth: int) -> bool:
    # Level by level and not by recursion: depth is what this protects the rest from.
    level = [message]
    for _ in range(depth):
        level = [inner for value in level for inner in _inside(value) if isinstance(inner, (dict, list))]
    return bool(level)


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _markup_in(message: dict[str, Any]) -> int:
    try:
        return sum(count_markup(leaf) for _, leaf in leaves(message, "") if isinstance(leaf, str))
    except InvalidTemplate:
        # Something is not closed; the check of that template will say so.
        return 0


def _is_odd(leaf: object) -> bool:
    return isinstance(leaf, float) and not isfinite(leaf)
