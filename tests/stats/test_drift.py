"""Drift of a distribution, and the change of a share."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from stats.drift import Drift
from stats.drift import drift
from stats.drift import share_change


def test_alike_shares_have_no_drift_whatever_the_sizes() -> None:
    found = drift([100, 200, 700], [1000, 2000, 7000])
    assert found.index < 1e-4 and found.p_value > 0.99


def test_the_p_value_is_that_of_pearsons_test() -> None:
    table = [[30, 50, 20], [25, 30, 45]]
    assert drift(*table).p_value == pytest.approx(scipy_stats.chi2_contingency(table, correction=False).pvalue)


def test_the_index_is_the_textbooks_for_large_counts() -> None:
    before, lately = np.array([0.2, 0.3, 0.5]), np.array([0.3, 0.3, 0.4])
    expected = ((lately - before) * np.log(lately / before)).sum()
    assert drift(before * 1e7, lately * 1e7).index == pytest.approx(expected, rel=1e-5)


def test_the_index_is_that_of_both_directions() -> None:
    assert drift([5, 95], [40, 60]).index == pytest.approx(drift([40, 60], [5, 95]).index)


@pytest.mark.parametrize(("before", "lately"), [([], []), ([0, 0], [3, 4]), ([5], [7]), ([0, 5], [0, 9])])
def test_where_there_is_nothing_to_compare_nothing_drifted(before: list[float], lately: list[float]) -> None:
    assert drift(before, lately) == Drift(0.0, 1.0)


def test_a_value_that_nobody_had_leaves_the_index_finite() -> None:
    found = drift([100, 0], [50, 50])
    assert np.isfinite(found.index) and found.index > 0.25 and found.p_value < 1e-9


@pytest.mark.parametrize("counts", [[-1.0, 2.0], [float("nan"), 1.0]])
def test_counts_that_cannot_be_are_refused(counts: list[float]) -> None:
    with pytest.raises(ValueError, match="must be finite and not negative"):
        drift(counts, [1.0, 2.0])


def test_no_drift_is_found_as_often_as_promised() -> None:
    rng = np.random.default_rng(3)
    found = [drift(*rng.multinomial(500, [0.2, 0.3, 0.5], size=2)).p_value < 0.05 for _ in range(2000)]
    # Four standard errors of 2,000 trials.
    assert abs(np.mean(found) - 0.05) < 0.02


def test_a_change_of_share_is_newcombes() -> None:
    # Newcombe 1998, table II, contrast (a): 56 of 70 against 48 of 80; method 10 gives 0.0524 to 0.3339.
    assert share_change((48, 80), (56, 70)) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_without_anybody_a_share_may_have_changed_to_anything() -> None:
    assert share_change((0, 0), (3, 4)) == (-1.0, 1.0)


def test_the_interval_of_a_change_holds_it_as_often_as_promised() -> None:
    rng, held = np.random.default_rng(4), 0
    for _ in range(2000):
        low, high = share_change((rng.binomial(150, 0.1), 150), (rng.binomial(90, 0.2), 90))
        held += low <= 0.1 <= high
    assert held / 2000 > 0.93
