"""How large a rule may be."""

from collections.abc import Iterator
from typing import Any

from experiments.errors import Problem

DEEPEST_RULE = 16
MOST_CONDITIONS = 100
LONGEST_LIST = 1000
LONGEST_TEXT = 1000
LARGEST_NUMBER = 2**53


def check_bounds(rule: dict[str, Any], field: str) -> list[Problem]:
    """The bounds that a rule breaks; the other checks may rely on depth."""
    return list(_bounds(rule, field))


def _bounds(rule: dict[str, Any], field: str) -> Iterator[Problem]:
    # By a stack and not by recursion: depth is what this protects the rest from.
    conditions = 0
    waiting: list[tuple[object, int]] = [(rule, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEEPEST_RULE and isinstance(value, (dict, list)):
            yield Problem(field, depth, f"levels of nesting are too many; at most {DEEPEST_RULE}")
            return
        if isinstance(value, dict):
            conditions += len(value)
            waiting.extend((name, depth) for name in value)
        yield from _size_problems(value, field)
        waiting.extend((inner, depth + 1) for inner in _inside(value))
    if conditions > MOST_CONDITIONS:
        yield Problem(field, conditions, f"conditions in one rule are too many; at most {MOST_CONDITIONS}")


def _inside(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) and len(value) <= LONGEST_LIST else []


def _size_problems(value: object, field: str) -> Iterator[Problem]:
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        yield Problem(field, value, f"must be at most {LONGEST_TEXT} characters long")
    if isinstance(value, list) and len(value) > LONGEST_LIST:
        yield Problem(field, len(value), f"values in a list are too many; at most {LONGEST_LIST}")
    # Not the same as `>`, which lets NaN pass.
    if isinstance(value, (int, float)) and not abs(value) <= LARGEST_NUMBER:
        yield Problem(field, value, "must be a finite number between -2^53 and 2^53")
