"""Intervals that hold at every look."""

import math

import numpy as np
import pytest

from stats.sequences import difference
from stats.sequences import difference_of_means
from stats.sequences import radius
from stats.sequences import tuning


def test_men_s_e_mail_against_none() -> None:
    # G12, as GrowthBook's frequentist sequential test computes it.
    assert difference(122, 21306, 267, 21307) == pytest.approx((0.0038394371866490, 0.0097705758525824), abs=1e-12)
    assert math.sqrt(tuning()) == pytest.approx(0.0398400668, abs=1e-10)


@pytest.mark.parametrize(("n", "width"), [(1000, 0.05318773503), (5000, 0.02146216859), (20000, 0.01105601806)])
def test_radius_at_several_sizes(n: int, width: float) -> None:
    # reference_values.json, gb_halfwidth: s² = .25.
    assert radius(0.25 / n, n) == pytest.approx(width, abs=1e-10)


def test_radius_is_the_normal_mixture_of_howard_and_others() -> None:
    # confseq's unit tests: the two-sided bound of a sum with variance 100, tuned there, is 30.35209.
    assert 100 * radius(1 / 100, 100, tuned_for=100) == pytest.approx(30.35209, abs=1e-5)


def test_nobody_says_nothing() -> None:
    assert difference(0, 0, 3, 10) == (-1, 1)
    assert difference(3, 10, 0, 0) == (-1, 1)
    assert difference_of_means(0, 0, 0, 1, 1, 9) == (-math.inf, math.inf)


@pytest.mark.parametrize("counts", [(0, 50, 0, 50), (50, 50, 50, 50), (0, 50, 50, 50), (0, 1, 1, 1)])
def test_no_and_only_conversions_never_give_certainty(counts: tuple[float, float, float, float]) -> None:
    low, high = difference(*counts)
    assert -1 <= low < high <= 1


def test_no_conversions_of_a_billion_is_a_narrow_answer() -> None:
    low, high = difference(0, 1e9, 0, 1e9)
    assert -1e-6 < low < 0 < high < 1e-6


def test_exchanging_the_arms_turns_the_interval_round() -> None:
    low, high = difference(20, 100, 35, 140)
    assert difference(35, 140, 20, 100) == pytest.approx((-high, -low), abs=1e-15)


def test_two_hundred_looks_miss_in_at_most_a_twentieth_of_campaigns() -> None:
    rng = np.random.default_rng(9)
    campaigns, looks, visitors = 300, 200, 50
    conversions = rng.binomial(visitors, 0.1, size=(campaigns, 2, looks)).cumsum(axis=2)
    missed = 0
    for arms in conversions:
        intervals = (difference(a, (k + 1) * visitors, b, (k + 1) * visitors) for k, (a, b) in enumerate(arms.T))
        missed += any(low > 0 or high < 0 for low, high in intervals)
    assert missed / campaigns <= 0.05


@pytest.mark.parametrize("counts", [(-1, 10, 1, 10), (11, 10, 1, 10), (1, 10, 1, -10), (math.nan, 10, 1, 10)])
def test_impossible_counts_are_refused(counts: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        difference(*counts)


def test_alpha_and_tuning_are_checked() -> None:
    with pytest.raises(ValueError, match="alpha is 1"):
        difference(1, 10, 1, 10, alpha=1)
    with pytest.raises(ValueError, match="tuned_for is 0"):
        difference(1, 10, 1, 10, tuned_for=0)
