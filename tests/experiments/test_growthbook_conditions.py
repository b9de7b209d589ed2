"""Rules that pass the checks for local evaluation hold for the same visitors here and in both of GrowthBook's SDKs."""

from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import assume
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from experiments.model import Attribute
from experiments.rules.checks import check_rule
from experiments.rules.conditions import compile_rule
from experiments.rules.disagreements import name_disagreements
from experiments.rules.growthbook import condition_of
from tests.growthbook_clients import Node
from tests.growthbook_clients import Python

TYPES = {"recency": "number", "womens": "boolean", "city": "string", "app": "version", "tags": "list"}
ATTRIBUTES = {name: Attribute(type_) for name, type_ in TYPES.items()}  # type: ignore[arg-type]

NUMBERS = st.sampled_from([0, -0.0, 1, 1.0, 2, 5, 6.5, -3, 10, 2**53, 1e-7])
TEXTS = st.sampled_from(
    ["", "0", "1", "5", "a", "b", "ab", "null", "true", "false", "NaN", " 1", "1e0", "Köln", "\U0001f3d9", "\ufffd"]
) | st.text(max_size=3)
VERSIONS = st.sampled_from(
    ["0", "v0", "0.0", "0+7", "1", "1.2.0", "v1.2.0", "1.2.0+b", "1.10.0", "2.0.0-rc.1", "2.0.0", "100000.1"]
)
ITEMS = TEXTS | NUMBERS | st.booleans()

LITERALS = {
    "number": NUMBERS,
    "boolean": st.booleans(),
    "string": TEXTS,
    "version": VERSIONS,
    "list": st.lists(ITEMS, max_size=3),
}
#: Versions come from visitors, in any spelling; letters and digits of other alphabets are left to the documentation.
VALUES = {**LITERALS, "version": VERSIONS | st.sampled_from(["", "none", "v", "1.", "1-2-3", "0.0.0", "x.10.9"])}


