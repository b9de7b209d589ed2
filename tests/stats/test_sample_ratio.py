"""Do visitors match their weights?"""

import math

import numpy as np
import pytest
import scipy.stats

from stats.sample_ratio import combine
from stats.sample_ratio import sample_ratio_test


def test_hillstroms_arms_are_even() -> None:
    # G16; Spotify's library prints the same p.
    found = sample_ratio_test([21306, 21307, 21387], [1, 1, 1])
    assert found.statistic == pytest.approx(0.202531, abs=1e-6)
    assert found.degrees == 2
    assert found.p_value == pytest.approx(0.9036929575604196, abs=1e-12)


def test_it_is_pearsons_test() -> None:
    found = sample_ratio_test([900, 1100, 480], [0.4, 0.4, 0.2])
    known = scipy.stats.chisquare([900, 1100, 480], [992, 992, 496])
    assert (found.statistic, found.p_value) == pytest.approx((known.statistic, known.pvalue), rel=1e-12)


def test_a_difference_of_rates_is_the_same_test_of_conversions() -> None:
    # G16, by Hillstrom's conversions and non-conversions.
    visitors, conversions = np.array([21306, 21307, 21387]), np.array([122, 267, 189])
    parts = [sample_ratio_test(counts, visitors) for counts in (conversions, visitors - conversions)]
    assert sum(part.statistic for part in parts) == pytest.approx(55.25804, abs=1e-5)
    assert combine([sum(part.statistic for part in parts)], [2]).p_value == pytest.approx(1.002e-12, rel=1e-3)


def test_shares_may_come_in_any_unit() -> None:
    assert sample_ratio_test([60, 40], [5000, 5000]) == sample_ratio_test([60, 40], [0.5, 0.5])


def test_nothing_to_test_is_no_alarm() -> None:
    assert sample_ratio_test([0, 0], [1, 1]) == (0, 0, 1)
    assert sample_ratio_test([10], [1]) == (0, 0, 1)
    assert sample_ratio_test([10, 0], [1, 0]) == (0, 0, 1)


def test_visitors_in_an_arm_that_was_closed_are_impossible() -> None:
    assert sample_ratio_test([10, 1], [1, 0]) == (math.inf, 0, 0)
    assert combine([math.inf, 1.0], [1, 1]).p_value == 0
    assert combine([math.inf], [0]).p_value == 0


def test_epochs_of_different_weights_add_up() -> None:
    epochs = [sample_ratio_test([55, 45], [1, 1]), sample_ratio_test([30, 72, 0], [1, 2, 0])]
    together = combine([epoch.statistic for epoch in epochs], [epoch.degrees for epoch in epochs])
    assert together.degrees == 2
    assert together.p_value == pytest.approx(scipy.stats.chi2.sf(together.statistic, 2), rel=1e-12)
    assert together.statistic == epochs[0].statistic + epochs[1].statistic
    assert combine([], []) == (0, 0, 1)


def test_p_values_are_even_under_the_shares() -> None:
    rng = np.random.default_rng(6)
    counts = rng.multinomial(5000, [0.1, 0.3, 0.6], size=2000)
    p_values = np.array([sample_ratio_test(row, [0.1, 0.3, 0.6]).p_value for row in counts])
    assert scipy.stats.kstest(p_values, "uniform").pvalue > 0.001


@pytest.mark.parametrize(
    ("observed", "shares"),
    [([1, 2], [1]), ([-1, 2], [1, 1]), ([1, 2], [1, -1]), ([1, float("nan")], [1, 1]), ([1], [0])],
)
def test_impossible_counts_and_shares_are_refused(observed: list[float], shares: list[float]) -> None:
    with pytest.raises(ValueError, match="must"):
        sample_ratio_test(observed, shares)
