"""Assumptions: a default for whatever is left out, and a clear error for whatever cannot be."""

from typing import Any

import pytest

from experiments.document import parse_document
from experiments.errors import InvalidDocument
from experiments.reading.assumptions import read_assumptions
from experiments.reading.flights import read_flight
from experiments.simulation.world import Values
from tests.experiments.documents import spring_mailing
from tests.experiments.flights import flight
from tests.experiments.flights import goal

MAILING = parse_document(spring_mailing())


def test_what_is_left_out_has_a_default_that_is_named() -> None:
    found = read_assumptions({"delay": "2d"}, MAILING, days=32)
    assert found.visitors_per_day == 2000
    assert found.rates["womens-shoppers"] == pytest.approx(
        {"nothing": 0.04, "one-letter": 0.05, "womens-letter": 0.06}
    )
    assert found.segment_shares == {"womens-shoppers": 0.5, "everyone-else": 0.5}
    assert found.delay_seconds == 2 * 86_400
    assert found.defaults == (
        "visitors_per_day", "segment_shares", "consent_share", "base_rates", "uplift", "drift", "weekly",
    )


def test_who_is_not_personalised_is_like_everybody_on_average() -> None:
    shares = {"womens-shoppers": 0.25, "everyone-else": 0.75}
    assumed = {"segment_shares": shares, "base_rates": {"womens-shoppers": 0.1}}
    found = read_assumptions(assumed, MAILING, days=30)
    assert found.rates["no-personalisation"]["one-letter"] == pytest.approx(0.25 * 0.1 + 0.75 * 0.05)


def test_everybody_is_in_one_segment_and_shares_sum_to_one() -> None:
    found = read_assumptions({"consent_share": 0.6}, MAILING, days=30)
    assert sum(found.share_of(segment) for segment in MAILING.segment_keys) == pytest.approx(1)
    assert found.share_of("no-personalisation") == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("assumed", "field", "value", "rule"),
    [
        (3, "assumptions", 3, "must be an object"),
        ({"visitors": 1}, "assumptions.visitors", "visitors", "is not a field here"),
        ({"visitors_per_day": 0}, "assumptions.visitors_per_day", 0, "from 1 to"),
        ({"visitors_per_day": 1.5}, "assumptions.visitors_per_day", 1.5, "whole number"),
        ({"consent_share": 2}, "assumptions.consent_share", 2, "from 0 to 1"),
        ({"delay": "soon"}, "assumptions.delay", "soon", "a whole number and a unit"),
        ({"drift": -2}, "assumptions.drift", -2, "from -1 to"),
        ({"weekly": True}, "assumptions.weekly", True, "must be a number"),
        ({"weekly": float("nan")}, "assumptions.weekly", None, "finite"),
        ({"segment_shares": {"womens-shoppers": 1}}, "assumptions.segment_shares.everyone-else", None, "is required"),
        (
            {"segment_shares": {"womens-shoppers": 0.5, "everyone-else": 0.4}},
            "assumptions.segment_shares", None, "sum to 0.9, must be 1",
        ),
        ({"segment_shares": []}, "assumptions.segment_shares", [], "must be an object"),
        ({"base_rates": {"men": 0.1}}, "assumptions.base_rates.men", "men", "is not a field here"),
        ({"base_rates": {"everyone-else": 1.5}}, "assumptions.base_rates.everyone-else", 1.5, "from 0 to 1"),
        (
            {"uplift": {"everyone-else": {"womens-letter": 0.1}}},
            "assumptions.uplift.everyone-else.womens-letter", "womens-letter", "is not a field here",
        ),
        ({"uplift": {"womens-shoppers": 0.1}}, "assumptions.uplift.womens-shoppers", 0.1, "must be an object"),
        ({"rates": {}, "uplift": {}}, "assumptions.uplift", {}, "one or the other"),
        (
            {"rates": {"everyone-else": {"nothing": 0.1, "one-letter": 0.1}}},
            "assumptions.rates.womens-shoppers", None, "is required",
        ),
        ({"values": {"mean": 3}}, "assumptions.values", {"mean": 3}, "for a goal that counts or sums"),
        (
            {"base_rates": {"everyone-else": 0.8}, "drift": 0.5},
            "assumptions.rates.everyone-else.one-letter", None, "must be at most 1",
        ),
    ],
)
def test_a_bad_assumption_is_refused_by_path_value_and_rule(assumed: Any, field: str, value: Any, rule: str) -> None:
    with pytest.raises(InvalidDocument) as refused:
        read_assumptions(assumed, MAILING, days=30)
    problem = next(problem for problem in refused.value.problems if problem.field == field)
    assert rule in problem.rule
    assert value is None or problem.value == value


@pytest.mark.parametrize("mean", [0, 501, "much"])
def test_a_value_lies_between_nothing_and_its_cap(mean: Any) -> None:
    experiment = parse_document(flight(metrics=[goal(kind="value", property="revenue", cap=500)]))
    with pytest.raises(InvalidDocument, match=r"assumptions\.values\.mean"):
        read_assumptions({"values": {"mean": mean}}, experiment, days=30)
    assert read_assumptions({}, experiment, days=30).values == Values(50, 50)


def test_a_document_may_stand_alone_or_beside_its_assumptions() -> None:
    assert read_flight({"key": "x"}) == ({"key": "x"}, {})
    assert read_flight({"experiment": {"key": "x"}, "assumptions": {"drift": 1}}) == ({"key": "x"}, {"drift": 1})
    with pytest.raises(InvalidDocument, match="assumption: 'assumption' is not a field here"):
        read_flight({"experiment": {}, "assumption": {}})
