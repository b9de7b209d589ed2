"""Decide: a pure function of visitor, attributes and allocation."""

from collections import Counter
from math import sqrt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.allocation import first_allocation
from experiments.assignment import Plan
from experiments.assignment import decide
from experiments.document import parse_document
from experiments.hashing import bucket
from experiments.model import Allocation
from experiments.model import Exposure
from tests.experiments.documents import spring_mailing

_EXPERIMENT = parse_document(spring_mailing())
_PLAN = Plan(_EXPERIMENT, first_allocation(_EXPERIMENT))
_WOMENS = {"womens": True}


def _weights(mass: int, tailored: int) -> Plan:
    moved = {"nothing": 1000, "one-letter": mass, "womens-letter": tailored}
    return Plan(_EXPERIMENT, Allocation(2, {**_PLAN.allocation.weights, "womens-shoppers": moved}))


@given(st.text())
def test_the_same_visitor_gets_the_same_arm(visitor: str) -> None:
    assert decide(_PLAN, visitor, attributes=_WOMENS) == decide(_PLAN, visitor, attributes=_WOMENS)


def test_the_propensity_is_how_often_the_arm_is_given() -> None:
    n = 50_000
    drawn = [decide(_PLAN, f"visitor-{index}", attributes=_WOMENS) for index in range(n)]
    for arm, count in Counter(assignment.arm for assignment in drawn).items():
        propensity = next(assignment.propensity for assignment in drawn if assignment.arm == arm)
        # Four standard deviations: 1 in 16,000 for a right draw, and the visitors are fixed.
        assert abs(count - n * propensity) < 4 * sqrt(n * propensity * (1 - propensity))


def test_a_small_change_of_weights_moves_only_that_share_of_the_unexposed() -> None:
    visitors = [f"visitor-{index}" for index in range(20_000)]
    before, after = _weights(4500, 4500), _weights(4300, 4700)
    moved = sum(
        decide(before, visitor, attributes=_WOMENS).arm != decide(after, visitor, attributes=_WOMENS).arm
        for visitor in visitors
    )
    assert 0.015 < moved / len(visitors) < 0.025


def test_arms_stand_in_the_order_control_mass_tailored() -> None:
    for index in range(2000):
        visitor = f"visitor-{index}"
        position = bucket("spring-mailing", visitor)
        expected = "nothing" if position < 0.1 else "one-letter" if position < 0.55 else "womens-letter"
        assert decide(_PLAN, visitor, attributes=_WOMENS).arm == expected


@pytest.mark.parametrize("attributes", [{}, {"womens": False}, {"recency": 3}])
def test_whom_no_rule_matches_is_everyone_else(attributes: dict[str, Any]) -> None:
    assert decide(_PLAN, "ann", attributes=attributes).segment == "everyone-else"


def test_an_exposed_visitor_keeps_arm_segment_epoch_and_propensity_for_good() -> None:
    kept = Exposure("womens-letter", "womens-shoppers", 1, 4500)
    assignment = decide(_weights(8500, 500), "ann", attributes={"womens": False}, kept=kept)
    assert assignment == ("womens-letter", "womens-shoppers", 4500, 1, "sticky")


def test_paused_gives_the_mass_arm_to_whoever_was_not_exposed() -> None:
    kept = Exposure("womens-letter", "womens-shoppers", 1, 4500)
    assert decide(_PLAN, "ann", attributes=_WOMENS, state="paused")[0::4] == ("one-letter", "not_running")
    assert decide(_PLAN, "ann", attributes=_WOMENS, state="paused", kept=kept)[0::4] == ("womens-letter", "not_running")


def test_stopped_gives_the_final_allocation() -> None:
    running = decide(_PLAN, "ann", attributes=_WOMENS)
    assert decide(_PLAN, "ann", attributes=_WOMENS, state="stopped") == running._replace(cause="not_running")


def test_without_consent_everybody_gets_the_first_mass_arm() -> None:
    for visitor in map(str, range(100)):
        assignment = decide(_PLAN, visitor, attributes=_WOMENS, consent="none")
        assert (assignment.arm, assignment.cause, assignment.propensity) == ("one-letter", "no_consent", 1.0)


def test_measurement_only_never_gives_a_tailored_arm() -> None:
    drawn = {decide(_PLAN, str(n), attributes=_WOMENS, consent="measure") for n in range(500)}
    assert {assignment.segment for assignment in drawn} == {"no-personalisation"}
    assert {assignment.arm for assignment in drawn} == {"nothing", "one-letter"}


def test_whoever_withdraws_consent_to_personalisation_sees_nothing_tailored_any_more() -> None:
    kept = Exposure("womens-letter", "womens-shoppers", 1, 4500)
    assert decide(_PLAN, "ann", attributes={}, consent="measure", kept=kept).arm == "one-letter"
