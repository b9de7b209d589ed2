import numpy as np
import pytest
from scipy import special

from stats.contenders import best
from stats.contenders import own_variances
from stats.contenders import symmetrised
from stats.posteriors import BetaPosterior
from stats.posteriors import NormalPosterior
from stats.ranking import probability_best

COUNTS = [(visitors, rate) for visitors in (20, 100, 1000, 50_000) for rate in (0.0, 0.02, 0.2, 0.5, 0.95, 1.0)]


@pytest.mark.parametrize("arms", [2, 3, 5, 12, 20])
def test_many_contests_are_ranked_as_one_is(arms):
    rng = np.random.default_rng(arms)
    means = rng.normal(size=(40, arms)) * 10 ** rng.uniform(-1, 0.5, size=(40, 1))
    sds = 10 ** rng.uniform(-2, 0.3, size=(40, arms))
    found = best(means, sds**2, np.ones((40, arms), dtype=bool))
    for row, mean, sd in zip(found, means, sds, strict=True):
        exact = probability_best([NormalPosterior(*arm) for arm in zip(mean, sd, strict=True)])
        assert row == pytest.approx(exact, abs=2e-3 if 2 < arms <= 12 else 1e-12)


def test_contests_of_different_sizes_do_not_disturb_each_other():
    present = np.array([[True, False, True, False], [True, True, True, True], [False, False, False, True], [False] * 4])
    means = np.array([[0.0, 9.0, 1.0, 9.0], [0.0, 0.0, 0.0, 0.0], [9.0, 9.0, 9.0, 0.0], [9.0] * 4])
    found = best(means, np.ones((4, 4)), present)
    assert found[0] == pytest.approx([special.ndtr(-np.sqrt(0.5)), 0, special.ndtr(np.sqrt(0.5)), 0])
    assert found[1] == pytest.approx([0.25] * 4)
    assert found[2].tolist() == [0, 0, 0, 1]
    assert found[3].tolist() == [0, 0, 0, 0]


def test_arms_without_error_are_ordered_and_equal_ones_share():
    found = best(np.array([[1.0, 2.0], [1.0, 1.0]]), np.zeros((2, 2)), np.ones((2, 2), dtype=bool))
    assert found.tolist() == [[0, 1], [0.5, 0.5]]


def test_three_correlated_arms_have_independent_ones_with_the_same_differences():
    root = np.random.default_rng(1).normal(size=(3, 3))
    covariance = root @ root.T + np.eye(3) + 5.0
    own = own_variances(covariance, np.ones(3, dtype=bool))
    for one, other in [(0, 1), (0, 2), (1, 2)]:
        expected = covariance[one, one] + covariance[other, other] - 2 * covariance[one, other]
        assert own[one] + own[other] == pytest.approx(expected)


def test_independent_arms_keep_their_variances_whatever_they_share():
    variances = np.array([1.0, 2.0, 3.0, 0.0, 5.0])
    present = np.array([True, True, True, False, True])
    assert own_variances(np.diag(variances) + 7.0, present) == pytest.approx(variances)


@pytest.mark.parametrize("one", COUNTS)
def test_a_rate_on_its_own_axis_is_as_good_as_normal(one):
    for other in COUNTS:
        arms = [BetaPosterior(1 + n * rate, 1 + n * (1 - rate)) for n, rate in (one, other)]
        alpha, beta = (np.array([[getattr(arm, name) for arm in arms]]) for name in ("alpha", "beta"))
        logit, variance = special.psi(alpha) - special.psi(beta), special.zeta(2, alpha) + special.zeta(2, beta)
        typical = np.full((1, 2), alpha.sum() / (alpha + beta).sum())
        found = best(*symmetrised(logit, variance, typical), np.ones((1, 2), dtype=bool))[0]
        assert found == pytest.approx(probability_best(arms), abs=0.013 if min(one[0], other[0]) < 100 else 0.007)
