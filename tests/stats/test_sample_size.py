"""Visitors that a fixed comparison needs."""

import math

import pytest

from stats.sample_size import detectable_rate
from stats.sample_size import two_proportions


def test_googles_example() -> None:
    # G6. R: power.prop.test(p1 = .04, p2 = .05, power = .95) gives n = 11165.99.
    assert two_proportions(0.04, 0.05, power=0.95) == pytest.approx(11165.99, abs=0.005)


def test_rs_help_page() -> None:
    # R: power.prop.test(p1 = .50, p2 = .75, power = .90) gives n = 76.7; with sig.level = .05 and power .8, 57.7.
    assert two_proportions(0.5, 0.75, power=0.9) == pytest.approx(76.7, abs=0.05)


def test_the_arms_may_be_exchanged() -> None:
    assert two_proportions(0.05, 0.04) == two_proportions(0.04, 0.05)


def test_equal_rates_can_never_be_told_apart() -> None:
    assert two_proportions(0.04, 0.04) == math.inf


@pytest.mark.parametrize("rates", [(0, 0.1), (0.1, 1), (float("nan"), 0.1)])
def test_rates_must_lie_inside_zero_and_one(rates: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        two_proportions(*rates)


def test_alpha_and_power_must_lie_inside_zero_and_one() -> None:
    with pytest.raises(ValueError, match="alpha is 0"):
        two_proportions(0.1, 0.2, alpha=0)
    with pytest.raises(ValueError, match="power is 1"):
        two_proportions(0.1, 0.2, power=1)


@pytest.mark.parametrize(("p1", "p2", "power"), [(0.04, 0.05, 0.95), (0.001, 0.002, 0.8), (0.5, 0.9, 0.9)])
def test_the_detectable_rate_is_the_one_that_needs_so_many_visitors(p1: float, p2: float, power: float) -> None:
    visitors = two_proportions(p1, p2, power=power)
    assert detectable_rate(p1, visitors, power=power) == pytest.approx(p2, rel=1e-9)


def test_few_visitors_can_tell_nothing_apart() -> None:
    assert detectable_rate(0.5, 2) == 1.0
