"""Estimates under a moving allocation: exact cases, and what long runs of seeded campaigns show."""

import math

import numpy as np
import pytest

from stats.adaptive import Estimate
from stats.adaptive import Stratum
from stats.adaptive import beta
from stats.adaptive import combine
from stats.adaptive import estimate
from stats.adaptive import normal
from stats.posteriors import BetaPosterior
from stats.posteriors import NormalPosterior
from stats.weights import thompson


def rate(visitors: float, propensity: float, n: float, conversions: float) -> Stratum:
    return Stratum(visitors, propensity, n, conversions, conversions)


def test_a_fixed_policy_gives_the_exact_posterior() -> None:
    found = estimate([rate(64000, 1 / 3, 21306, 122)])
    assert (found.mean, found.effective_n, found.n, found.complete) == (122 / 21306, 21306, 21306, True)
    posterior = beta(found)
    assert (posterior.alpha, posterior.beta) == pytest.approx((123, 21185), rel=1e-15)
    assert posterior.credible_interval() == pytest.approx(BetaPosterior(123, 21185).credible_interval(), rel=1e-13)


def test_two_strata_by_hand() -> None:
    found = estimate([rate(1000, 0.5, 480, 24), rate(2000, 0.1, 210, 30)])
    # Γ_1 = 24 / 480 = .05, Γ_2 = .05 + (30 - 210·.05) / 200 = .1475.
    assert found.mean == pytest.approx((1000 * 0.05 + 2000 * 0.1475) / 3000)
    assert found.n == 690
    # (Σ n_k)² / Σ n_k² / expected, the first with the visitors that it had, were outcomes equally varied throughout.
    size = 3000**2 / (1000**2 / 480 + 2000**2 / 200)
    # Σ (x - .115)² in each stratum, by leverage 1000 / 480 and 2000 / 200, against an even spread.
    first, second = 24 * (1 - 0.23) + 480 * 0.115**2, 30 * (1 - 0.23) + 210 * 0.115**2
    leaned = (1000 / 480) ** 2 * first + 10**2 * second
    even = (1000 / 480 * first + 10 * second) / 3000 * (1000**2 / 480 + 2000**2 / 200)
    assert found.effective_n == pytest.approx(size * even / leaned)
    assert leaned > even


def test_rates_that_vary_where_the_arm_is_rare_cost_effective_visitors() -> None:
    calm = estimate([rate(1000, 0.9, 900, 450), rate(1000, 0.1, 100, 50)])
    shifted = estimate([rate(1000, 0.9, 900, 9), rate(1000, 0.1, 100, 50)])
    assert calm.effective_n == pytest.approx(2000**2 / (1000 / 0.9 + 1000 / 0.1))
    assert shifted.effective_n < calm.effective_n


def test_empty_and_closed_strata_have_their_conventions() -> None:
    one = rate(100, 0.5, 50, 10)
    alone = estimate([one])
    assert estimate([rate(0, 0.5, 0, 0), one, rate(0, 0, 0, 0)]) == alone
    # Open but without a visitor of the arm before it had any: left out.
    assert estimate([rate(30, 0.01, 0, 0), one]) == alone
    # Closed: left out and said so.
    closed = estimate([one, rate(100, 0, 0, 0)])
    assert (closed.mean, closed.effective_n, closed.complete) == (alone.mean, alone.effective_n, False)
    # Open later without a visitor: the known mean stands, more visitors are spoken for.
    starved = estimate([one, rate(100, 0.01, 0, 0)])
    assert starved.mean == alone.mean
    assert starved.effective_n < alone.effective_n


def test_an_arm_without_visitors_knows_nothing() -> None:
    for strata in ([], [rate(0, 0.5, 0, 0)], [rate(100, 0.01, 0, 0)]):
        assert estimate(strata) == Estimate(0, 0, 0, 0, complete=True)
    assert estimate([rate(100, 0, 0, 0)]) == Estimate(0, 0, 0, 0, complete=False)
    assert beta(estimate([])) == BetaPosterior()


