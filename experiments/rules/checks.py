"""What may be saved as a rule: only what evaluates the same everywhere, in bounded time, over declared attributes."""

from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass

from experiments.errors import Problem
from experiments.model import Attribute
from experiments.rules.bounds import check_bounds
from experiments.rules.conditions import CONNECTIVES
from experiments.rules.conditions import OPERATORS
from experiments.rules.operator_checks import Subject
from experiments.rules.operator_checks import check_operand
from experiments.rules.operator_checks import unsupported


def check_rule(
    rule: object, attributes: Mapping[str, Attribute], field: str, *, local_evaluation: bool = False
) -> list[Problem]:
    """Everything that keeps a rule from being saved; `field` is where it stands in its document.

    With `local_evaluation` the rule must also mean the same to SDKs, which disagree about some of what may be asked.
    """
    if not isinstance(rule, dict):
        return [Problem(field, rule, "must be an object of conditions")]
    return check_bounds(rule, field) or list(_condition(rule, field, _Scope(attributes, local_evaluation)))


@dataclass(frozen=True)
class _Scope:
    attributes: Mapping[str, Attribute]
    local_evaluation: bool

    @property
    def names(self) -> str:
        return ", ".join(self.attributes) or "none"


def _condition(condition: object, field: str, scope: _Scope) -> Iterator[Problem]:
    if not isinstance(condition, dict):
        yield Problem(field, condition, "must be an object of conditions")
    elif not condition:
        yield Problem(field, condition, "must not be empty: it would match everybody")
    else:
        for key, operand in condition.items():
            yield from _clause(key, operand, f"{field}.{key}", scope)


def _clause(key: str, operand: object, field: str, scope: _Scope) -> Iterator[Problem]:
    if key == "$not":
        yield from _condition(operand, field, scope)
    elif key in CONNECTIVES:
        yield from _conditions(operand, field, scope)
    elif key in scope.attributes:
        yield from _attribute(key, operand, field, scope)
    elif key in OPERATORS:
        yield Problem(field, key, 'must stand under an attribute, as in {"attribute": {"$eq": 1}}')
    elif key.startswith("$"):
        yield unsupported(key, field)
    else:
        yield Problem(field, key, f"must be a declared attribute; declared: {scope.names}")


def _conditions(operand: object, field: str, scope: _Scope) -> Iterator[Problem]:
    if not isinstance(operand, list) or not operand:
        yield Problem(field, operand, "must be a list of at least one condition")
        return
    for index, condition in enumerate(operand):
        yield from _condition(condition, f"{field}[{index}]", scope)


def _attribute(name: str, operand: object, field: str, scope: _Scope) -> Iterator[Problem]:
    yield from check_operand(operand, field, Subject(scope.attributes[name].type, False, scope.local_evaluation))
