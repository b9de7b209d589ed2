"""Contexts: what is stored of a visitor's attributes, and no more."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.contexts import Contexts
from experiments.contexts import LONGEST_KEPT
from experiments.contexts import read_context
from experiments.model import Attribute
from experiments.rules.attribute_columns import AttributeColumn

DECLARED = {
    "recency": Attribute("number", True, (2.0, 6.0)),
    "zip_code": Attribute("string", True, ("Urban", "Rural")),
    "womens": Attribute("boolean", True),
    "post_code": Attribute("string", True, (), 2),
    "plan": Attribute("string", True),
    "tags": Attribute("list", True, ("news", "sale")),
    "email": Attribute("string"),
}


@pytest.mark.parametrize(("name", "value", "kept"), [
    ("recency", 1.9, 0),
    ("recency", 2, 1),
    ("recency", 5.99, 1),
    ("recency", 6, 2),
    ("recency", -(2.0**53), 0),
    ("zip_code", "Urban", "Urban"),
    ("zip_code", "Suburban", None),
    ("womens", False, False),
    ("womens", True, True),
    ("post_code", "53111", "53"),
    ("post_code", "5", "5"),
    ("plan", "gold", "gold"),
    ("plan", "x" * LONGEST_KEPT, "x" * LONGEST_KEPT),
    ("plan", "x" * (LONGEST_KEPT + 1), None),
    ("tags", ["sale", "news", "sale"], ("news", "sale")),
    ("tags", ["sale", "secret"], ("sale", None)),
    ("tags", [7, True], (None,)),
    ("tags", [], ()),
])
def test_a_value_is_kept_as_coarse_as_it_is_declared(name: str, value: object, kept: object) -> None:
    context = Contexts(DECLARED).of({name: value})
    assert context is not None and read_context(context) == {name: kept}
    assert type(read_context(context)[name]) is type(kept)


def test_what_is_not_known_is_missing_and_what_is_another_text_is_null() -> None:
    assert Contexts(DECLARED).of({"zip_code": "Suburban", "womens": None}) == '{"zip_code":null}'
    assert Contexts(DECLARED).of({}) == "{}"


def test_where_nothing_is_stored_nobody_has_a_context() -> None:
    contexts = Contexts({"email": Attribute("string")})
    assert not contexts and contexts.of({"email": "ann@example.com"}) is None


def test_a_context_does_not_depend_on_the_order_of_the_document() -> None:
    turned = dict(reversed(DECLARED.items()))
    visitor = {"womens": True, "recency": 3, "plan": "gold"}
    assert Contexts(turned).of(visitor) == Contexts(DECLARED).of(visitor) == '{"plan":"gold","recency":1,"womens":true}'


_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "recency": st.floats(-10, 10) | st.integers(-10, 10),
    "zip_code": st.sampled_from(["Urban", "Rural", "Suburban", ""]),
    "womens": st.booleans(),
    "post_code": st.text(max_size=4),
    "plan": st.sampled_from(["gold", "x" * 101, "other"]),
    "tags": st.lists(st.sampled_from(["news", "sale", "x", 1, True]), max_size=3),
    "email": st.text(max_size=3),
}
_VISITORS = st.fixed_dictionaries({}, optional={name: st.none() | values for name, values in _VALUES.items()})


@given(st.lists(_VISITORS, max_size=20))
def test_a_list_gives_everybody_the_context_that_one_has_alone(visitors: list[dict[str, Any]]) -> None:
    columns = {
        name: AttributeColumn([visitor.get(name) for visitor in visitors], is_list=attribute.type == "list")
        for name, attribute in DECLARED.items()
        if any(name in visitor for visitor in visitors)
    }
    contexts = Contexts(DECLARED)
    assert contexts.of_all(columns, len(visitors)) == [contexts.of(visitor) for visitor in visitors]


@given(_VISITORS)
def test_a_context_tells_no_more_than_bands(visitor: dict[str, Any]) -> None:
    context = Contexts(DECLARED).of(visitor)
    assert context is not None
    known = json.loads(context)
    assert "email" not in known and known.keys() == {
        name for name, value in visitor.items() if value is not None and name != "email"
    }
    assert known.get("recency", 0) in (0, 1, 2) and len(known.get("post_code", "")) <= 2


def test_as_many_attributes_as_there_may_be_overflow_nothing() -> None:
    random = np.random.default_rng(1)
    bands = tuple(float(edge) for edge in range(100))
    declared = {f"a{number}": Attribute("number", True, bands) for number in range(64)}
    values = random.integers(-1, 100, (64, 50))
    columns = {f"a{number}": AttributeColumn(row.tolist()) for number, row in enumerate(values)}
    contexts = Contexts(declared)
    alone = [contexts.of({f"a{number}": int(values[number, place]) for number in range(64)}) for place in range(50)]
    assert contexts.of_all(columns, 50) == alone and len(set(alone)) == 50
