"""Which rules can never win, and which are for the same visitors, by examples."""

import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies

from experiments.document import parse_document
from experiments.review.examples import example_values
from experiments.review.overlaps import Overlap
from experiments.review.overlaps import overlaps
from experiments.rules.conditions import compile_rule
from tests.experiments.documents import spring_mailing
from tests.experiments.wide import fifty_segments

_TYPES = {"age": "number", "city": "string", "womens": "boolean", "app": "version", "tags": "list"}


def found(*rules: Mapping[str, Any], attributes: Mapping[str, Any] = _TYPES) -> dict[str, Overlap]:
    """The overlaps of segments with these rules, s0 the first."""
    segments = [{"key": f"s{place}", "kind": "behavioral", "rule": rule} for place, rule in enumerate(rules)]
    arms = [{"key": "letter", "role": "mass"}]
    metrics = [spring_mailing()["metrics"][0]]
    document = {"key": "x", "attributes": attributes, "segments": segments, "arms": arms, "metrics": metrics}
    return overlaps(parse_document(document))


def test_a_rule_that_an_earlier_one_contains_can_never_win() -> None:
    assert found({"age": {"$gt": 30}}, {"age": {"$gt": 50}})["s1"].is_shadowed
    assert not found({"age": {"$gt": 50}}, {"age": {"$gt": 30}})["s1"].is_shadowed


def test_two_rules_together_may_take_everybody_from_a_third() -> None:
    judged = found({"womens": True}, {"womens": {"$ne": True}}, {"city": "Köln"})
    assert judged["s2"].is_shadowed and set(judged["s2"].takers) == {"s0", "s1"}
    assert judged["s0"].takers == ()


@pytest.mark.parametrize(("first", "second", "is_shadowed"), [
    ({"city": {"$in": ["Bonn", "Köln"]}}, {"city": "Köln"}, True),
    ({"city": {"$in": ["Bonn", "Köln"]}}, {"city": {"$nin": ["Bonn", "Köln"]}}, False),
    ({"app": {"$gte": "2.0.0"}}, {"app": {"$gte": "2.0.1"}}, True),
    ({"app": {"$gt": "2.0.0"}}, {"app": {"$gte": "2.0.0"}}, False),
    ({"tags": {"$in": ["news"]}}, {"tags": {"$all": ["news", "sale"]}}, True),
    ({"tags": {"$all": ["news", "sale"]}}, {"tags": {"$in": ["news"]}}, False),
    ({"tags": {"$size": {"$gte": 2}}}, {"tags": {"$size": 3}}, True),
    ({"age": {"$lt": 6}}, {"age": {"$exists": False}}, True),
    ({"age": {"$exists": True, "$lt": 6}}, {"age": {"$lt": 6}}, False),
    ({"$or": [{"age": 3}, {"womens": True}]}, {"womens": True, "age": {"$gt": 7}}, True),
    ({"$not": {"womens": True}}, {"womens": None}, True),
])
def test_every_kind_of_condition_is_judged(first: Any, second: Any, is_shadowed: bool) -> None:
    assert found(first, second)["s1"].is_shadowed is is_shadowed


def test_conditions_that_shut_one_another_out_hold_for_nobody() -> None:
    judged = found({"age": {"$gt": 5, "$lt": 3}}, {"$and": [{"womens": True}, {"womens": False}]}, {"age": 4})
    assert judged["s0"].never_holds and judged["s1"].never_holds
    assert not judged["s2"].never_holds and judged["s2"].takers == ()


def test_what_asks_for_a_pattern_is_not_judged() -> None:
    assert found({"city": {"$regex": "^K"}}, {"womens": True}).keys() == {"s1"}


def test_without_segments_there_is_nothing_to_judge() -> None:
    assert found() == {}


def test_rules_with_more_combinations_than_are_tried_are_still_told_apart() -> None:
    names = [f"a{place}" for place in range(20)]
    wide = [{"$and": [{name: 1} for name in names]}, {"a0": 1}, {"a0": 1, "a1": {"$gt": 4}}, {"a2": 1}]
    judged = found(*wide, attributes=dict.fromkeys(names, "number"))
    assert not judged["s1"].are_all
    assert not judged["s0"].never_holds and not judged["s1"].is_shadowed and not judged["s3"].is_shadowed
    assert judged["s2"].is_shadowed and judged["s2"].takers == ("s1",)


def test_fifty_segments_are_all_judged() -> None:
    document = fifty_segments()
    judged = overlaps(parse_document(document))
    assert judged.keys() == {segment["key"] for segment in document["segments"]}
    assert not any(one.never_holds for one in judged.values())


_ASKED = strategies.one_of(
    strategies.fixed_dictionaries({"age": strategies.fixed_dictionaries({}, optional={
        "$gt": strategies.integers(0, 9), "$lte": strategies.integers(0, 9),
    }).filter(bool)}),
    strategies.fixed_dictionaries({"city": strategies.sampled_from(["Bonn", "Köln"])}),
    strategies.fixed_dictionaries({"womens": strategies.booleans()}),
)
_RULES = strategies.lists(
    strategies.one_of(_ASKED, strategies.lists(_ASKED, min_size=1, max_size=3).map(lambda some: {"$or": some})),
    min_size=2, max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(_RULES, strategies.randoms(use_true_random=False))
def test_nobody_belongs_to_a_segment_that_is_said_to_be_shadowed(rules: list[Any], chance: random.Random) -> None:
    judged = found(*rules)
    compiled = [compile_rule(rule, _TYPES) for rule in rules]
    for _ in range(200):
        visitor = {
            "age": chance.choice([None, chance.uniform(-2, 12), chance.randint(-1, 10)]),
            "city": chance.choice([None, "Bonn", "Köln", "Berlin"]),
            "womens": chance.choice([None, True, False]),
        }
        winner = next((place for place, rule in enumerate(compiled) if rule(visitor)), None)
        if winner is not None:
            assert not judged[f"s{winner}"].is_shadowed and not judged[f"s{winner}"].never_holds, visitor


def test_values_are_tried_on_both_sides_of_each_number() -> None:
    values = example_values([{"age": {"$gt": 5}}, {"age": {"$lt": 8, "$ne": 6}}], {"age": "number"})
    assert values == {"age": [None, 4, 5, 5.5, 6, 7.0, 8, 9]}
