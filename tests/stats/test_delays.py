"""Conversions that come late."""

import math

import pytest

from stats.delays import observed_fraction


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
