"""A list read at once says of each visitor what reading it alone says."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from experiments.assignment import Consent
from experiments.document import parse_document
from experiments.errors import InvalidContext
from experiments.evaluation import Asking
from experiments.visitor_lists import VisitorList
from experiments.visitor_lists import read_list
from tests.experiments.documents import spring_mailing
from tests.experiments.people import TYPES
from tests.experiments.people import attributes

EXPERIMENT = parse_document(spring_mailing(attributes={**TYPES, "womens": "boolean", "first_name": "string"}))
#: In a list it has every visitor read alone.
ODD = InvalidContext("INVALID_CONTEXT", "nobody")

PLAIN = st.fixed_dictionaries(
    {"id": st.text(st.characters(min_codepoint=32), min_size=1, max_size=8)},
    optional={
        "attributes": st.none() | attributes,
        "consent": st.sampled_from([None, "none", "measure", "personalise"]),
        "token": st.none() | st.just("a.b"),
    },
)
STRANGE_VALUES = st.sampled_from(["none", "1", "x" * 1001, [[]], [None], {}])
STRANGE_ATTRIBUTES = st.dictionaries(
    st.sampled_from([*TYPES, "consent", "token", "gpc", "Sec-GPC", "targetingKey", "undeclared"]),
    st.none() | st.booleans() | st.integers() | st.floats() | STRANGE_VALUES,
    max_size=3,
)
STRANGE_MEMBERS = st.fixed_dictionaries(
    {"id": st.just("u")},
    optional={
        "attributes": STRANGE_ATTRIBUTES | st.sampled_from([[], "", 0, False]),
        "consent": st.sampled_from(["", "perhaps", 1, []]),
        "token": st.sampled_from([7, {}]),
    },
)
STRANGE = st.sampled_from(
    [None, 7, "ann", [], {}, ODD, {"id": "ann", "name": "Ann"}, {"id": "a" * 513}, {"id": "a\x1f"}, {"id": ""}]
)
VISITORS = st.lists(PLAIN, max_size=5) | st.lists(PLAIN | STRANGE_MEMBERS | STRANGE, max_size=5)
TRUE_AND_ONE = [{"id": "u", "attributes": {"size": True}}, {"id": "v", "attributes": {"size": 1}}]


def said(listed: VisitorList, place: int) -> tuple[Any, ...]:
    """Everything that a list says of one visitor."""
    looked_at = {name: value for name in TYPES if (value := listed.attributes[place].get(name)) is not None}
    fault = listed.faults.get(place)
    at_place = (listed.visitors[place], listed.consents[place], listed.tokens[place], looked_at)
    return (repr(at_place), columns_of(listed, place), str(fault), getattr(fault, "code", None))


def columns_of(listed: VisitorList, place: int) -> Mapping[str, Any]:
    """What the columns say of a visitor; nothing is read of them without consent to it."""
    if listed.consents[place] != "personalise":
        return {}
    values = {name: repr(column.values[place]) for name, column in listed.columns.items()}
    return {name: value for name, value in values.items() if value != "None"}


@settings(max_examples=300)
@given(visitors=VISITORS, default=st.sampled_from(["none", "measure", "personalise"]), objects=st.booleans())
@example(visitors=[{"id": "u", "attributes": {"gpc": True}}], default="personalise", objects=False)
@example(visitors=TRUE_AND_ONE, default="personalise", objects=False)
def test_a_list_says_of_each_what_is_said_of_it_alone(visitors: list[Any], default: Consent, objects: bool) -> None:
    asking = Asking(0, default, 60, objects)
    together, each = (read_list(EXPERIMENT, all_, asking=asking) for all_ in (visitors, [*visitors, ODD]))
    for place in range(len(visitors)):
        assert said(together, place) == said(each, place)


@pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1, 10**400, float("nan"), float("inf"), True, "1", [1]])
def test_one_number_out_of_bounds_is_a_fault_of_its_visitor_only(value: Any) -> None:
    visitors = [{"id": "ann", "attributes": {"size": 1}}, {"id": "bob", "attributes": {"size": value}}]
    assert list(read_list(EXPERIMENT, visitors, asking=Asking(0, "personalise", 60)).faults) == [1]
