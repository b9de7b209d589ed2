"""Candidates: rules that mean for visitors what they mean for contexts."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from experiments.contexts import Contexts
from experiments.discovery.candidates import Attributes
from experiments.discovery.candidates import Candidate
from experiments.discovery.candidates import MOST_CANDIDATES
from experiments.model import Attribute
from experiments.rules.conditions import compile_rule

DECLARED = {
    "recency": Attribute("number", True, (-1.0, 2.5, 6.0)),
    "zip_code": Attribute("string", True, ("Urban", "Rural")),
    "womens": Attribute("boolean", True),
    "post_code": Attribute("string", True, (), 2),
    "app": Attribute("version", True),
    "tags": Attribute("list", True, ("news", "sale")),
    "first_name": Attribute("string"),
}
TYPES = {name: attribute.type for name, attribute in DECLARED.items()}
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "recency": st.sampled_from([-2, -1, 0, 2.5, 3, 6, 7.5]),
    "zip_code": st.sampled_from(["Urban", "Rural", "Suburban"]),
    "womens": st.booleans(),
    "post_code": st.sampled_from(["53111", "53", "5", "1.", "(a)", "é€x", ""]),
    "app": st.sampled_from(["1.0.0", "2.0.0", "9" * 101]),
    "tags": st.lists(st.sampled_from(["news", "sale", "x", 1]), max_size=2),
    "first_name": st.just("Ann"),
}
_VISITORS = st.fixed_dictionaries({}, optional=_VALUES)


def candidates_of(visitors: list[dict[str, Any]], declared: dict[str, Attribute]) -> tuple[list[Candidate], list[int]]:
    """All candidates of some visitors, and the place of each one's context."""
    contexts = [str(Contexts(declared).of(visitor)) for visitor in visitors]
    different = list(dict.fromkeys(contexts))
    attributes = Attributes(declared, different, np.array([contexts.count(context) for context in different]))
    found = attributes.candidates(smallest=1)
    for name in attributes.declared:
        texts = list(attributes.values(name))[:2]
        found += [attributes.one_of(name, texts)] if texts else []
    return found, [different.index(context) for context in contexts]


@settings(max_examples=60, deadline=None)
@given(st.lists(_VISITORS, min_size=2, max_size=12))
def test_a_rule_holds_for_the_visitors_of_its_contexts_and_for_no_others(visitors: list[dict[str, Any]]) -> None:
    found, places = candidates_of(visitors, DECLARED)
    for candidate in found:
        holds, rest = compile_rule(candidate.rule, TYPES), candidate.other and compile_rule(candidate.other, TYPES)
        for visitor, place in zip(visitors, places, strict=True):
            assert holds(visitor) == candidate.holds[place], candidate.rule
            assert rest is None or rest(visitor) != candidate.holds[place], candidate.other


def rules(visitors: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    """The rules that are tried of some attributes, and those of their other sides."""
    found, _ = candidates_of(visitors, {name: DECLARED[name] for name in names})
    return [rule for one in found for rule in (one.rule, one.other) if rule is not None]


def test_neighbouring_bands_are_tried_together() -> None:
    tried = rules([{"recency": number} for number in (-2, 0, 3, 7)], "recency")
    assert {"recency": {"$exists": True, "$lt": 2.5}} in tried
    assert {"recency": {"$exists": True, "$gte": -1, "$lt": 6}} in tried
    assert {"recency": {"$exists": True, "$gte": 6}} in tried
    assert {"recency": {"$exists": True}} not in tried


@pytest.mark.parametrize(("name", "values", "rule"), [
    ("zip_code", ["Urban", "Hamlet"], {"zip_code": {"$exists": True, "$nin": ["Urban", "Rural"]}}),
    ("post_code", ["53111", "6"], {"post_code": {"$regex": "^53"}}),
    ("post_code", ["1.5", "6"], {"post_code": {"$regex": r"^1\."}}),
    ("womens", [True, None], {"womens": True}),
    ("womens", [True, None], {"womens": {"$exists": False}}),
    ("tags", [["news"], []], {"tags": {"$in": ["news"]}}),
])
def test_a_value_is_asked_for_as_it_was_kept(name: str, values: list[Any], rule: dict[str, Any]) -> None:
    assert rule in rules([{} if value is None else {name: value} for value in values], name)


def test_two_attributes_and_whole_contexts_are_tried_and_no_side_twice() -> None:
    visitors = [{"womens": one, "zip_code": zip_code} for one in (True, False) for zip_code in ("Urban", "Rural")]
    found, _ = candidates_of(visitors, {name: DECLARED[name] for name in ("womens", "zip_code")})
    assert {"womens": True, "zip_code": "Rural"} in [one.rule for one in found]
    sides = [side for one in found[:-1] for side in (one.holds.tobytes(), (~one.holds).tobytes())]
    assert len(set(sides)) == len(sides)


def test_who_is_too_few_is_not_tried() -> None:
    contexts = ['{"womens":true}', '{"womens":false}', "{}"]
    attributes = Attributes({"womens": DECLARED["womens"]}, contexts, np.array([1000, 999, 3000]))
    found = [one.rule for one in attributes.candidates(smallest=1000)]
    assert found == [{"womens": {"$exists": False}}, {"womens": True}]


def test_however_many_bands_there_are_no_more_than_so_many_are_tried() -> None:
    bands = tuple(float(edge) for edge in range(100))
    declared = {name: Attribute("number", True, bands) for name in ("a", "b", "c")}
    rng = np.random.default_rng(1)
    visitors = [dict(zip("abc", row, strict=True)) for row in rng.integers(0, 100, (300, 3)).tolist()]
    contexts = [str(Contexts(declared).of(visitor)) for visitor in visitors]
    attributes = Attributes(declared, contexts, np.ones(len(contexts)))
    found = attributes.candidates(smallest=1)
    assert len(found) == MOST_CANDIDATES
    assert min(one.holds.sum() for one in found) > 60
