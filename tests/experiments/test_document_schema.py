"""The schema of the experiment document says what its reader does, both made of the same fields."""

from copy import deepcopy
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck
from hypothesis import assume
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from experiments.document import DOCUMENT
from experiments.document import parse_document
from experiments.document import read_sections
from experiments.errors import InvalidDocument
from experiments.errors import Problem
from experiments.reading.fields import Fields
from experiments.reading.soundness import unsound_values
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny
from tests.experiments.test_document import ABSENT
from tests.experiments.test_document import FAMILIAR
from tests.experiments.test_document import REFUSALS
from tests.experiments.test_document import a_goal
from tests.experiments.test_document import changed
from tests.experiments.test_document import places

SCHEMA = jsonschema_rs.Draft202012Validator(DOCUMENT.schema, validate_formats=True)

#: Rules of the reader that JSON Schema has no words for: order, decimals, what is printable, other fields' values.
BEYOND_A_SCHEMA = (
    "must ascend strictly", "the first is from 0", "decimals", "must be from 0 to 1", "must be {} for a control",
    "must be from 1s to 365d", "must be from 1h to 365d", "printable characters",
)


def faults(document: Any) -> list[Problem]:
    """What the reader finds wrong in single fields."""
    problems = unsound_values(document)
    if not problems:
        read_sections(Fields(deepcopy(document), "", problems))
    return problems


def beyond(problems: list[Problem]) -> bool:
    """Whether a schema cannot know of all of them."""
    return all(any(words in problem.rule for words in BEYOND_A_SCHEMA) for problem in problems)


def full() -> dict[str, Any]:
    """A document in which every field is given somewhere."""
    tiers = [{"from": 0, "cost": 0.02}, {"from": 10000, "cost": 0.012}]
    return changed(
        spring_mailing(
            local_evaluation=False,
            frequency={"cap": [1, 3], "per": "7d", "costs": {"unsubscribe": 5}},
            attributes={
                **spring_mailing()["attributes"],
                "home": {"type": "string", "store": True, "bands": ["Urban", "Rural"]},
                "age": {"type": "number", "store": True, "bands": [18, 35, 65]},
                "known": {"type": "boolean", "store": True},
                "post_code": {"type": "string", "store": True, "prefix": 2},
                "plan": {"type": "version", "store": True},
                "tags": {"type": "list", "store": False},
            },
            policy={
                "kind": "fixed", "shares": {"one-letter": 0.3, "womens-letter": 0.7}, "every": "1h", "min_share": 0.05,
                "burn_in": 100, "burn_in_conversions": 10, "max_step": 0.25, "maturity": "matured", "epsilon": 0.1,
                "half_life": "7d",
            },
        ),
        ["arms", 1, "cost_per_exposure"],
        tiers,
    )


@pytest.mark.parametrize("document", [
    spring_mailing(), tiny(), full(), tiny(objective="profit", metrics=a_goal(kind="count", value=0.25, cap=3)),
    tiny(metrics=a_goal(kind="retention", **{"from": "1d"})), tiny(policy={}), tiny(hypothesis=""),
    tiny(metrics=[*a_goal(), {**a_goal()[0], "key": "calls", "kind": "count", "role": "guardrail", "limit": 3}]),
])
def test_what_the_reader_takes_fits_the_schema(document: dict[str, Any]) -> None:
    parse_document(document)
    assert [error.message for error in SCHEMA.iter_errors(document)] == []


@pytest.mark.parametrize(("path", "value"), [refusal[:2] for refusal in REFUSALS])
def test_what_is_wrong_in_a_single_field_fits_no_schema(path: list[Any], value: Any) -> None:
    document = changed(spring_mailing(), path, value)
    problems = faults(document)
    # Text that UTF-8 cannot carry never arrives, so no schema is asked about it.
    if problems and not beyond(problems) and not unsound_values(document):
        assert not SCHEMA.is_valid(document), [str(problem) for problem in problems]


changes = given(
    base=st.sampled_from([spring_mailing(), full()]).flatmap(
        lambda document: st.tuples(st.just(document), st.sampled_from(list(places(document))))
    ),
    value=FAMILIAR | st.just(ABSENT),
)
thorough = settings(
    max_examples=300, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much]
)


@thorough
@changes
def test_whatever_breaks_the_schema_is_refused(base: tuple[Any, Any], value: Any) -> None:
    document = changed(deepcopy(base[0]), base[1], deepcopy(value) if value is not ABSENT else value)
    assume(not unsound_values(document))
    if not SCHEMA.is_valid(document):
        with pytest.raises(InvalidDocument):
            parse_document(document)


@thorough
@changes
def test_whatever_fits_the_schema_has_no_fault_in_a_single_field(base: tuple[Any, Any], value: Any) -> None:
    document = changed(deepcopy(base[0]), base[1], deepcopy(value) if value is not ABSENT else value)
    assume(not unsound_values(document))
    if SCHEMA.is_valid(document):
        assert beyond(faults(document)), [str(problem) for problem in faults(document)]


def test_every_field_has_a_meaning_and_a_default_is_a_value_of_it() -> None:
    def check(schema: Any) -> None:
        for field in schema.get("properties", {}).values():
            assert isinstance(field, bool) or "const" in field or field["description"]
            if isinstance(field, dict) and "default" in field:
                assert jsonschema_rs.is_valid(field, field["default"])
            if isinstance(field, dict):
                check(field)
        for inner in (schema.get("items"), *schema.get("anyOf", ()), schema.get("additionalProperties")):
            if isinstance(inner, dict):
                check(inner)

    check(DOCUMENT.schema)
