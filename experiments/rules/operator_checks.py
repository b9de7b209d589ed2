"""What may be asked of an attribute of each type, and with which arguments."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import replace
from itertools import islice
from typing import Any

from experiments.errors import Problem
from experiments.rules.coercions import is_number
from experiments.rules.conditions import CONNECTIVES
from experiments.rules.conditions import OPERATORS
from experiments.rules.disagreements import COMPARISONS
from experiments.rules.disagreements import ITEM
from experiments.rules.disagreements import literal_disagreements
from experiments.rules.disagreements import operator_disagreements
from experiments.rules.patterns import InvalidPattern
from experiments.rules.patterns import LONGEST_PATTERN
from experiments.rules.patterns import compile_pattern
from experiments.rules.versions import is_version

_EQUALITIES = ("$eq", "$ne", "$in", "$nin")
_OPERATORS_BY_TYPE: dict[str, tuple[str, ...]] = {
    "boolean": (*_EQUALITIES, "$exists", "$not"),
    "number": (*_EQUALITIES, *COMPARISONS, "$exists", "$not"),
    "string": (*_EQUALITIES, *COMPARISONS, "$regex", "$exists", "$not"),
    "version": (*_EQUALITIES, *COMPARISONS, "$regex", "$exists", "$not"),
    "list": ("$in", "$nin", "$all", "$size", "$elemMatch", "$exists", "$not"),
    ITEM: (*_EQUALITIES, *COMPARISONS, "$regex", "$not"),
}


@dataclass(frozen=True)
class Subject:
    """What is asked about: a value of a type, which is there for certain if `exists`."""

    type: str
    exists: bool
    local_evaluation: bool


def unsupported(name: str, field: str) -> Problem:
    """The problem of an operator that is none of ours."""
    supported = ", ".join(dict.fromkeys((*CONNECTIVES, *OPERATORS)))
    return Problem(field, name, f"must be a supported operator: {supported}")


def check_operand(operand: object, field: str, subject: Subject) -> Iterator[Problem]:
    """What is wrong with the literal or the operators that stand under an attribute."""
    if isinstance(operand, dict):
        yield from _operators(operand, field, subject)
    elif operand is not None:
        disagreements = literal_disagreements(operand, field=field, type_=subject.type, exists=subject.exists)
        yield from _agreed(_literal(operand, field, subject), disagreements, subject)


def _agreed(faults: Iterable[Problem], disagreements: Iterable[Problem], subject: Subject) -> list[Problem]:
    """The faults; where there are none and SDKs evaluate, what these disagree about."""
    return list(faults) or (list(disagreements) if subject.local_evaluation else [])


def _operators(operand: dict[str, Any], field: str, subject: Subject) -> Iterator[Problem]:
    if not operand:
        yield Problem(field, operand, "must not be empty")
    known = replace(subject, exists=subject.exists or operand.get("$exists") is True)
    for name, argument in operand.items():
        yield from _operator(name, argument, f"{field}.{name}", known)


def _operator(name: str, argument: object, field: str, subject: Subject) -> Iterator[Problem]:
    allowed = _OPERATORS_BY_TYPE[subject.type]
    if name in allowed:
        disagreements = operator_disagreements(
            name, argument, field=field, type_=subject.type, exists=subject.exists
        )
        yield from _agreed(_ARGUMENT_CHECKS[name](argument, field, subject), disagreements, subject)
    elif name in OPERATORS:
        yield Problem(field, name, f"must be an operator for a {subject.type}: {', '.join(allowed)}")
    else:
        yield unsupported(name, field)


def _is_item(value: object) -> bool:
    return isinstance(value, (str, bool)) or is_number(value)


_TEST_AND_RULE: dict[str, tuple[Callable[[object], bool], str]] = {
    "boolean": (lambda value: isinstance(value, bool), "must be true or false, as the attribute is declared"),
    "number": (is_number, "must be a number, as the attribute is declared"),
    "string": (lambda value: isinstance(value, str), "must be a string, as the attribute is declared"),
    "version": (lambda value: isinstance(value, str) and is_version(value), "must be a version such as '1.10.0'"),
    "list": (
        lambda value: isinstance(value, list) and all(map(_is_item, value)),
        "must be a list of strings, numbers or booleans, as the attribute is declared",
    ),
    ITEM: (_is_item, "must be a string, a number or a boolean"),
}


def _literal(value: object, field: str, subject: Subject) -> Iterator[Problem]:
    test, rule = _TEST_AND_RULE[subject.type]
    if not test(value):
        yield Problem(field, value, rule)


def _null_or_literal(argument: object, field: str, subject: Subject) -> Iterator[Problem]:
    if argument is not None:
        yield from _literal(argument, field, subject)


def _literals(argument: object, field: str, subject: Subject) -> Iterator[Problem]:
    if not isinstance(argument, list) or not argument:
        yield Problem(field, argument, "must be a list of at least one value")
        return
    one = replace(subject, type=ITEM) if subject.type == "list" else subject
    # One fault is enough to say; a list may hold a thousand of the same.
    faults = (fault for index, value in enumerate(argument) for fault in _literal(value, f"{field}[{index}]", one))
    yield from islice(faults, 1)


def _existence(argument: object, field: str, subject: Subject) -> Iterator[Problem]:
    if not isinstance(argument, bool):
        yield Problem(field, argument, "must be true or false")


def _pattern(argument: object, field: str, subject: Subject) -> Iterator[Problem]:
    if not isinstance(argument, str) or not 0 < len(argument) <= LONGEST_PATTERN:
        yield Problem(field, argument, f"must be a pattern of 1 to {LONGEST_PATTERN} characters")
        return
    try:
        compile_pattern(argument)
    except InvalidPattern as error:
        yield Problem(field, argument, f"must be a pattern of RE2, which has no backreferences or lookaround: {error}")


def _count(argument: object, field: str, subject: Subject) -> Iterator[Problem]:
    if isinstance(argument, dict):
        yield from _operators(argument, field, replace(subject, type="number", exists=True))
    elif isinstance(argument, bool) or not isinstance(argument, int) or argument < 0:
        yield Problem(field, argument, "must be a whole number from 0, or operators on one")


def _item_match(argument: object, field: str, subject: Subject) -> Iterator[Problem]:
    if isinstance(argument, dict):
        yield from _operators(argument, field, replace(subject, type=ITEM, exists=True))
    else:
        yield Problem(field, argument, 'must be an object of operators, as in {"$eq": "news"}')


_ArgumentCheck = Callable[[object, str, Subject], Iterator[Problem]]
_ARGUMENT_CHECKS: dict[str, _ArgumentCheck] = {
    **dict.fromkeys(("$eq", "$ne"), _null_or_literal),
    **dict.fromkeys(("$in", "$nin", "$all"), _literals),
    **dict.fromkeys(COMPARISONS, _literal),
    "$exists": _existence,
    "$regex": _pattern,
    "$size": _count,
    "$elemMatch": _item_match,
    "$not": check_operand,
}
