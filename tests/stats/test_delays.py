"""Conversions that come late."""

import math

import numpy as np
import pytest
from hypothesis import example
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stats.delays import DelayCurve
from stats.delays import delay_curve
from stats.delays import information
from stats.delays import matured_conversions
from stats.delays import observed_fraction

Array = NDArray[np.float64]

_BUCKETS = 256


def _exponential(mean_delay: float, *, window: float) -> Array:
    """The share of conversions by the end of each bucket."""
    return -np.expm1(-np.arange(1, _BUCKETS + 1) * window / _BUCKETS / mean_delay)


def _evenly(shares: Array) -> Array:
    """What comes in each bucket."""
    return np.diff(shares, prepend=0)


def test_a_week_and_a_day_of_three_days_delay() -> None:
    # G15.
    assert observed_fraction(3, 7) == pytest.approx(0.6129879862276022, abs=1e-14)
    assert observed_fraction(3, 1) == pytest.approx(0.1495939317213678, abs=1e-14)


def test_short_periods_lose_no_digits() -> None:
    # x / 2 - x² / 6 to first orders.
    for x in (1e-300, 1e-12, 1e-5):
        assert observed_fraction(1, x) == pytest.approx(x / 2 - x * x / 6, rel=1e-9)
    assert observed_fraction(1, 0.1 - 1e-12) == pytest.approx(observed_fraction(1, 0.1), rel=1e-11)


def test_the_ends_are_nothing_and_everything() -> None:
    assert observed_fraction(3, 0) == 0
    assert observed_fraction(0, 0) == 0
    assert observed_fraction(0, 5) == 1
    assert observed_fraction(1, 1e12) == pytest.approx(1)


@pytest.mark.parametrize("arguments", [(-1, 1), (1, -1), (math.nan, 1), (1, math.inf)])
def test_impossible_times_are_refused(arguments: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="must be finite and not negative"):
        observed_fraction(*arguments)


def test_matured_cohorts_give_their_plain_shares() -> None:
    curve = delay_curve([[60, 30, 10], [30, 60, 10]], [3, 7])
    assert curve.shares == pytest.approx((0.45, 0.9, 1.0), abs=1e-15)


def test_even_arrivals_are_corrected_to_the_rate_of_the_matured() -> None:
    # G15: a mean delay of 3 days and arrivals over 7 show .612988 of the conversions.
    curve = delay_curve([1e6 * _evenly(_exponential(3, window=60))], [_BUCKETS])
    assert curve.matured(0, 7 / 60) == pytest.approx(observed_fraction(3, 7), abs=1e-8)
    visitors, rate = 10_000, 0.05
    conversions = visitors * rate * 0.6129879862276022
    assert conversions / (visitors * curve.matured(0, 7 / 60)) == pytest.approx(rate, abs=1e-6)


def test_young_cohorts_do_not_make_delays_look_short() -> None:
    expected = 1000 * _evenly(_exponential(5, window=14))
    seen = np.arange(_BUCKETS + 1)
    counts = np.where(np.arange(_BUCKETS) < seen[:, None], expected, 0.0)
    curve = delay_curve(counts, seen)
    true = _exponential(5, window=14) / _exponential(5, window=14)[-1]
    assert np.abs(np.array(curve.shares) - true).max() < 1e-12
    plain = counts.sum(axis=0).cumsum() / counts.sum()
    assert plain[63] > true[63] + 0.1


def test_young_cohorts_sharpen_the_curve() -> None:
    rng = np.random.default_rng(7)
    true = _exponential(5, window=14) / _exponential(5, window=14)[-1]
    seen = np.r_[_BUCKETS, np.full(9, _BUCKETS // 2)]
    errors = np.array([
        [abs(np.array(delay_curve(counts[:some], seen[:some]).shares) - true)[32] for some in (1, 10)]
        for counts in (rng.multinomial(100, _evenly(true), size=10) for _ in range(200))
    ])
    matured_only, all_of_them = errors.mean(axis=0)
    assert all_of_them < 0.8 * matured_only


def test_conversions_in_buckets_that_not_all_have_lived_through_are_left_out() -> None:
    assert delay_curve([[50, 50], [10, 999]], [2, 1]) == delay_curve([[50, 50], [10, 0]], [2, 1])
    assert matured_conversions([[50, 50], [10, 999]], [2, 1]) == 100


def test_without_a_matured_conversion_there_is_no_curve() -> None:
    for counts, seen in (([[5, 5]], [1]), ([[0, 0]], [2]), (np.empty((0, 2)), [])):
        with pytest.raises(ValueError, match="no matured cohort has a conversion"):
            delay_curve(counts, seen)
    with pytest.raises(ValueError, match="counts is -1.0"):
        delay_curve([[-1, 5]], [2])


@pytest.mark.parametrize("shares", [(), (0.5,), (0.9, 0.5, 1.0), (-0.1, 1.0), (math.nan, 1.0)])
def test_what_is_no_curve_is_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="must"):
        DelayCurve(shares)


def test_a_curve_is_nothing_before_the_exposure_and_everything_after_the_window() -> None:
    curve = DelayCurve((0.25, 0.5, 1.0))
    assert [curve.matured(age) for age in (-1, 0, 1 / 3, 2 / 3, 1, 9)] == pytest.approx([0, 0, 0.25, 0.5, 1, 1])
    assert curve.matured(-2, -1) == 0
    assert curve.matured(1, 5) == 1
    assert curve.matured(-1, 1) == pytest.approx(curve.matured(0, 1) / 2)
    with pytest.raises(ValueError, match="youngest"):
        curve.matured(0.5, 0.4)


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=12).filter(any),
    st.floats(-0.5, 1.5),
    st.floats(0, 1),
)
@example([1], 0.625, 2.220446049250313e-16)
def test_a_span_shows_the_mean_of_its_ages(counts: list[int], youngest: float, length: float) -> None:
    curve = delay_curve([counts], [len(counts)])
    ages = youngest + length * (np.arange(2000) + 0.5) / 2000
    mean = np.mean([curve.matured(age) for age in ages])
    # Every fall in the first instants of a bucket is a step of at most one age in 2,000.
    assert curve.matured(youngest, youngest + length) == pytest.approx(mean, abs=5e-3)
    assert 0 <= curve.matured(youngest) <= curve.matured(youngest + length) <= 1


def test_unmatured_visitors_tell_less_of_a_high_rate() -> None:
    assert information(0.5, 0.2) == pytest.approx(0.5 / 0.9)
    assert information(0.3, 1.0) == 1
    assert information(0.0, 0.5) == 1
    assert information(1.0, 1.0) == 1
    rng = np.random.default_rng(3)
    n, rate, matured = 2000, 0.6, 0.3
    estimates = rng.binomial(n, rate * matured, 20_000) / (n * matured)
    expected = rate * (1 - rate) / (n * matured * information(rate, matured))
    assert estimates.var() == pytest.approx(expected, rel=0.04)
