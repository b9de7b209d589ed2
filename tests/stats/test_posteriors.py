"""Posteriors against scipy.stats and closed forms."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
from scipy import integrate

from stats.posteriors import BetaPosterior
from stats.posteriors import GammaPosterior
from stats.posteriors import NormalPosterior
from stats.posteriors import Posterior
from stats.posteriors import stirling_error

CASES: list[tuple[Posterior, Callable[[], Any]]] = [
    (BetaPosterior(3.5, 17.25), lambda: scipy.stats.beta(3.5, 17.25)),
    (BetaPosterior(0.5, 0.5), lambda: scipy.stats.beta(0.5, 0.5)),
    (NormalPosterior(-2, 0.3), lambda: scipy.stats.norm(-2, 0.3)),
    (GammaPosterior(4.5, 20), lambda: scipy.stats.gamma(4.5, scale=1 / 20)),
]


@pytest.mark.parametrize(("posterior", "reference"), CASES)
def test_mean_sd_cdf_density_and_interval_agree_with_scipy(posterior: Posterior, reference: Callable[[], Any]) -> None:
    known = reference()
    assert posterior.mean == pytest.approx(known.mean(), rel=1e-12)
    assert posterior.sd == pytest.approx(known.std(), rel=1e-12)
    points = known.ppf([0.01, 0.3, 0.9])
    assert [posterior.cdf(x) for x in points] == pytest.approx([0.01, 0.3, 0.9], abs=1e-10)
    assert posterior.density(points) == pytest.approx(known.pdf(points), rel=1e-11)
    assert posterior.credible_interval(0.9) == pytest.approx(known.ppf([0.05, 0.95]), rel=1e-10)


@pytest.mark.parametrize(("posterior", "reference"), CASES)
def test_draws_follow_the_posterior(posterior: Posterior, reference: Callable[[], Any]) -> None:
    draws = posterior.draw(np.random.default_rng(7), 2000)
    assert scipy.stats.kstest(draws, reference().cdf).pvalue > 0.001


def test_interval_of_the_customers_who_had_no_e_mail() -> None:
    # G5: 122 of 21,306.
    interval = BetaPosterior().observe(122, 21306 - 122).credible_interval()
    assert interval == pytest.approx((0.00479995, 0.00683283), abs=1e-8)
    assert interval == pytest.approx((0.0047999506268944815, 0.006832833420787458), abs=1e-12)


@pytest.mark.parametrize(("hits", "at_bats", "mean"), [(300, 1000, 0.2904875661), (4, 10, 0.2636412637)])
def test_batting_averages_shrink_to_the_prior(hits: float, at_bats: float, mean: float) -> None:
    # G2, Robinson 2015: prior Beta(78.661, 224.875), printed .29 and .264.
    assert BetaPosterior(78.661, 224.875).observe(hits, at_bats - hits).mean == pytest.approx(mean, abs=2e-7)


def test_nobody_leaves_the_prior() -> None:
    assert BetaPosterior().observe(0, 0) == BetaPosterior(1, 1)
    assert BetaPosterior().credible_interval() == pytest.approx((0.025, 0.975), abs=1e-15)


@pytest.mark.parametrize("n", [1, 100, 10**9])
def test_no_and_only_conversions_have_their_closed_form_intervals(n: int) -> None:
    # The quantile q of Beta(1, n + 1) is 1 - (1 - q)^(1 / (n + 1)).
    expected = [-np.expm1(np.log1p(-q) / (n + 1)) for q in (0.025, 0.975)]
    none, everybody = BetaPosterior().observe(0, n), BetaPosterior().observe(n, 0)
    assert none.credible_interval() == pytest.approx(expected, rel=1e-9)
    assert everybody.credible_interval() == pytest.approx([1 - x for x in reversed(expected)], rel=1e-12)


def test_densities_keep_their_digits_at_a_billion_visitors() -> None:
    posterior = BetaPosterior().observe(3 * 10**8, 7 * 10**8)
    sd = posterior.sd
    mass, _ = integrate.quad(lambda x: float(posterior.density(np.array(x))), 0.3 - 8 * sd, 0.3 + 8 * sd)
    assert mass == pytest.approx(1, abs=1e-9)
    # A Normal to first order: the peak is 1 / (sd √2π) up to O(1 / n).
    assert float(posterior.density(np.array(posterior.mean))) * sd * np.sqrt(2 * np.pi) == pytest.approx(1, abs=1e-7)


def test_nothing_has_density_outside_its_range() -> None:
    outside = np.array([-1.0, 0.0, 1.0, 2.0])
    assert BetaPosterior(2, 2).density(outside).tolist() == [0, 0, 0, 0]
    assert GammaPosterior(2, 2).density(outside[:2]).tolist() == [0, 0]
    assert (BetaPosterior(2, 2).cdf(-1), BetaPosterior(2, 2).cdf(2), GammaPosterior(2, 2).cdf(-1)) == (0, 1, 0)


def test_gamma_observes_events_of_visitors() -> None:
    assert GammaPosterior(1, 0.5).observe(12, 300) == GammaPosterior(13, 300.5)


def test_normal_weighs_a_second_estimate_by_precision() -> None:
    posterior = NormalPosterior(0, 1).observe(4, 0.5)
    assert posterior.mean == pytest.approx(4 * 4 / 5)
    assert posterior.sd == pytest.approx(np.sqrt(1 / 5))


def test_logarithm_of_a_rate_has_the_moments_of_its_draws() -> None:
    posterior = BetaPosterior(3, 40)
    logs = np.log(posterior.draw(np.random.default_rng(3), 100_000))
    assert posterior.log_mean == pytest.approx(logs.mean(), abs=5 * posterior.log_sd / 300)
    assert posterior.log_sd == pytest.approx(logs.std(), rel=0.02)


@pytest.mark.parametrize("z", [0.5, 1.0, 15.999, 16.0, 170.0])
def test_stirling_error_completes_the_formula(z: float) -> None:
    formula = (z - 0.5) * np.log(z) - z + 0.5 * np.log(2 * np.pi)
    assert formula + stirling_error(z) == pytest.approx(scipy.special.gammaln(z), rel=1e-14, abs=1e-14)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [BetaPosterior, GammaPosterior])
def test_a_parameter_that_is_not_positive_and_finite_is_refused(kind: Callable[..., object], value: float) -> None:
    for arguments in ((value, 1), (1, value)):
        with pytest.raises(ValueError, match=f"is {value}, must be positive and finite"):
            kind(*arguments)


@pytest.mark.parametrize("arguments", [(float("nan"), 1), (float("inf"), 1), (0, 0), (0, -1), (0, float("nan"))])
def test_a_normal_without_mean_or_spread_is_refused(arguments: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        NormalPosterior(*arguments)


def test_negative_counts_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="successes is -1, must be finite and not negative"):
        BetaPosterior().observe(-1, 3)
    with pytest.raises(ValueError, match="failures is nan"):
        BetaPosterior().observe(1, float("nan"))


def test_mass_must_lie_inside_zero_and_one() -> None:
    with pytest.raises(ValueError, match="mass is 1, must lie between 0 and 1"):
        BetaPosterior().credible_interval(1)
