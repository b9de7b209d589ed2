"""Weights: integers that sum to 10,000, whatever the shares."""

from hypothesis import given
from hypothesis import strategies as st

from experiments.allocation import GRAIN
from experiments.allocation import first_allocation
from experiments.allocation import to_weights
from experiments.document import parse_document
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200).filter(lambda shares: sum(shares) > 1e-6))
def test_weights_sum_to_ten_thousand_and_leave_no_arm_out(shares: list[float]) -> None:
    whole = sum(shares)
    weights = to_weights({str(index): share / whole for index, share in enumerate(shares)})
    assert sum(weights.values()) == GRAIN
    assert min(weights.values()) >= 1


def test_what_is_left_goes_to_the_largest_remainders_and_ties_to_the_first_arms() -> None:
    assert to_weights({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}) == {"a": 3334, "b": 3333, "c": 3333}
    assert to_weights({"a": 0.05, "b": 0.95}) == {"a": 500, "b": 9500}
    assert to_weights({"a": 0.12345, "b": 0.87655}) == {"a": 1235, "b": 8765}


def test_an_arm_without_a_share_keeps_one_ten_thousandth() -> None:
    assert to_weights({"a": 0.0, "b": 1.0}) == {"a": 1, "b": 9999}


def test_the_first_allocation_holds_the_control_share_and_divides_the_rest_evenly() -> None:
    weights = first_allocation(parse_document(spring_mailing())).weights
    assert weights["womens-shoppers"] == {"nothing": 1000, "one-letter": 4500, "womens-letter": 4500}
    assert weights["everyone-else"] == weights["no-personalisation"] == {"nothing": 1000, "one-letter": 9000}


def test_several_controls_share_the_control_share_evenly() -> None:
    document = tiny(control_share=0.2)
    document["arms"].insert(1, {"key": "nothing-either", "role": "control"})
    weights = first_allocation(parse_document(document)).weights["everyone-else"]
    assert weights == {"nothing": 1000, "nothing-either": 1000, "everyone": 8000}


def test_fixed_shares_are_renormalised_over_the_arms_open_to_a_segment() -> None:
    policy = {"kind": "fixed", "shares": {"one-letter": 0.25, "womens-letter": 0.75}}
    weights = first_allocation(parse_document(spring_mailing(policy=policy))).weights
    assert weights["womens-shoppers"] == {"nothing": 1000, "one-letter": 2250, "womens-letter": 6750}
    assert weights["everyone-else"] == {"nothing": 1000, "one-letter": 9000}
