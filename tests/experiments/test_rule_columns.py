from typing import Any

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from experiments.rules.attribute_columns import AttributeColumn
from experiments.rules.columns import compile_column_rule
from experiments.rules.conditions import compile_rule
from tests.experiments.people import TYPES
from tests.experiments.people import attributes
from tests.experiments.people import rules


def columns(everybody: list[dict[str, Any]]) -> dict[str, AttributeColumn]:
    """The columns of those attributes that somebody has."""
    return {
        name: AttributeColumn([each.get(name) for each in everybody], is_list=type_ == "list")
        for name, type_ in TYPES.items()
        if any(name in each for each in everybody)
    }


@settings(max_examples=300)
@given(rule=rules, everybody=st.lists(attributes, max_size=8))
def test_a_rule_holds_for_each_as_it_holds_for_the_visitor_alone(
    rule: dict[str, Any], everybody: list[dict[str, Any]]
) -> None:
    alone = compile_rule(rule, TYPES)
    together = compile_column_rule(rule, TYPES)(columns(everybody), len(everybody))
    assert together.tolist() == [alone(each) for each in everybody]


def test_growthbook_cases_of_flat_attributes_hold_in_columns(growthbook_cases: dict[str, Any]) -> None:
    used = 0
    for name, condition, known, expected, *_ in growthbook_cases["evalCondition"]:
        flat = {key: value for key, value in known.items() if not isinstance(value, dict)}
        if flat == known and compile_rule(condition)(known) is expected:
            each = {key: AttributeColumn([value], is_list=isinstance(value, list)) for key, value in known.items()}
            assert compile_column_rule(condition, {})(each, 1).tolist() == [expected], name
            used += 1
    assert used > 80
