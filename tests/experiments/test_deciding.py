"""A list is decided as each of its visitors is alone, by `decide`."""

import re
from collections import Counter
from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from experiments.allocation import first_allocation
from experiments.assignment import Assignment
from experiments.assignment import Plan
from experiments.assignment import decide
from experiments.deciding import Decisions
from experiments.deciding import decide_all
from experiments.document import parse_document
from experiments.model import Allocation
from experiments.model import Arm
from experiments.model import Attribute
from experiments.model import Exposure
from experiments.model import Segment
from experiments.model import State
from experiments.rules.attribute_columns import AttributeColumn
from tests.experiments.documents import spring_mailing
from tests.experiments.people import TYPES
from tests.experiments.people import attributes
from tests.experiments.people import rules

CONSENTS = st.sampled_from(["none", "measure", "personalise"])
STATES: list[State] = ["running", "paused", "stopped"]


def each(decisions: Decisions) -> list[Assignment]:
    """The assignment of each visitor."""
    different = list(decisions.different)
    return [different[place] for place in decisions.places]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """An experiment with up to three segments of any rules, under any weights."""
    segments = tuple(Segment(f"s{place}", "", "behavioral", draw(rules)) for place in range(draw(st.integers(1, 3))))
    tailored = (Arm(f"for-{segment.key}", "tailored", (segment.key,)) for segment in segments)
    experiment = replace(
        parse_document(spring_mailing()),
        segments=segments,
        arms=(Arm("nothing", "control"), Arm("mass", "mass"), *tailored),
        attributes={name: Attribute(type_) for name, type_ in TYPES.items()},
    )
    first = first_allocation(experiment)
    return Plan(experiment, Allocation(draw(st.integers(1, 9)), _weights(draw, first)))


def _weights(draw: st.DrawFn, first: Allocation) -> dict[str, dict[str, int]]:
    return {segment: _divided(draw, list(arms)) for segment, arms in first.weights.items()}


def _divided(draw: st.DrawFn, arms: list[str]) -> dict[str, int]:
    cuts = sorted(draw(st.sets(st.integers(1, 9_999), min_size=len(arms) - 1, max_size=len(arms) - 1)))
    return {arm: end - start for arm, start, end in zip(arms, [0, *cuts], [*cuts, 10_000], strict=True)}


_EXPERIMENT = parse_document(spring_mailing())
_PLAN = Plan(_EXPERIMENT, first_allocation(_EXPERIMENT))


@settings(max_examples=120)
@given(
    plan=plans(),
    everybody=st.lists(st.tuples(st.text(max_size=6), attributes, CONSENTS, st.booleans()), max_size=12),
    state=st.sampled_from(STATES),
    consents_are_said=st.booleans(),
)
def test_everybody_is_assigned_as_if_alone(
    plan: Plan, everybody: list[tuple[str, dict[str, Any], Any, bool]], state: State, consents_are_said: bool
) -> None:
    consents = [consent if consents_are_said else "personalise" for _, _, consent, _ in everybody]
    kept = {
        place: Exposure(arm.key, segment, 1, 4500)
        for place, (_, _, _, is_kept) in enumerate(everybody)
        if is_kept
        for segment in plan.experiment.segment_keys[place % 2 :: 99]
        for arm in plan.experiment.open_arms(segment)[-1:]
    }
    columns = {
        name: AttributeColumn([known.get(name) for _, known, _, _ in everybody], is_list=type_ == "list")
        for name, type_ in TYPES.items()
    }
    together = decide_all(
        plan,
        [visitor for visitor, *_ in everybody],
        columns=columns,
        state=state,
        consents=consents if consents_are_said else None,
        kept=kept,
    )
    alone = [
        decide(plan, visitor, attributes=known, state=state, consent=consent, kept=kept.get(place))
        for place, ((visitor, known, _, _), consent) in enumerate(zip(everybody, consents, strict=True))
    ]
    assert each(together) == alone
    for field in ("arm", "segment", "propensity", "epoch", "cause"):
        assert together.column(field).tolist() == [getattr(assignment, field) for assignment in alone]


def test_the_program_of_the_documentation_runs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "lists.md").read_text(encoding="utf-8")
    [program] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {"document": spring_mailing()}
    exec(program, names)
    assert [assignment.segment for assignment in each(names["decisions"])] == ["womens-shoppers", "everyone-else"]


def test_nobody_is_decided_for_in_an_empty_list() -> None:
    assert each(decide_all(_PLAN, [], columns={}, consents=[])) == []


@pytest.mark.parametrize("arm", ["nothing", "one-letter", "womens-letter"])
def test_the_propensity_of_a_list_is_how_often_the_arm_is_given(arm: str) -> None:
    n = 200_000
    womens = {"womens": AttributeColumn([True] * n)}
    decisions = decide_all(_PLAN, [f"visitor-{number}" for number in range(n)], columns=womens)
    share = Counter(decisions.column("arm").tolist())[arm] / n
    propensity = _PLAN.allocation.weights["womens-shoppers"][arm] / 10_000
    # Four standard deviations.
    assert share == pytest.approx(propensity, abs=4 * sqrt(propensity * (1 - propensity) / n))
