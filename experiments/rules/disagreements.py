"""What GrowthBook's SDKs disagree about among themselves, so that a rule for local evaluation may not ask it.

JavaScript converts what it compares, and takes a missing attribute for null, which may count as 0 or "null"; Python
compares only what is of one type. `exists` says that the attribute is there for certain; a list's items may be of any
type.
"""

from collections.abc import Iterator
from typing import Any

from experiments.errors import Problem
from experiments.rules.coercions import is_number
from experiments.rules.coercions import number_text
from experiments.rules.coercions import to_number
from experiments.rules.versions import version_order

ITEM = "item of a list"
#: What JavaScript makes of a missing attribute where it converts to the type.
_MISSING_AS = {"string": "null", "number": 0}
COMPARISONS = ("$lt", "$lte", "$gt", "$gte")

_WHY = "with local_evaluation SDKs disagree"
_STRICT = f'must be written with $eq, as in {{"$eq": …}}: {_WHY} about a bare value here'
_STRICT_ITEMS = f'must be written as $elemMatch with $eq, one for each item: {_WHY} about a bare value here'
_VERSION_ZERO = f'must have "$exists": true beside it: {_WHY} whether a missing version is version 0'

#: Names that GrowthBook's tracking plugins take out of the attributes, and do not give back as they were.
_TAKEN_NAMES = ("id", "user_id", "device_id", "anonymous_id", "page_id", "session_id")
_TAKEN_IF_TEXT = ("utmCampaign", "utmContent", "utmMedium", "utmSource", "utmTerm", "pageTitle")
#: Names that every object has in JavaScript, so that such an attribute is never missing.
_INBORN_NAMES = (
    "constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString", "toString", "valueOf",
    "__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__", "__proto__",
)


def name_disagreements(name: str, type_: str, *, field: str) -> Iterator[Problem]:
    """What keeps an attribute from meaning the same to SDKs and to us."""
    if name in _INBORN_NAMES:
        yield Problem(field, name, "cannot be an attribute with local_evaluation: every object of JavaScript has it")
    if name in _TAKEN_NAMES:
        rule = "cannot be an attribute with local_evaluation: GrowthBook's tracking plugins take it for an id"
        yield Problem(field, name, rule)
    if name in _TAKEN_IF_TEXT and type_ != "string":
        rule = f"must be the type of {name} with local_evaluation: GrowthBook's tracking plugins pass on no other"
        yield Problem(field, type_, f"{rule}: string")


def literal_disagreements(literal: Any, *, field: str, type_: str, exists: bool) -> Iterator[Problem]:
    """What SDKs disagree about in a bare literal, which JavaScript converts the value to."""
    if type_ == ITEM:
        yield Problem(field, literal, _STRICT)
    elif not exists and type_ == "version" and _is_version_zero(literal):
        yield Problem(field, literal, _VERSION_ZERO)
    elif not exists and literal == _MISSING_AS.get(type_):
        yield Problem(field, literal, _STRICT)


def operator_disagreements(name: str, argument: Any, *, field: str, type_: str, exists: bool) -> Iterator[Problem]:
    """What SDKs disagree about in an operator and its argument."""
    if name == "$regex":
        rule = f"cannot be asked: {_WHY} about patterns, and take any time over them; use $in, or another attribute"
        yield Problem(field, argument, rule)
    elif name in COMPARISONS and type_ == ITEM:
        yield Problem(field, argument, f"cannot be compared: {_WHY} about items of several types; use $in")
    elif name in COMPARISONS and not exists:
        yield Problem(field, argument, f'must have "$exists": true beside the comparison: {_WHY} without')
    elif name == "$all":
        yield from (Problem(field, item, _STRICT_ITEMS) for item in argument if _is_equal_to_another_type(item))
    elif type_ == "version":
        yield from _version_disagreements(name, argument, field, exists=exists)


def _version_disagreements(name: str, argument: Any, field: str, *, exists: bool) -> Iterator[Problem]:
    if name in ("$in", "$nin"):
        yield Problem(field, argument, "must be written as $or of $eq: with local_evaluation SDKs compare it as text")
    elif name in ("$eq", "$ne") and argument is not None and not exists and _is_version_zero(argument):
        yield Problem(field, argument, _VERSION_ZERO)


def _is_version_zero(version: str) -> bool:
    return version_order(version) == version_order(None)


def _is_equal_to_another_type(literal: Any) -> bool:
    """Whether JavaScript finds the literal equal to some value of another type."""
    if isinstance(literal, bool) or is_number(literal):
        return True
    return literal in ("true", "false") or number_text(to_number(literal)) == literal
