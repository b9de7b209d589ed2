from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.rules.conditions import CONNECTIVES
from experiments.rules.conditions import OPERATORS
from experiments.rules.conditions import compile_rule

SUPPORTED = {*CONNECTIVES, *OPERATORS}

#: GrowthBook's operators over versions, and ours, which are the same names over attributes declared `version`.
VERSION_OPERATORS = {"$veq": "$eq", "$vne": "$ne", "$vgt": "$gt", "$vgte": "$gte", "$vlt": "$lt", "$vlte": "$lte"}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


def operators_of(condition: Any, attributes: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(condition, dict):
        # An attribute may be called `$groups`; then it is no operator.
        yield from (key for key in condition if key.startswith("$") and key not in attributes)
        condition = list(condition.values())
    if isinstance(condition, list):
        for inner in condition:
            yield from operators_of(inner, attributes)


def test_every_growthbook_case_of_our_operators_holds(growthbook_cases: dict[str, Any]) -> None:
    used, excluded = 0, []
    for name, condition, attributes, expected, *_ in growthbook_cases["evalCondition"]:
        foreign = set(operators_of(condition, attributes)) - SUPPORTED
        if foreign:
            excluded.append((name, foreign))
            continue
        assert compile_rule(condition)(attributes) is expected, name
        used += 1
    print(f"{used} of {used + len(excluded)} cases used; {len(excluded)} have operators that are not ours")
    assert used == 110
    assert all(foreign.isdisjoint(SUPPORTED) for _, foreign in excluded)


def test_every_growthbook_case_of_versions_holds_for_attributes_declared_so(growthbook_cases: dict[str, Any]) -> None:
    used = 0
    for name, condition, attributes, expected, *_ in growthbook_cases["evalCondition"]:
        operators = set(operators_of(condition, attributes))
        if operators and operators <= set(VERSION_OPERATORS):
            [(attribute, asked)] = condition.items()
            ours = {attribute: {VERSION_OPERATORS[operator]: version for operator, version in asked.items()}}
            assert compile_rule(ours, {attribute: "version"})(attributes) is expected, name
            used += 1
    assert used == 90


# By @growthbook/growthbook 1.8.0: evalCondition(attributes, condition)
@pytest.mark.parametrize(
    ("condition", "value", "expected"),
    [
        ({"$elemMatch": {"$gte": 0}}, [0, None], True),
        ({"$elemMatch": {"$gte": 0}}, [None], False),
        ({"$elemMatch": {"$exists": False}}, [None], False),
        (0, None, True),
        (False, None, False),
        (True, [], True),
        ("null", None, True),
        ("1,2", [1, 2], True),
        ("100000000000000000000", 1e20, True),
        ("1e+21", 1e21, True),
        ("1e-7", 0.0000001, True),
        (16, "0x10", True),
        (8, " 8 ", True),
        (1000, "1_000", False),
        (1, True, True),
        ({"$eq": 1}, True, False),
        ({"$eq": 1}, 1.0, True),
        ({"$eq": ["a"]}, ["a"], False),
        ({"$in": [1]}, True, False),
        ({"$in": [[1]]}, [[1]], False),
        ({"$in": [None]}, None, True),
        ({"$lt": "10"}, "9", False),
        ({"$lt": 10}, "9", True),
        ({"$lt": "b"}, 1, False),
        ({"$gt": "\uffff"}, "\U0001f600", False),
        ({"$gte": "x"}, None, False),
        ({"$all": ["1"]}, [1], True),
        ({"$size": {"$in": [1, 2]}}, ["a", "b"], True),
        ({"$not": "a"}, "b", True),
        ({"$regex": "^nul"}, None, True),
        ([1, "a"], [1.0, "a"], True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False),
    ],
)
def test_values_convert_as_in_a_browser(condition: Any, value: Any, expected: bool) -> None:
    assert compile_rule({"x": condition})({"x": value}) is expected


@pytest.mark.parametrize(
    ("condition", "value", "expected"),
    [
        ({"$in": ["1.2.0", "1.3.0"]}, "v1.3.0+build", True),
        ({"$nin": ["1.2.0"]}, "1.2.0+build", False),
        ({"$in": ["0"]}, None, False),
        ({"$exists": False}, None, True),
        ({"$not": {"$lt": "1.10.0"}}, "1.9.0", False),
        ({"$eq": None}, None, True),
        ("1.2.0", "v1.2.0", True),
        ({"$gte": "1.10"}, "1.9", False),
        ({"$regex": "^1[.]"}, "1.9", True),
    ],
)
def test_attributes_declared_version_compare_as_versions(condition: Any, value: Any, expected: bool) -> None:
    rule = compile_rule({"$and": [{"app": condition}]}, {"app": "version"})
    assert rule({"app": value}) is expected


def test_an_attribute_is_found_by_its_whole_name_before_its_path() -> None:
    rule = compile_rule({"father.age": {"$gt": 65}})
    assert rule({"father.age": 70, "father": {"age": 1}})
    assert rule({"father": {"age": 70}})
    assert not rule({"father": 70})


def test_conditions_side_by_side_must_all_hold() -> None:
    rule = compile_rule({"womens": True, "recency": {"$gte": 2, "$lt": 6}})
    assert rule({"womens": True, "recency": 3})
    assert not rule({"womens": True, "recency": 6})
    assert not rule({"womens": False, "recency": 3})


def test_an_unknown_operator_never_holds() -> None:
    assert not compile_rule({"x": {"$near": 1}})({"x": 1})


@pytest.mark.parametrize("operand", [None, 1, "a", {"a": 1}, {}])
@pytest.mark.parametrize("key", ["$and", "$or", "$in", "$nin", "$all", "$size", "$elemMatch", "$regex"])
def test_an_argument_of_another_kind_is_no_error(key: str, operand: Any) -> None:
    for condition in ({key: operand}, {"x": {key: operand}}):
        assert isinstance(compile_rule(condition)({"x": [1, "a"]}), bool)


@given(
    st.dictionaries(st.sampled_from(["x", "y", "x.y"]), JSON, max_size=3),
    st.sampled_from(sorted(set(OPERATORS) - {"$not"})),
    JSON,
    st.sampled_from(["string", "version", "list"]),
)
def test_evaluating_never_raises(attributes: dict[str, Any], operator: str, argument: Any, declared: str) -> None:
    rule = {"$or": [{"x": {operator: argument}}, {"$not": {"x.y": {"$not": {operator: argument}}}}, {"y": argument}]}
    assert isinstance(compile_rule(rule, {"x": declared, "y": declared})(attributes), bool)


def test_numbers_beyond_doubles_and_lists_beyond_depth_are_no_error() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (10**400, -(10**400), deep):
        for condition in (1, "a", {"$lt": 1}, {"$lt": "a"}, {"$in": [1]}, {"$regex": "a"}, [1]):
            assert isinstance(compile_rule({"x": condition})({"x": value}), bool)


def test_a_rule_is_compiled_once_and_keeps_nothing() -> None:
    rule = compile_rule({"zip": {"$in": ["10115", "20095"]}})
    assert [rule({"zip": code}) for code in ("10115", "99999", "20095", "10115")] == [True, False, True, True]
