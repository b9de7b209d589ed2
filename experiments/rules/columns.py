"""Rules over many visitors at once: the language of `experiments.rules.conditions`, over columns of attributes.

Connectives become operations on masks. What is asked of one attribute stays the test that rules for one visitor make,
but for numbers that are compared by order: these differ from visitor to visitor, and numpy compares them all.
"""

from collections.abc import Callable
from collections.abc import Mapping
from functools import reduce
from operator import and_
from operator import ge
from operator import gt
from operator import le
from operator import lt
from operator import or_
from typing import Any

import numpy as np

from experiments.rules.attribute_columns import AttributeColumn
from experiments.rules.attribute_columns import Mask
from experiments.rules.coercions import is_number
from experiments.rules.coercions import to_number
from experiments.rules.conditions import value_test

#: Columns by the names of attributes; one that is missing is null for everybody.
Columns = Mapping[str, AttributeColumn]

#: Says of so many visitors, with these attributes, for which of them the rule holds.
ColumnRule = Callable[[Columns, int], Mask]

_Types = Mapping[str, str]

_ORDERS: dict[str, Callable[[Any, float], Mask]] = {"$lt": lt, "$lte": le, "$gt": gt, "$gte": ge}


def compile_column_rule(rule: Mapping[str, Any], types: Mapping[str, str]) -> ColumnRule:
    """A function of columns, which says of each visitor what `compile_rule` makes of the visitor's attributes."""
    return _condition(rule, types)


def _condition(condition: Any, types: _Types) -> ColumnRule:
    if not isinstance(condition, Mapping):
        return _nobody
    return _all([_clause(key, operand, types) for key, operand in condition.items()])


def _clause(key: str, operand: Any, types: _Types) -> ColumnRule:
    match key:
        case "$and":
            return _all(_conditions(operand, types))
        case "$or":
            return _any(_conditions(operand, types))
        case "$not":
            return _negated(_condition(operand, types))
    if types.get(key) == "number" and _is_order(operand):
        return _all([_ordered(key, name, to_number(bound)) for name, bound in operand.items()])
    return _tested(key, operand, types)


def _conditions(operand: Any, types: _Types) -> list[ColumnRule]:
    return [_condition(condition, types) for condition in operand] if isinstance(operand, list) else [_nobody]


def _nobody(columns: Columns, size: int) -> Mask:
    return np.zeros(size, np.bool_)


def _all(rules: list[ColumnRule]) -> ColumnRule:
    return lambda columns, size: reduce(and_, (rule(columns, size) for rule in rules), np.ones(size, np.bool_))


def _any(rules: list[ColumnRule]) -> ColumnRule:
    if not rules:
        return _all([])
    return lambda columns, size: reduce(or_, (rule(columns, size) for rule in rules))


def _negated(rule: ColumnRule) -> ColumnRule:
    return lambda columns, size: ~rule(columns, size)


def _is_order(operand: object) -> bool:
    if not isinstance(operand, Mapping) or not operand:
        return False
    return all(name in _ORDERS and is_number(bound) for name, bound in operand.items())


def _ordered(key: str, name: str, bound: float) -> ColumnRule:
    return lambda columns, size: _ORDERS[name](_column(columns, key, size).numbers, bound)


def _tested(key: str, operand: Any, types: _Types) -> ColumnRule:
    test = value_test(operand, types.get(key))
    return lambda columns, size: _column(columns, key, size).where(test)


def _column(columns: Columns, key: str, size: int) -> AttributeColumn:
    return columns.get(key) or AttributeColumn([None] * size)
