"""Rules: conditions over attributes, compiled once into closures and evaluated often.

The language is the part of GrowthBook's that `CONNECTIVES` and `OPERATORS` name. An attribute that is missing is null.
`experiments.rules.checks` says what may be saved; evaluating takes any rule and any attributes, and never raises.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from experiments.rules.operators import Test
from experiments.rules.operators import VALUE_OPERATORS
from experiments.rules.operators import VERSION_OPERATORS
from experiments.rules.operators import equal
from experiments.rules.operators import negated
from experiments.rules.operators import never

#: Says of a visitor's attributes whether the rule holds.
Rule = Callable[[Mapping[str, Any]], bool]

_Types = Mapping[str, str]

#: What joins conditions; each holds one condition, or a list of them.
CONNECTIVES = ("$and", "$or", "$not")

#: What can be asked of an attribute.
OPERATORS = (*VALUE_OPERATORS, "$all", "$size", "$elemMatch", "$not")


def compile_rule(rule: Mapping[str, Any], types: Mapping[str, str] | None = None) -> Rule:
    """A function of the attributes; `types` says which of them are declared `version` and compare as versions."""
    return _condition(rule, types or {})


def _condition(condition: Any, types: _Types) -> Test:
    if not isinstance(condition, Mapping):
        return never
    return _all([_clause(key, operand, types) for key, operand in condition.items()])


def _clause(key: str, operand: Any, types: _Types) -> Test:
    match key:
        case "$and":
            return _all(_conditions(operand, types))
        case "$or":
            return _any(_conditions(operand, types))
        case "$not":
            return negated(_condition(operand, types))
    return _at(key, value_test(operand, types.get(key)))


def _conditions(operand: Any, types: _Types) -> list[Test]:
    return [_condition(condition, types) for condition in operand] if isinstance(operand, list) else [never]


def _all(tests: Sequence[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]

    # A loop, because a generator for `all` costs more than most tests do.
    def holds(value: Any) -> bool:
        for test in tests:
            if not test(value):
                return False
        return True

    return holds


def _any(tests: Sequence[Test]) -> Test:
    def holds(value: Any) -> bool:
        for test in tests:
            if test(value):
                return True
        return not tests

    return holds


def _at(key: str, test: Test) -> Test:
    if "." in key:
        return lambda attributes: test(_found(attributes, key))
    return lambda attributes: test(attributes.get(key))


def _found(attributes: Mapping[str, Any], path: str) -> Any:
    # Attributes are declared by their whole name; where the name is none, its dots lead into objects.
    if path in attributes:
        return attributes[path]
    value: Any = attributes
    for step in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value


def value_test(operand: Any, type_: str | None = None) -> Test:
    """The test that a condition makes of one value, of an attribute declared `type_`."""
    if _is_operators(operand):
        return _all([_operator(name, argument, type_) for name, argument in operand.items()])
    if type_ == "version" and isinstance(operand, str):
        return VERSION_OPERATORS["$eq"](operand)
    return equal(operand)


def _is_operators(operand: object) -> bool:
    return isinstance(operand, Mapping) and bool(operand) and all(key.startswith("$") for key in operand)


def _operator(name: str, argument: Any, type_: str | None) -> Test:
    if type_ == "version" and name in VERSION_OPERATORS:
        return VERSION_OPERATORS[name](argument)
    match name:
        case "$not":
            return negated(value_test(argument, type_))
        case "$all":
            return _holds_all(argument)
        case "$size":
            return _size(value_test(argument))
        case "$elemMatch":
            return _some_item(value_test(argument) if _is_operators(argument) else _object_test(argument))
    return VALUE_OPERATORS[name](argument) if name in VALUE_OPERATORS else never


def _holds_all(argument: Any) -> Test:
    if not isinstance(argument, list):
        return never
    tests = [value_test(item) for item in argument]
    return lambda value: isinstance(value, list) and all(any(map(test, value)) for test in tests)


def _size(test: Test) -> Test:
    return lambda value: isinstance(value, list) and test(len(value))


def _some_item(test: Test) -> Test:
    return lambda value: isinstance(value, list) and any(item is not None and test(item) for item in value)


def _object_test(argument: Any) -> Test:
    test = _condition(argument, {})
    return lambda item: test(item if isinstance(item, Mapping) else {})
