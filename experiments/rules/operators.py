"""Operators: what a rule asks of one value, each compiled to a test of the value.

They mean what GrowthBook's JavaScript SDK makes of them (https://docs.growthbook.io/lib/build-your-own), conversions
included; `VERSION_OPERATORS` are the same names over attributes declared `version`. A test never raises.
"""

from collections.abc import Callable
from operator import ge
from operator import gt
from operator import le
from operator import lt
from typing import Any

from experiments.rules.coercions import comparable
from experiments.rules.coercions import identity
from experiments.rules.coercions import is_exact
from experiments.rules.coercions import is_number
from experiments.rules.coercions import is_same_json
from experiments.rules.coercions import is_truthy
from experiments.rules.coercions import to_number
from experiments.rules.coercions import to_text
from experiments.rules.patterns import InvalidPattern
from experiments.rules.patterns import compile_pattern
from experiments.rules.patterns import found_in
from experiments.rules.versions import version_order

#: Says of a value whether a condition holds.
Test = Callable[[Any], bool]

#: Makes a test of an operator's argument.
Operator = Callable[[Any], Test]


def never(value: Any) -> bool:
    """The test of what cannot be asked."""
    return False


def negated(test: Test) -> Test:
    """The opposite test."""
    return lambda value: not test(value)


def equal(literal: Any) -> Test:
    """The test of a bare literal, which converts the value to its own type first; `$eq` does not."""
    # Nearly all values are of the literal's type already.
    if isinstance(literal, str):
        return lambda value: value == literal if type(value) is str else to_text(value) == literal
    if isinstance(literal, bool):
        return lambda value: value is literal if type(value) is bool else _is_as_true(value, literal)
    if is_number(literal):
        number = to_number(literal)
        return lambda value: to_number(value) == number
    return lambda value: is_same_json(value, literal)


def _is_as_true(value: Any, literal: bool) -> bool:
    return value is not None and is_truthy(value) is literal


def _same(argument: Any) -> Test:
    wanted = identity(argument)
    return lambda value: bool(identity(value) == wanted)


def _ordered(holds: Callable[[Any, Any], bool]) -> Operator:
    def compiled(argument: Any) -> Test:
        if not is_exact(argument):
            return lambda value: holds(*comparable(value, argument))
        # Nearly all are numbers against a number, which need no conversion.
        return lambda value: holds(value, argument) if is_exact(value) else holds(*comparable(value, argument))

    return compiled


def _exists(argument: Any) -> Test:
    wanted = is_truthy(argument)
    return lambda value: (value is not None) is wanted


def _among(argument: list[Any]) -> Test:
    wanted = frozenset(map(identity, argument))

    def holds(value: Any) -> bool:
        if type(value) is str:
            return value in wanted
        if isinstance(value, list):
            return any(identity(item) in wanted for item in value)
        return identity(value) in wanted

    return holds


def _in(argument: Any) -> Test:
    return _among(argument) if isinstance(argument, list) else never


def _not_in(argument: Any) -> Test:
    return negated(_among(argument)) if isinstance(argument, list) else never


def _regex(argument: Any) -> Test:
    try:
        expression = compile_pattern(to_text(argument))
    except InvalidPattern:
        return never
    return lambda value: found_in(to_text(value), expression=expression)


VALUE_OPERATORS: dict[str, Operator] = {
    "$eq": _same,
    "$ne": lambda argument: negated(_same(argument)),
    "$lt": _ordered(lt),
    "$lte": _ordered(le),
    "$gt": _ordered(gt),
    "$gte": _ordered(ge),
    "$in": _in,
    "$nin": _not_in,
    "$exists": _exists,
    "$regex": _regex,
}


def _version_same(argument: Any) -> Test:
    if argument is None:
        return _same(None)
    wanted = version_order(argument)
    return lambda value: version_order(value) == wanted


def _version_ordered(holds: Callable[[Any, Any], bool]) -> Operator:
    def compiled(argument: Any) -> Test:
        bound = version_order(argument)
        return lambda value: holds(version_order(value), bound)

    return compiled


def _version_in(argument: Any) -> Test:
    if not isinstance(argument, list):
        return never
    wanted = frozenset(map(version_order, argument))
    return lambda value: value is not None and version_order(value) in wanted


def _version_not_in(argument: Any) -> Test:
    return negated(_version_in(argument)) if isinstance(argument, list) else never


VERSION_OPERATORS: dict[str, Operator] = {
    "$eq": _version_same,
    "$ne": lambda argument: negated(_version_same(argument)),
    "$lt": _version_ordered(lt),
    "$lte": _version_ordered(le),
    "$gt": _version_ordered(gt),
    "$gte": _version_ordered(ge),
    "$in": _version_in,
    "$nin": _version_not_in,
}
