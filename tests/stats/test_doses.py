"""The difference of two groups' means."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from stats.doses import contrast
from stats.moments import Moments


def _moments(values: np.ndarray) -> Moments:  # type: ignore[type-arg]
    return Moments(len(values), float(values.sum()), float((values**2).sum()))


def test_it_is_welchs_interval_for_large_groups() -> None:
    rng = np.random.default_rng(1)
    fewer, more = rng.gamma(2, 3, 4000), rng.gamma(2, 3.2, 6000)
    interval = scipy_stats.ttest_ind(more, fewer, equal_var=False).confidence_interval(0.95)
    found = contrast(_moments(fewer), _moments(more))
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-3)
    assert found.mean == pytest.approx(more.mean() - fewer.mean())


@pytest.mark.parametrize("group", [Moments(), Moments(1, 3, 9)])
def test_of_nobody_and_of_one_nothing_is_known(group: Moments) -> None:
    found = contrast(group, Moments(100, 50, 50))
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_the_interval_holds_the_truth_as_often_as_promised() -> None:
    rng, held = np.random.default_rng(2), 0
    for _ in range(2000):
        found = contrast(_moments(rng.binomial(1, 0.08, 300)), _moments(rng.binomial(1, 0.12, 200)))
        held += found.low <= 0.04 <= found.high
    assert abs(held / 2000 - 0.95) < 0.02
