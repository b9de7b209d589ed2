"""Known truths get the right advice, whoever simulates them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from experiments.document import parse_document
from experiments.errors import InvalidDocument
from experiments.reading.assumptions import read_assumptions
from experiments.simulation.effects import effects
from experiments.simulation.forecasts import Forecast
from experiments.simulation.outcomes import Plan
from experiments.simulation.outcomes import run
from experiments.simulation.preflight import Preflight
from experiments.simulation.preflight import preflight
from experiments.simulation.truth import truth_of
from tests.experiments.flights import flight
from tests.experiments.flights import goal
from tests.experiments.flights import uplift


def fly(document: dict[str, Any], *, days: int = 14, runs: int = 12, **assumed: Any) -> Preflight:
    """A pre-flight of few campaigns; two thirds of the visitors are in the first segment."""
    shares = {"taste-0": 0.7, "everyone-else": 0.3}
    return preflight(document, {"segment_shares": shares, **assumed}, days=days, runs=runs, seed=1)


def of(found: Preflight, policy: str) -> Forecast:
    """One of the policies."""
    return next(one for one in found.policies if one.policy == policy)


def test_a_large_effect_has_a_verdict_in_days_and_a_bandit_pays() -> None:
    found = fly(flight(), visitors_per_day=1500, uplift=uplift(0.8))
    assert found.advice.policy == "thompson"
    assert found.advice.sentences[0].startswith("Use Thompson sampling")
    for policy in found.policies:
        assert policy.days.median is not None and policy.days.median <= 8
        assert policy.right >= 0.9
        assert policy.wrong <= 0.1
    assert of(found, "thompson").goals.won > 10 * of(found, "thompson").goals.error


def test_without_any_effect_the_end_is_mass_and_nobody_tailors() -> None:
    found = fly(flight(), days=20, visitors_per_day=3000, base_rates={"taste-0": 0.2}, uplift=uplift(0.0))
    even = found.policies[0]
    assert even.segments[0].right_calls == ("mass",)
    assert even.segments[0].right >= 0.8
    assert even.segments[0].wrong <= 0.1
    assert found.advice.policy == "fixed"
    assert "as much as" in found.advice.sentences[0]


def test_tiny_traffic_is_told_not_to_use_a_bandit() -> None:
    found = fly(flight(), visitors_per_day=10, uplift=uplift(0.5))
    assert found.advice.sentences[0].startswith("Do not use a bandit here: in 14 days too few conversions come")
    assert max(policy.moved for policy in found.policies) == 0
    assert found.policies[0].days.median is None
    assert any("small for so few visitors" in sentence for sentence in found.advice.sentences)


def test_conversions_later_than_the_campaign_are_no_ground_for_a_bandit() -> None:
    slow = flight(metrics=[goal(window="60d")])
    found = fly(slow, days=5, visitors_per_day=2000, uplift=uplift(0.5), delay="20d")
    assert found.advice.sentences[0].startswith("Do not use a bandit here: conversions take 20d on average")


def costly(**changes: Any) -> dict[str, Any]:
    """A letter costs more than its conversions are worth."""
    document = flight(objective="profit", control_share=0.2, metrics=[goal(value=1)], **changes)
    document["arms"] = [
        {"key": "nothing", "role": "control"},
        *({**arm, "cost_per_exposure": 0.5} for arm in document["arms"]),
    ]
    return document


def test_where_no_message_earns_its_cost_the_verdict_is_to_send_nothing() -> None:
    found = fly(costly(), days=6, runs=6, visitors_per_day=2000, uplift=uplift(0.2))
    assert found.policies[0].segments[0].right_calls == ("none",)
    assert found.policies[0].segments[0].right >= 0.8
    assert "No message earns what it costs in taste-0: send nothing there." in found.advice.sentences


def test_a_letter_that_costs_more_than_it_gains_is_named() -> None:
    dear = flight(metrics=[goal(value=40)])
    dear["arms"][1]["fixed_cost"] = 100_000
    found = fly(dear, days=5, runs=4, uplift=uplift(0.2))
    assert found.effects[0].break_even == pytest.approx(100_000 / (5 * 1000 * 0.7) / (0.05 * 40))
    assert any("does not repay its cost for taste-0" in sentence for sentence in found.advice.sentences)


def even_plan(gain: float) -> Plan:
    """An even split of five days."""
    experiment = parse_document(flight(policy={"kind": "fixed"}))
    assumed = {"visitors_per_day": 2000, "uplift": uplift(gain)}
    world = read_assumptions(assumed, experiment, days=5).world(experiment)
    return Plan(experiment, world, truth_of(experiment, world, days=5), 5, 2000)


def test_the_smallest_effect_is_found_by_four_campaigns_in_five() -> None:
    smallest = effects(even_plan(0.2))[0].detectable
    assert smallest is not None
    plan = even_plan(smallest)
    found = [run(plan, rng=np.random.default_rng(seed)).called.get("taste-0") for seed in range(150)]
    # At some look, so a little more often than at the end; 150 campaigns have an error of 3 %.
    assert 0.72 <= np.mean([call is not None and call.call == "tailor" for call in found]) <= 0.93


def test_profit_and_conversions_of_an_even_split_are_those_expected() -> None:
    document = flight(metrics=[goal(value=10)])
    document["arms"][0]["cost_per_exposure"] = 0.1
    found = fly(document, days=3, runs=4, visitors_per_day=1000, uplift=uplift(0.4))
    even = found.policies[0]
    # 2,100 visitors at .05 and .07, half of them each, and 900 at .05.
    assert even.goals.mean == pytest.approx(2100 * 0.06 + 900 * 0.05, rel=0.02)
    assert even.goals.won == pytest.approx(0, abs=2)
    assert even.cost == pytest.approx(0.1 * (1050 + 900), rel=0.03)
    assert even.profit is not None
    assert even.profit.mean == pytest.approx(10 * even.goals.mean - even.cost)


def test_values_and_counts_are_simulated_too() -> None:
    value = goal(kind="value", property="revenue", cap=500)
    found = fly(flight(metrics=[value]), days=4, runs=3, uplift=uplift(0.9), values={"mean": 40, "sd": 20})
    assert found.policies[0].goals.mean == pytest.approx(40 * (2800 * 0.0725 + 1200 * 0.05), rel=0.03)
    assert found.effects[0].detectable is not None
    counted = fly(flight(metrics=[goal(kind="count", cap=9)]), days=4, runs=3, values={"mean": 2})
    assert counted.policies[0].goals.mean == pytest.approx(2 * (2800 * 0.055 + 1200 * 0.05), rel=0.03)


def test_drift_and_weeks_change_what_comes() -> None:
    found = fly(flight(), days=7, runs=3, visitors_per_day=1000, drift=1.0, weekly=0.3, uplift=uplift(0.0))
    assert found.policies[0].goals.mean > 7 * 1000 * 0.05 * 1.2


def test_shares_of_the_document_are_simulated_beside_the_even_split() -> None:
    shares = {"one-letter": 0.9, "letter-taste-0": 0.1}
    found = fly(flight(policy={"kind": "fixed", "shares": shares}), days=3, runs=3, uplift=uplift(0.5))
    assert found.own == "shares"
    assert [policy.policy for policy in found.policies] == [
        "fixed", "thompson", "top_two_thompson", "epsilon_greedy", "shares",
    ]
    assert of(found, "shares").goals.won < -5


def test_policies_that_split_evenly_have_one_forecast() -> None:
    found = fly(flight(), days=3, runs=3, uplift=uplift(0.5))
    even, two = found.policies[0], of(found, "top_two_thompson")
    assert replace(two, policy="fixed") == even
    three = flight()
    three["arms"].insert(1, {"key": "another-letter", "role": "mass"})
    moving = fly(three, days=9, runs=3, visitors_per_day=4000, uplift=uplift(0.9))
    assert of(moving, "top_two_thompson").moved > 0


def test_what_no_memory_holds_is_refused() -> None:
    document = flight(900, metrics=[goal(window="300d")])
    with pytest.raises(InvalidDocument, match="cells are too many to simulate"):
        preflight(document, {"delay": "30d"}, days=365, runs=2, seed=1)


def test_by_profit_the_smallest_effect_has_to_win_back_the_cost() -> None:
    free, dear = (flight(objective="profit", metrics=[goal(value=20)]) for _ in range(2))
    dear["arms"][1]["cost_per_exposure"] = 0.1
    smallest = [fly(document, days=3, runs=2).effects[0].detectable for document in (free, dear)]
    assert smallest[1] - smallest[0] == pytest.approx(0.1 / (20 * 0.05))


def test_without_a_tailored_arm_there_is_nothing_to_find_out() -> None:
    document = flight()
    document["arms"] = document["arms"][:1]
    found = fly(document, days=2, runs=2)
    assert found.policies[0].segments == ()
    assert "nothing to find out" in found.advice.sentences[0]


def test_who_does_not_consent_is_in_no_segment() -> None:
    found = fly(flight(), days=3, runs=3, consent_share=0.0, uplift=uplift(5.0))
    assert found.policies[0].goals.mean == pytest.approx(3 * 1000 * 0.05, rel=0.02)
    assert found.policies[0].segments[0].undecided == 1


def test_the_same_seed_gives_the_same_figures_however_many_processes_work() -> None:
    alone = fly(flight(), days=8, runs=7, visitors_per_day=1500, uplift=uplift(0.8))
    shares = {"taste-0": 0.7, "everyone-else": 0.3}
    assumed = {"segment_shares": shares, "visitors_per_day": 1500, "uplift": uplift(0.8)}
    assert preflight(flight(), assumed, days=8, runs=7, seed=1, workers=2) == alone
    assert preflight(flight(), assumed, days=8, runs=7, seed=2) != alone
