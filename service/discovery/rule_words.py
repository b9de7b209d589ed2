"""A rule in plain words, as far as it is one that discovery proposes. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from service.setup.kinds import json_text
from service.setup.rules import RuleKind
from service.setup.rules import sentence

_ESCAPED = re.compile(r"\\(.)")


def rule_words(rule: Mapping[str, Any], types: Mapping[str, str]) -> str:
    """What must hold for somebody to belong."""
    return ", or ".join(_together(term, types) for term in rule.get("$or", [rule]))


def _together(conditions: Mapping[str, Any], types: Mapping[str, str]) -> str:
    return " and ".join(_condition(name, operand, types) for name, operand in conditions.items())


def _condition(name: str, operand: Any, types: Mapping[str, str]) -> str:
    if not isinstance(operand, Mapping):
        return _row(name, operand, types)
    if "$regex" in operand:
        beginning = _ESCAPED.sub(r"\1", operand["$regex"].removeprefix("^"))
        return f"{name} begins with {beginning}"
    # Whatever else is asked of it, it is known.
    others = {operator: value for operator, value in operand.items() if (operator, value) != ("$exists", True)}
    return _row(name, others or operand, types)


def _row(name: str, operand: Any, types: Mapping[str, str]) -> str:
    words = sentence(RuleKind().write({name: operand}, types)).removesuffix(".")
    return words or f"{name} {json_text(operand)}"