def test_a_weight_of_one_is_a_plain_mean() -> None:
    found = estimate([rate(100, 1, 100, 7), rate(300, 1, 300, 33)])
    assert found.mean == pytest.approx(0.1)
    assert found.effective_n == pytest.approx(400, rel=0.2)


def test_no_and_only_conversions_stay_inside_the_range() -> None:
    strata = [rate(500, 0.5, 240, 0), rate(500, 0.1, 61, 0)]
    none = beta(estimate(strata))
    assert (none.alpha, none.beta) == (1, pytest.approx(1 + 1000**2 / (500**2 / 240 + 500 / 0.1)))
    everybody = estimate([rate(500, 0.5, 240, 240), rate(500, 0.1, 61, 61)])
    assert everybody.mean == pytest.approx(1)
    # Chance surplus can push the estimate beyond the range; the posterior is taken back into it.
    beyond = Estimate(1.02, 100, 0.01, 100)
    assert beta(beyond) == BetaPosterior(101, 1)
    assert beta(Estimate(-0.02, 100, 0.01, 100)) == BetaPosterior(1, 101)


def test_counts_of_a_billion() -> None:
    found = estimate([rate(2e9, 0.5, 1e9, 3e8), rate(2e9, 0.25, 5e8, 1.5e8)])
    assert found.mean == pytest.approx(0.3, abs=1e-15)
    assert beta(found).sd == pytest.approx(math.sqrt(0.21 / found.effective_n), rel=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [(10, 0.5, 11, 1, 1), (10, 1.5, 5, 1, 1), (10, 0, 5, 1, 1), (-1, 0.5, 0, 0, 0), (9, 0.5, 5, math.nan, 1)],
)
def test_impossible_strata_are_refused(arguments: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="must"):
        Stratum(*arguments)


def test_segments_combine_by_their_shares() -> None:
    found = combine([Estimate(0.1, 100, 0.09, 120), Estimate(0.3, 50, 0.21, 60)], [0.75, 0.25])
    assert found.mean == pytest.approx(0.15)
    assert found.effective_n == pytest.approx(1 / (0.75**2 / 100 + 0.25**2 / 50))
    assert found.variance / found.effective_n == pytest.approx(0.75**2 * 0.09 / 100 + 0.25**2 * 0.21 / 50)
    assert (found.n, found.complete) == (180, True)


def test_hillstroms_mass_policies_are_stratum_weighted_visits() -> None:
    # G17: visitors and visits of customers of men's, of women's clothing and of both.
    arms = {
        0.1061493: [(9638, 962), (9519, 912), (2149, 388)],
        0.1825219: [(9558, 1615), (9568, 1592), (2181, 687)],
        0.1515185: [(9622, 1067), (9647, 1638), (2118, 533)],
    }
    sizes = [sum(arm[segment][0] for arm in arms.values()) for segment in range(3)]
    for mean, counts in arms.items():
        parts = [estimate([rate(size, 1 / 3, *count)]) for size, count in zip(sizes, counts, strict=True)]
        assert combine(parts, sizes).mean == pytest.approx(mean, abs=1e-6)


def test_unseen_segments_are_left_out_and_said_so() -> None:
    known, unseen = Estimate(0.1, 100, 0.09, 120), Estimate(0, 0, 0, 0)
    assert combine([known, unseen], [0.5, 0.5]) == Estimate(0.1, 100, pytest.approx(0.09), 120, complete=False)
    assert combine([known, unseen], [0.5, 0]).complete
    assert combine([unseen], [1]) == Estimate(0, 0, 0, 0, complete=False)
    assert combine([], []) == Estimate(0, 0, 0, 0, complete=True)
    with pytest.raises(ValueError, match="shares has 1 entries, must have 2"):
        combine([known, unseen], [1])


