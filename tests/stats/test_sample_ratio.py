"""Do visitors match their weights?"""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from stats.sample_ratio import combine
from stats.sample_ratio import sample_ratio_test
from stats.sample_ratio import share_evidence


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


def _share_evidence_by_integration(observed: float, others: float, share: float) -> float:
    def integrand(u: float, scale: float) -> float:
        log_ratio = observed * u - (observed + others) * math.log1p(share * math.expm1(u))
        return math.exp(log_ratio) * scipy.stats.norm.pdf(u, scale=scale)

    parts = [scipy.integrate.quad(integrand, -8 * s, 8 * s, (s,), epsabs=0, limit=200)[0] for s in (0.03, 0.3)]
    return math.log(sum(parts) / 2)


@pytest.mark.parametrize(("observed", "others", "share"), [(50, 50, 0.5), (60, 40, 0.5), (5, 900, 0.05), (0, 30, 0.4)])
def test_evidence_on_a_share_is_the_mixed_likelihood_ratio(observed: int, others: int, share: float) -> None:
    known = _share_evidence_by_integration(observed, others, share)
    assert share_evidence([observed], [others], [share]) == pytest.approx(known, abs=1e-9)


def test_evidence_on_a_share_has_mean_one_under_the_share() -> None:
    # Exactly, over all outcomes of two strata: in the mean nothing is won by looking again.
    first, second = np.arange(31), np.arange(21)
    chances = np.outer(scipy.stats.binom.pmf(first, 30, 0.2), scipy.stats.binom.pmf(second, 20, 0.7))
    evidence = [[math.exp(share_evidence([a, b], [30 - a, 20 - b], [0.2, 0.7])) for b in second] for a in first]
    assert float((chances * evidence).sum()) == pytest.approx(1, abs=1e-9)


def test_two_visitors_lost_in_a_hundred_alarm_at_two_hundred_thousand() -> None:
    assert share_evidence([100_000], [98_000], [0.5]) > math.log(500)
    # A broken arm long before.
    assert share_evidence([100], [220], [0.5]) > math.log(500)


def test_strata_of_one_share_may_be_put_together() -> None:
    together = share_evidence([900, 60], [1100, 40], [0.4, 0.7])
    assert share_evidence([400, 60, 500], [700, 40, 400], [0.4, 0.7, 0.4]) == pytest.approx(together, abs=1e-9)


def test_the_arms_of_a_pair_say_the_same() -> None:
    assert share_evidence([55], [80], [0.3]) == pytest.approx(share_evidence([80], [55], [0.7]), abs=1e-10)


def test_evidence_on_a_share_has_an_answer_for_any_count() -> None:
    assert share_evidence([], [], []) == pytest.approx(0, abs=1e-12)
    assert share_evidence([0], [0], [0.5]) == pytest.approx(0, abs=1e-12)
    assert share_evidence([0, 7], [9, 0], [0.0, 1.0]) == pytest.approx(0, abs=1e-12)
    assert share_evidence([1], [9], [0.0]) == math.inf
    assert share_evidence([9], [1], [1.0]) == math.inf
    # Of exact halves the integral is that of two Normals.
    shrunk = [1 / math.sqrt(1 + 1e9 / 4 * scale**2) for scale in (0.03, 0.3)]
    known = math.log(sum(shrunk) / 2)
    assert share_evidence([5 * 10**8], [5 * 10**8], [0.5]) == pytest.approx(known, abs=1e-6)
    assert share_evidence([10**9], [0], [0.0001]) > 1e8
    assert share_evidence([0], [10**9], [0.9999]) > 1e8


def test_evidence_on_a_share_hardly_ever_reaches_its_alarm_in_two_hundred_looks() -> None:
    # At most 1 in 500 ever; of 60, 2 would come with a chance of .6 %.
    rng = np.random.default_rng(8)
    alarms = 0
    for _ in range(60):
        arm = np.cumsum(rng.binomial(500, 0.5, size=200))
        total = 500 * np.arange(1, 201)
        pairs = zip(arm, total - arm, strict=True)
        alarms += any(share_evidence([one], [other], [0.5]) > math.log(500) for one, other in pairs)
    assert alarms <= 1
