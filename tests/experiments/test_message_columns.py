"""The messages of a list are those that its visitors get alone."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from experiments.allocation import first_allocation
from experiments.assignment import Plan
from experiments.deciding import decide_all
from experiments.document import parse_document
from experiments.messages.columns import write_all
from experiments.model import Arm
from experiments.model import Attribute
from experiments.rules.attribute_columns import AttributeColumn
from tests.experiments.documents import spring_mailing
from tests.experiments.people import TYPES
from tests.experiments.people import attributes

_FEW = " and ".join("{{ %s }}" % name for name in list(TYPES)[:2])
_ALL = ", ".join("{{ %s | default: 'nothing' }}" % name for name in TYPES)
_EXPERIMENT = replace(
    parse_document(spring_mailing()),
    arms=(
        Arm("nothing", "control"),
        Arm("plain", "mass", message={"subject": "Hello"}),
        Arm("few", "mass", message={"subject": _FEW}),
        Arm("all", "mass", message={"subject": "Hello", "body": _ALL}),
    ),
    attributes={name: Attribute(type_) for name, type_ in TYPES.items()},
)
_PLAN = Plan(_EXPERIMENT, first_allocation(_EXPERIMENT))


def _column(name: str, people: list[dict[str, Any]]) -> AttributeColumn:
    return AttributeColumn([person.get(name) for person in people], is_list=TYPES[name] == "list")


@settings(max_examples=100)
@given(people=st.lists(attributes, max_size=30), known=st.sets(st.sampled_from(list(TYPES))))
def test_everybody_reads_what_it_would_read_alone(people: list[dict[str, Any]], known: set[str]) -> None:
    columns = {name: _column(name, people) for name in known}
    decisions = decide_all(_PLAN, [f"visitor-{number}" for number in range(len(people))], columns=columns)
    messages = write_all(_PLAN, decisions, columns)
    arms = decisions.column("arm").tolist() if people else []
    for place, arm, person in zip(messages.places.tolist(), arms, people, strict=True):
        alone = _PLAN.message(arm, {name: person[name] for name in known & person.keys()})
        assignment, message = messages.different[place]
        assert (assignment.arm, message) == (arm, alone)


def test_what_is_alike_is_written_once() -> None:
    people = [{"first_name": name} for name in ("Ann", "Bea") for _ in range(500)]
    plan = Plan(parse_document(spring_mailing()), first_allocation(parse_document(spring_mailing())))
    columns = {"first_name": AttributeColumn([person["first_name"] for person in people])}
    decisions = decide_all(plan, [f"visitor-{number}" for number in range(1000)], columns=columns)
    assert len(write_all(plan, decisions, columns).different) <= 2 * len(decisions.different)