def test_values_have_a_normal_posterior_that_is_never_certain() -> None:
    nobody = normal(Estimate(0, 0, 0, 0), prior_mean=3, prior_sd=20)
    assert nobody == NormalPosterior(3, 20)
    assert normal(Estimate(7, 1, 0, 1), prior_mean=3, prior_sd=20) == NormalPosterior(7, 20)
    # Nobody of 400 bought: the spread is the prior's.
    assert normal(Estimate(0, 400, 0, 400), prior_mean=3, prior_sd=20) == NormalPosterior(0, 1)
    plenty = normal(Estimate(7, 9e5, 100, 1e6), prior_mean=3, prior_sd=20)
    assert plenty.sd == pytest.approx(math.sqrt(100 / 9e5), rel=1e-5)
    with pytest.raises(ValueError, match="prior_sd is 0, must be positive"):
        normal(Estimate(7, 1, 0, 1), prior_mean=3, prior_sd=0)


def test_two_stages_bias_the_plain_mean_as_known_and_the_estimate_not() -> None:
    # G14 (Hadad et al.): T/2 at 50/50, T/2 at 90/10 to the leader, equal normal arms: bias -0.268662 / √T.
    rng = np.random.default_rng(14)
    runs, visitors = 4000, 10_000
    plain, corrected = np.empty((2, runs))
    for run in range(runs):
        first = rng.normal(0, math.sqrt(visitors / 4), 2)
        propensity = 0.9 if first[0] > first[1] else 0.1
        counts = visitors / 4, visitors / 2 * propensity
        totals = first[0], rng.normal(0, math.sqrt(counts[1]))
        plain[run] = sum(totals) / sum(counts)
        halves = zip((0.5, propensity), counts, totals, strict=True)
        corrected[run] = estimate([Stratum(visitors / 2, e, n, total, n + total**2 / n) for e, n, total in halves]).mean
    for found, bias in ((plain, -0.268662 / math.sqrt(visitors)), (corrected, 0)):
        assert found.mean() == pytest.approx(bias, abs=4 * found.std() / math.sqrt(runs))


def campaign(rng: np.random.Generator, *, truth: float, rise: float) -> tuple[list[list[Stratum]], np.ndarray]:
    """Three equal arms, 20 batches of 250 by Thompson sampling with a floor of 2 %, the base rate rising on the way."""
    weights, strata = np.full(3, 1 / 3), [[], [], []]  # type: ignore[var-annotated]
    sums = np.zeros((3, 2))
    for batch in range(20):
        visitors = rng.multinomial(250, weights)
        conversions = rng.binomial(visitors, truth * (1 + rise * (batch - 9.5) / 20))
        for arm in range(3):
            strata[arm].append(rate(250, weights[arm], visitors[arm], conversions[arm]))
        sums += np.column_stack([conversions, visitors])
        weights = thompson([BetaPosterior(1 + s, 1 + n - s) for s, n in sums], floor=0.02)
    return strata, sums


@pytest.mark.parametrize("rise", [0.0, 0.8])
def test_estimates_cover_and_are_unbiased_after_thompson(rise: float) -> None:
    rng = np.random.default_rng(20)
    errors, plain_errors, covered, plain_covered = [], [], [], []
    for _ in range(250):
        strata, sums = campaign(rng, truth=0.05, rise=rise)
        for arm, (conversions, visitors) in zip(strata, sums, strict=True):
            found = estimate(arm)
            low, high = beta(found).credible_interval()
            errors.append(found.mean - 0.05)
            covered.append(low <= 0.05 <= high)
            low, high = BetaPosterior().observe(conversions, visitors - conversions).credible_interval()
            plain_errors.append(conversions / visitors - 0.05)
            plain_covered.append(low <= 0.05 <= high)
    # Arms of one campaign lean on each other: count campaigns, not arms.
    tolerance = 3.5 / math.sqrt(250)
    assert np.mean(errors) == pytest.approx(0, abs=tolerance * np.std(errors))
    assert np.mean(covered) > 0.93
    assert np.mean(plain_errors) < -0.002
    assert np.mean(plain_covered) < (0.80 if rise else 0.95)
