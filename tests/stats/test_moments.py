"""Sums that add."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stats.moments import Moments

values = st.lists(st.floats(-1e6, 1e6), max_size=30)


def of(sample: list[float]) -> Moments:
    return Moments(len(sample), sum(sample), sum(x * x for x in sample))


def test_mean_and_variance_are_those_of_the_sample() -> None:
    sample = [1.0, 4.0, 4.0, 7.5]
    assert of(sample).mean == pytest.approx(np.mean(sample), rel=1e-14)
    assert of(sample).variance == pytest.approx(np.var(sample, ddof=1), rel=1e-14)


def test_nobody_and_a_single_visitor_have_no_variance() -> None:
    assert (Moments().mean, Moments().variance) == (0, 0)
    assert (of([3.0]).mean, of([3.0]).variance) == (3, 0)


def test_equal_values_have_a_variance_of_zero_and_never_less() -> None:
    assert of([0.1] * 30).variance == pytest.approx(0, abs=1e-15)
    assert of([0.1] * 30).variance >= 0


@given(values, values)
def test_merging_two_samples_equals_the_whole(left: list[float], right: list[float]) -> None:
    merged, whole = of(left) + of(right), of(left + right)
    assert merged.n == whole.n
    assert merged.total == pytest.approx(whole.total, rel=1e-9, abs=1e-6)
    assert merged.total_squares == pytest.approx(whole.total_squares, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("sums", [(-1, 0, 0), (1, float("nan"), 0), (1, 0, -1), (1, 0, float("inf"))])
def test_impossible_sums_are_refused(sums: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Moments(*sums)
