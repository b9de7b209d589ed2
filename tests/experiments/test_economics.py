from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.document import parse_document
from experiments.economics import PROFIT_SCALE
from experiments.economics import break_even_visitors
from experiments.economics import cost_per_conversion
from experiments.economics import exposure_cost
from experiments.economics import from_profit_units
from experiments.economics import profit_per_visitor
from experiments.economics import profit_rates
from experiments.economics import profit_units
from experiments.economics import roi
from experiments.economics import total_value
from experiments.economics import unit_cost
from experiments.model import Arm
from experiments.model import Tier
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny

TIERED = Arm("letter", "mass", tiers=(
    Tier(0, Decimal("0.02")), Tier(10_000, Decimal("0.012")), Tier(50_000, Decimal("0.01")),
))


def an_experiment(goal=None, *, cost=0.02, **changes):
    metric = {"key": "goal", "event": "Bought", "kind": "conversion", "role": "goal", **(goal or {})}
    arms = [{"key": "letter", "role": "mass", "cost_per_exposure": cost}]
    return parse_document(tiny(arms=arms, metrics=[metric], **changes))


def test_the_figures_of_the_contract_come_out():
    experiment = parse_document(spring_mailing())
    cost = exposure_cost(experiment.arm_by_key["womens-letter"], 5_402)
    value = total_value(experiment, 88)
    assert (cost, value) == (Decimal("108.04"), Decimal(3_520))
    assert round(roi(value, cost), 2) == 31.58
    assert round(profit_per_visitor(value, cost, 5_310), 4) == 0.6426
    assert round(cost_per_conversion(cost, 88), 2) == 1.23


def test_the_profit_of_single_visitors_adds_up_to_the_contract_s_figure():
    experiment = parse_document(spring_mailing())
    arm = experiment.arm_by_key["womens-letter"]
    buyers = 88 * profit_units(experiment, arm, 1, 1)
    others = (5_310 - 88) * profit_units(experiment, arm, 0, 1)
    seen_twice = profit_units(experiment, arm, 0, 5_402 - 5_310)
    assert from_profit_units(buyers + others + seen_twice, "EUR") == Decimal("3411.96")


@pytest.mark.parametrize(("exposures", "cost"), [
    (0, "0"), (1, "0.02"), (10_000, "200"), (10_001, "200.012"), (50_000, "680"), (64_000, "820"),
])
def test_each_exposure_costs_what_its_tier_says(exposures, cost):
    assert exposure_cost(TIERED, exposures) == Decimal(cost)


@given(st.integers(min_value=0, max_value=10**6), st.integers(min_value=0, max_value=10**6))
def test_more_exposures_never_cost_less(exposures, further):
    assert exposure_cost(TIERED, exposures) <= exposure_cost(TIERED, exposures + further)


def test_with_tiers_and_an_audience_an_exposure_costs_the_average():
    assert unit_cost(TIERED, 64_000) == Decimal("0.0128125")


def test_without_an_audience_or_tiers_an_exposure_costs_the_first_price():
    assert unit_cost(TIERED, None) == Decimal("0.02")
    assert unit_cost(Arm("letter", "mass", tiers=(Tier(0, Decimal("0.3")),)), 64_000) == Decimal("0.3")


def test_a_conversion_is_worth_its_value():
    experiment = an_experiment({"value": 40})
    assert experiment.goal.worth == 40
    assert profit_units(experiment, experiment.first_mass, 1, 3) == (4_000 - 3 * 2) * PROFIT_SCALE


def test_a_count_is_worth_its_value_each_time():
    experiment = an_experiment({"kind": "count", "value": 0.5})
    assert total_value(experiment, 7) == Decimal("3.5")
    assert profit_units(experiment, experiment.first_mass, 7, 1) == (350 - 2) * PROFIT_SCALE


def test_a_value_metric_is_money_already():
    experiment = an_experiment({"kind": "value", "property": "revenue", "cap": 500})
    assert experiment.goal.worth == 1
    assert total_value(experiment, 12_345) == Decimal("123.45")
    assert profit_units(experiment, experiment.first_mass, 12_345, 1) == (12_345 - 2) * PROFIT_SCALE


def test_a_goal_without_value_is_worth_nothing_known_and_still_costs():
    experiment = an_experiment()
    assert experiment.goal.worth is None
    assert total_value(experiment, 5) is None
    assert profit_units(experiment, experiment.first_mass, 1, 1) == -2 * PROFIT_SCALE


@pytest.mark.parametrize(("currency", "cost", "units"), [
    ("EUR", 0.000001, 1), ("EUR", 0.02, 20_000), ("JPY", 0.0001, 1), ("JPY", 2, 20_000), ("KWD", 0.0000001, 1),
])
def test_the_finest_cost_that_a_document_may_have_is_one_profit_unit(currency, cost, units):
    experiment = an_experiment(cost=cost, currency=currency)
    assert profit_rates(experiment, experiment.first_mass).cost == units
    assert from_profit_units(units, currency) == Decimal(str(cost))


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 50)), min_size=1))
def test_the_profit_of_a_group_is_that_of_its_sums(visitors):
    experiment = an_experiment({"value": 12.34}, cost=0.000123)
    one_by_one = sum(profit_units(experiment, experiment.first_mass, *visitor) for visitor in visitors)
    goal_totals, exposures = zip(*visitors, strict=True)
    assert one_by_one == profit_units(experiment, experiment.first_mass, sum(goal_totals), sum(exposures))


def test_break_even_is_where_the_gain_has_repaid_the_fixed_cost():
    assert break_even_visitors(Decimal(250), 0.0125) == 20_000


@pytest.mark.parametrize(("difference", "gain"), [
    (250, 0.0), (250, -0.01), (250, float("nan")), (0, 0.01), (-250, 0.01), (-250, -0.01), (250, 5e-324),
])
def test_there_is_no_break_even_without_something_to_repay_and_a_gain_to_repay_it(difference, gain):
    assert break_even_visitors(Decimal(difference), gain) is None


def test_ratios_to_nothing_are_not_given():
    assert roi(Decimal(10), Decimal(0)) is None
    assert cost_per_conversion(Decimal(10), 0) is None
    assert profit_per_visitor(Decimal(10), Decimal(1), 0) is None


def test_an_arm_that_earned_nothing_lost_all_it_cost():
    assert roi(Decimal(0), Decimal(50)) == -1.0