def operators(literal: st.SearchStrategy[Any], items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object of up to three operators, sound or not."""
    one = st.one_of(
        st.tuples(st.sampled_from(["$eq", "$ne"]), literal | st.none()),
        st.tuples(st.sampled_from(["$lt", "$lte", "$gt", "$gte"]), literal),
        st.tuples(st.sampled_from(["$in", "$nin", "$all"]), st.lists(items, min_size=1, max_size=3)),
        st.tuples(st.just("$exists"), st.sampled_from([True, True, False])),
    )
    return st.lists(one, min_size=1, max_size=3).map(dict)


def operands(type_: str) -> st.SearchStrategy[Any]:
    """What may stand under an attribute."""
    items = ITEMS if type_ == "list" else LITERALS[type_]
    plain = LITERALS[type_] | st.none() | operators(LITERALS[type_], items)
    if type_ == "list":
        counted = st.integers(0, 3) | operators(st.integers(0, 3), st.integers(0, 3))
        matched = operators(ITEMS, ITEMS) | st.fixed_dictionaries({"$not": ITEMS | operators(ITEMS, ITEMS)})
        plain |= st.fixed_dictionaries({"$size": counted}) | st.fixed_dictionaries({"$elemMatch": matched})
    nested = st.fixed_dictionaries({"$not": plain}, optional={"$exists": st.just(True)})
    return plain | nested


clauses = st.one_of(*(st.fixed_dictionaries({name: operands(type_)}) for name, type_ in TYPES.items()))
rules = st.recursive(
    clauses,
    lambda inner: st.fixed_dictionaries({"$not": inner})
    | st.sampled_from(["$and", "$or"]).flatmap(
        lambda name: st.fixed_dictionaries({name: st.lists(inner, min_size=1, max_size=3)})
    )
    | st.tuples(inner, clauses).map(lambda both: {**both[0], **both[1]}),
    max_leaves=4,
)
visitors = st.fixed_dictionaries({}, optional={name: VALUES[type_] | st.none() for name, type_ in TYPES.items()})


def complaints(rule: Any, *, local_evaluation: bool = True) -> list[str]:
    return [str(problem) for problem in check_rule(rule, ATTRIBUTES, "rule", local_evaluation=local_evaluation)]


differential = given(rule=rules, known=st.lists(visitors, min_size=8, max_size=8))
health = list(HealthCheck)


@settings(max_examples=300, derandomize=True, suppress_health_check=health)
@differential
def test_what_is_accepted_holds_for_the_same_visitors_everywhere(
    node: Node, rule: dict[str, Any], known: list[dict[str, Any]]
) -> None:
    assume(not complaints(rule))
    assert_agreement(node, rule, known)


@pytest.mark.long
@settings(max_examples=4_000, suppress_health_check=health)
@differential
def test_what_is_accepted_holds_for_the_same_visitors_everywhere_however_long_one_looks(
    node: Node, rule: dict[str, Any], known: list[dict[str, Any]]
) -> None:
    assume(not complaints(rule))
    assert_agreement(node, rule, known)


def assert_agreement(node: Node, rule: dict[str, Any], known: list[dict[str, Any]]) -> None:
    """A rule holds for the same visitors here, in JavaScript and in Python."""
    condition = condition_of(rule, TYPES)
    pairs = [(condition, attributes) for attributes in [{}, *known]]
    holds = compile_rule(rule, TYPES)
    ours = [
        holds({name: value for name, value in attributes.items() if value is not None}) for _, attributes in pairs
    ]
    assert node.conditions(pairs) == ours
    assert Python().conditions(pairs) == ours


@pytest.mark.parametrize("operand", [None, {"$eq": None}, {"$ne": None}, {"$not": {"$eq": None}}, {"$not": None}])
def test_a_missing_version_is_not_version_zero(node: Node, operand: Any) -> None:
    assert complaints({"app": operand}) == []
    assert_agreement(node, {"app": operand}, [{"app": "0"}, {"app": None}, {"app": ""}, {"app": "1.0.0"}])


@pytest.mark.parametrize(
    ("rule", "attributes", "complaint"),
    [
        ({"recency": {"$lt": 6}}, {}, 'must have "$exists": true beside the comparison'),
        ({"recency": 0}, {}, 'rule.recency: 0 must be written with $eq, as in {"$eq": …}'),
        ({"recency": {"$not": 0}}, {}, "rule.recency.$not: 0 must be written with $eq"),
        ({"city": "null"}, {}, "rule.city: 'null' must be written with $eq"),
        ({"city": {"$regex": "^n"}}, {}, "rule.city.$regex: '^n' cannot be asked"),
        ({"city": {"$exists": True, "$regex": "^n$"}}, {"city": "n\n"}, "cannot be asked"),
        ({"app": "0"}, {}, "rule.app: '0' must have \"$exists\": true beside it"),
        ({"app": {"$ne": "v0+7"}}, {}, "rule.app.$ne: 'v0+7' must have \"$exists\": true beside it"),
        ({"tags": {"$all": ["5"]}}, {"tags": [5]}, "rule.tags.$all: '5' must be written as $elemMatch with $eq"),
        ({"tags": {"$all": ["a", "true"]}}, {"tags": ["a", True]}, "'true' must be written as $elemMatch"),
        ({"tags": {"$all": [5]}}, {"tags": ["5"]}, "5 must be written as $elemMatch"),
        ({"tags": {"$all": [True]}}, {"tags": ["a"]}, "True must be written as $elemMatch"),
        ({"tags": {"$elemMatch": {"$gt": 1}}}, {"tags": ["5"]}, "rule.tags.$elemMatch.$gt: 1 cannot be compared"),
        ({"tags": {"$elemMatch": {"$not": 5}}}, {"tags": ["5"]}, "$elemMatch.$not: 5 must be written with $eq"),
        ({"tags": {"$elemMatch": {"$regex": "5"}}}, {"tags": [5]}, "rule.tags.$elemMatch.$regex: '5' cannot be asked"),
    ],
)
def test_what_is_refused_is_what_sdks_disagree_about(
    node: Node, rule: dict[str, Any], attributes: dict[str, Any], complaint: str
) -> None:
    assert complaints(rule, local_evaluation=False) == []
    [found] = complaints(rule)
    assert complaint in found
    pairs = [(condition_of(rule, TYPES), attributes)]
    assert node.conditions(pairs) != Python().conditions(pairs)


@pytest.mark.parametrize(
    "rule",
    [
        {"recency": {"$eq": 0}},
        {"recency": {"$exists": True, "$not": 0}},
        {"city": {"$eq": "null"}},
        {"app": {"$exists": True, "$eq": "0"}},
        {"app": {"$ne": None}},
        {"app": "1.2.0"},
        {"tags": {"$all": ["news", "sport"]}},
        {"tags": {"$elemMatch": {"$eq": 5}}},
        {"tags": {"$elemMatch": {"$not": {"$in": [5, "a"]}}}},
        {"tags": {"$size": {"$not": 0}}},
    ],
)
def test_there_is_another_way_to_write_what_is_refused(rule: dict[str, Any]) -> None:
    assert complaints(rule) == []


@pytest.mark.parametrize("name", ["constructor", "toString", "__proto__", "valueOf"])
def test_an_attribute_that_no_object_lacks_is_refused(node: Node, name: str) -> None:
    [problem] = name_disagreements(name, "string", field=f"attributes.{name}")
    assert "every object of JavaScript has it" in problem.rule
    pairs = [({name: {"$exists": True}}, {})]
    assert (node.conditions(pairs), Python().conditions(pairs)) == ([True], [False])


@pytest.mark.parametrize(("name", "type_"), [("id", "string"), ("device_id", "string"), ("utmSource", "list")])
def test_an_attribute_that_tracking_plugins_do_not_pass_on_is_refused(name: str, type_: str) -> None:
    [problem] = name_disagreements(name, type_, field=f"attributes.{name}")
    assert "tracking plugins" in problem.rule
    assert list(name_disagreements("utmSource", "string", field="attributes.utmSource")) == []
