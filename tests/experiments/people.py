"""Visitors and rules of any kind, over attributes of every type."""

from typing import Any

from hypothesis import strategies as st

from experiments.model import AttributeType

#: The declared attributes of `visitors` and `rules`, by type.
TYPES: dict[str, AttributeType] = {
    "text": "string", "size": "number", "flag": "boolean", "app": "version", "tags": "list"
}

TEXTS = st.text(max_size=4) | st.sampled_from(
    ["", "a", "b", "10", " 7 ", "true", "null", "Zoë", "1.2.3", "v1.10", "1.2.3-rc.1"]
)
NUMBERS = (
    st.integers(-(2**53), 2**53)
    | st.floats(-(2.0**53), 2.0**53)
    | st.sampled_from([0, -0.0, 1, 1.0, 5, 10, 0.1, 2**53])
)
_ITEMS = TEXTS | NUMBERS | st.booleans()

_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXTS, "size": NUMBERS, "flag": st.booleans(), "app": TEXTS, "tags": st.lists(_ITEMS, max_size=4)
}

#: What is known of a visitor: anything from nothing to everything.
attributes = st.fixed_dictionaries({}, optional={name: st.none() | value for name, value in _VALUES.items()})

_ARGUMENTS = st.none() | _ITEMS | st.lists(_ITEMS | st.none(), max_size=4) | st.integers() | st.dictionaries(
    TEXTS, _ITEMS, max_size=2
)
_OPERATORS = st.sampled_from(
    ["$eq", "$ne", "$lt", "$lte", "$gt", "$gte", "$in", "$nin", "$exists", "$regex", "$all", "$size", "$elemMatch"]
)
_ORDERS = st.dictionaries(st.sampled_from(["$lt", "$lte", "$gt", "$gte"]), NUMBERS, min_size=1)
_TESTS = st.dictionaries(_OPERATORS, _ARGUMENTS, min_size=1, max_size=2) | _ORDERS
_OPERANDS = _ARGUMENTS | _TESTS | st.fixed_dictionaries({"$not": _TESTS})
_CONDITIONS = st.dictionaries(st.sampled_from([*TYPES, "nowhere", "text.size"]), _OPERANDS, max_size=3)

#: Conditions of all connectives and operators, sensible or not.
rules = st.recursive(
    _CONDITIONS,
    lambda inner: st.dictionaries(st.sampled_from(["$and", "$or"]), st.lists(inner, max_size=3), min_size=1)
    | st.fixed_dictionaries({"$not": inner}),
    max_leaves=6,
)
