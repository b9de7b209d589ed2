"""GrowthBook's SDKs draw what we draw, from the payload alone."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from growthbook.core import chooseVariation
from growthbook.core import getBucketRanges
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from experiments.allocation import GRAIN
from experiments.allocation import first_allocation
from experiments.allocation import to_weights
from experiments.assignment import Assignment
from experiments.assignment import Consent
from experiments.assignment import Plan
from experiments.assignment import decide
from experiments.document import parse_document
from experiments.growthbook.payload import payload_of
from experiments.hashing import bucket
from experiments.hashing import choose
from experiments.hashing import ranges
from experiments.model import Allocation
from experiments.model import State
from tests.experiments.documents import at_home
from tests.experiments.documents import tiny
from tests.growthbook_clients import Evaluated
from tests.growthbook_clients import Node
from tests.growthbook_clients import Python

CHANGED_MS = 1_796_119_200_123


def payload(*plans: Plan, state: State = "running", consent_default: Consent = "personalise") -> dict[str, Any]:
    return payload_of([(plan, state) for plan in plans], changed_ms=CHANGED_MS, consent_default=consent_default)


def random_plan(key: str, rng: random.Random, *, epoch: int) -> Plan:
    """An experiment whose weights nobody chose; some are as small as they can be."""
    experiment = parse_document(at_home(key=key))
    return Plan(experiment, Allocation(epoch, {
        segment: _random_weights([arm.key for arm in experiment.open_arms(segment)], rng)
        for segment in experiment.segment_keys
    }))


def _random_weights(arms: Sequence[str], rng: random.Random) -> dict[str, int]:
    shares = [rng.random() ** 4 for _ in arms]
    return to_weights({arm: share / sum(shares) for arm, share in zip(arms, shares, strict=True)})


def random_visitor(number: int, rng: random.Random) -> dict[str, Any]:
    """Attributes of every declared type; missing, null and there."""
    attributes = {
        "recency": rng.choice([0, -0.0, 5.9, 6, 6.0, 12, 2**53, None]),
        "womens": rng.choice([True, False, None]),
        "city": rng.choice(["Bonn", "Köln", "Paris", "", "null", "0", "\U0001f3d9", None]),
        "app": rng.choice(["1.10.0", "2.0.0", "v2.0", "2.0.0-rc.1", "10.0.0+7", "", "none", None]),
        "tags": rng.choice([[], ["news"], [7], ["7"], ["a", 1, True], ["news", "x", 2.5], None]),
        "first_name": rng.choice(["Ada", None]),
    }
    there = {name: value for name, value in attributes.items() if rng.random() < 0.8}
    return {"id": rng.choice(["v{}", "ü{}", "\U0001f600{}"]).format(number), **there}


def agrees(found: Evaluated, ours: Assignment, plan: Plan) -> bool:
    """Whether an SDK found the arm that we give, and says how likely it was."""
    told = (found.arm, found.propensity, found.epoch)
    counted = told == (ours.arm, ours.propensity, ours.epoch) if ours.cause == "allocated" else found.arm is None
    return counted and found.value == plan.message(ours.arm, {})


@pytest.mark.parametrize("state", ["running", "paused", "stopped"])
def test_ten_thousand_visitors_get_the_same_arm_from_both_sdks_and_from_us(node: Node, state: State) -> None:
    rng = random.Random(7)
    plans = {key: random_plan(key, rng, epoch=epoch) for epoch, key in enumerate(["first", "2nd.exp", "a_third"], 3)}
    visitors = [random_visitor(number, rng) for number in range(10_000 if state == "running" else 1_000)]
    offered = payload(*plans.values(), state=state)
    in_javascript, in_python = node.features(offered, visitors), Python().features(offered, visitors)
    assert in_javascript == in_python
    seen = set()
    for attributes, found in zip(visitors, in_python, strict=True):
        for key, plan in plans.items():
            known = {name: value for name, value in attributes.items() if value is not None and name != "id"}
            ours = decide(plan, attributes["id"], attributes=known, state=state)
            assert agrees(found[key], ours, plan), (attributes, found[key], ours)
            seen.add((key, ours.segment, ours.arm))
    assert len({segment for _, segment, _ in seen}) == 5
    assert state == "paused" or len({arm for _, _, arm in seen}) == 5


@pytest.mark.parametrize("default", ["none", "measure", "personalise"])
def test_consent_means_the_same_to_sdks_whatever_is_taken_for_granted(node: Node, default: Consent) -> None:
    plan = random_plan("consents", random.Random(3), epoch=2)
    consents: list[Consent | None] = ["none", "measure", "personalise", None]
    asked = [(f"v{number}", consents[number % 4]) for number in range(400)]
    visitors = [{"id": visitor, "womens": True, "tags": ["news"], "consent": consent} for visitor, consent in asked]
    offered = payload(plan, consent_default=default)
    found = node.features(offered, visitors)
    assert found == Python().features(offered, visitors)
    for (visitor, consent), each in zip(asked, found, strict=True):
        known = {"womens": True, "tags": ["news"]}
        assert agrees(each["consents"], decide(plan, visitor, attributes=known, consent=consent or default), plan)


def test_who_has_no_id_or_an_unheard_of_consent_gets_the_mass_arm_and_is_not_counted(node: Node) -> None:
    offered = payload(random_plan("at-home", random.Random(3), epoch=2))
    visitors = [{"womens": True}, {"id": "", "tags": ["news"]}, {"id": "v1", "consent": "perhaps"}]
    found = node.features(offered, visitors)
    assert found == Python().features(offered, visitors)
    assert {(each["at-home"].arm, each["at-home"].value["text"]) for each in found} == {(None, "Hello there")}


def test_an_experiment_of_one_arm_is_an_experiment_all_the_same(node: Node) -> None:
    alone = tiny(local_evaluation=True, arms=[{"key": "everyone", "role": "mass"}])
    alone["metrics"][0]["source"] = "server"
    experiment = parse_document(alone)
    offered = payload(Plan(experiment, first_allocation(experiment)))
    [found] = node.features(offered, [{"id": "v1"}])
    assert [found] == Python().features(offered, [{"id": "v1"}])
    assert found["tiny"][2:] == ("everyone", 1.0, 1)


def test_sdks_that_know_no_contextual_bandits_draw_the_same_from_plain_rules(node: Node) -> None:
    rng = random.Random(11)
    plan = random_plan("at-home", rng, epoch=4)
    offered = payload(plan)
    visitors = [random_visitor(number, rng) for number in range(2_000)]
    plain = payload(plan)
    [bandit] = [rule for rule in plain["features"]["at-home"]["rules"] if "contextualVariations" in rule]
    plain["features"]["at-home"]["rules"].remove(bandit)
    for evaluate in (node.features, Python().features):
        new = [(each["at-home"].arm, each["at-home"].value) for each in evaluate(offered, visitors)]
        assert [(each["at-home"].arm, each["at-home"].value) for each in evaluate(plain, visitors)] == new


@given(st.lists(st.integers(0, 4_000), min_size=1, max_size=7), st.data())
@settings(max_examples=60, derandomize=True)
def test_closed_arms_move_no_boundary_in_python(parts: list[int], data: st.DataObject) -> None:
    total = sum(parts) + len(parts)
    weights = list(to_weights({str(arm): (part + 1) / total for arm, part in enumerate(parts)}).values())
    closed = data.draw(st.lists(st.integers(0, len(weights)), max_size=4))
    padded: list[int | None] = list(weights)
    for place in sorted(closed, reverse=True):
        padded.insert(place, None)
    open_places = [place for place, weight in enumerate(padded) if weight is not None]
    ours = ranges(weight / GRAIN for weight in weights)
    theirs = getBucketRanges(len(padded), 1, [(weight or 0) / GRAIN for weight in padded])
    for position in (number / GRAIN for number in range(GRAIN)):
        assert chooseVariation(position, theirs) == open_places[choose(position, ours)]


def test_every_one_of_the_ten_thousand_positions_gives_the_same_arm_in_javascript(node: Node) -> None:
    visitor_by_position: dict[float, str] = {}
    number = 0
    while len(visitor_by_position) < GRAIN:
        visitor_by_position[bucket("at-home", f"v{number}")] = f"v{number}"
        number += 1
    visitors = list(visitor_by_position.values())
    rng = random.Random(5)
    for epoch in range(1, 6):
        plan = random_plan("at-home", rng, epoch=epoch)
        # The fans have all arms but the others' own; everyone else has two closed ones behind theirs.
        attributes = rng.choice([{}, {"womens": True, "tags": ["news"]}, {"recency": 6}])
        found = node.features(payload(plan), [{"id": visitor, **attributes} for visitor in visitors])
        expected = [decide(plan, visitor, attributes=attributes).arm for visitor in visitors]
        assert [each["at-home"].arm for each in found] == expected


def test_the_payload_shows_rules_weights_arms_and_messages_and_nothing_else() -> None:
    text = repr(payload(random_plan("at-home", random.Random(1), epoch=1)))
    for kept in ("secret", "Order Completed", "colleagues", "1234", "{{"):
        assert kept not in text
    for shown in ("at-home@1", "recency", "for-fans", "Come back", "Hello there"):
        assert shown in text


def test_two_changes_in_one_second_make_two_payloads() -> None:
    assert payload()["dateUpdated"] == "2026-12-01T10:00:00.123Z"
