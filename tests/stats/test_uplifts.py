"""Intervals of differences and ratios against reference figures, closed forms and draws."""

import math

import numpy as np
import pytest
from scipy import special

from stats.posteriors import BetaPosterior
from stats.posteriors import GammaPosterior
from stats.posteriors import NormalPosterior
from stats.posteriors import Posterior
from stats.ranking import probability_best
from stats.ranking import uplift


def arm(successes: float, n: float, prior: tuple[float, float] = (1, 1)) -> BetaPosterior:
    return BetaPosterior(*prior).observe(successes, n - successes)


# G1: reference arm, treatment arm, 95 % interval of the difference, of the relative lift.
KNOWN = {
    "20 and 30 of 100": (arm(20, 100), arm(30, 100), (-0.0205761439, 0.2160458063), (-0.0781862833, 1.44874704575)),
    "Robinson": (arm(127, 5734), arm(174, 5851), (0.0017978508, 0.0134053481), (0.0716044643, 0.68222526511)),
    "ab_data": (
        arm(17489, 145274),
        arm(17264, 145310),
        (-0.0039378869950, 0.0007814114430),
        (-0.0323903409725, 0.0065548957057),
    ),
    "no e-mail, men's": (arm(122, 21306), arm(267, 21307), (0.0050101, 0.0086301), (0.76836341455, 1.7076468999)),
    "no e-mail, women's": (
        arm(122, 21306),
        arm(189, 21387),
        (0.0015011797294651, 0.0047378389358121),
        (0.2304442025967, 0.9354414434609),
    ),
    "Aaron, Piazza": (
        arm(3771, 12364, (76.451, 218.639)),
        arm(2127, 6911, (76.451, 218.639)),
        (-0.0114465017993, 0.0151870026294),
        (-0.0370750897068, 0.0507792963633),
    ),
}


@pytest.mark.parametrize("case", KNOWN)
def test_intervals_are_the_known_ones(case: str) -> None:
    reference, treatment, absolute, relative = KNOWN[case]
    found, ratio = uplift(treatment, reference), uplift(treatment, reference, relative=True)
    assert (found.low, found.high) == pytest.approx(absolute, abs=5e-8)
    assert (ratio.low, ratio.high) == pytest.approx(relative, abs=1e-8)
    assert found.mean == treatment.mean - reference.mean
    assert found.probability == pytest.approx(probability_best([treatment, reference])[0], abs=1e-12)
    assert ratio.probability == pytest.approx(found.probability, abs=1e-12)


def test_nobody_converted_in_either_arm() -> None:
    found = uplift(arm(0, 100), arm(0, 100))
    assert (found.low, found.high) == pytest.approx((-0.029081547386, 0.029081547386), abs=1e-10)
    assert (found.mean, found.probability) == (0, 0.5)


def test_two_uniform_arms_have_their_closed_forms() -> None:
    # P(T - R > d) = (1 - d)² / 2 and P(T / R > ρ) = 1 / (2ρ).
    found, ratio = uplift(BetaPosterior(), BetaPosterior()), uplift(BetaPosterior(), BetaPosterior(), relative=True)
    assert (found.low, found.high) == pytest.approx((math.sqrt(0.05) - 1, 1 - math.sqrt(0.05)), abs=1e-12)
    assert (ratio.low, ratio.high) == pytest.approx((0.05 - 1, 20 - 1), rel=1e-10)
    assert ratio.mean == math.inf


def test_a_nearly_even_coin_of_zero_and_one_has_its_closed_form() -> None:
    # With T near 0 or 1 evenly and R uniform, P(T / R > ρ) = E[T] / ρ for ρ >= 1.
    ratio = uplift(BetaPosterior(1e-3, 1e-3), BetaPosterior(), relative=True)
    assert ratio.high == pytest.approx(19, rel=1e-10)


@pytest.mark.parametrize("n", [10**4, 10**9])
def test_no_and_only_conversions_of_many_have_the_law_of_exponentials(n: int) -> None:
    # n·(T - R) tends to the difference of two exponentials, with quantiles ± log 20.
    for found in (uplift(arm(0, n), arm(0, n)), uplift(arm(n, n), arm(n, n))):
        assert (found.low * n, found.high * n) == pytest.approx((-math.log(20), math.log(20)), rel=4 / n + 1e-9)


def test_huge_arms_approach_the_normal_law() -> None:
    found = uplift(arm(5.0001e8, 1e9), arm(5e8, 1e9))
    sd = math.hypot(arm(5.0001e8, 1e9).sd, arm(5e8, 1e9).sd)
    z = special.ndtri(0.975)
    assert (found.low, found.high) == pytest.approx((found.mean - z * sd, found.mean + z * sd), abs=1e-7 * sd)


PAIRS: list[tuple[Posterior, Posterior]] = [
    (BetaPosterior(0.1, 5000), BetaPosterior(12, 14)),
    (BetaPosterior(4e6, 1000), BetaPosterior(2400, 1.2e5)),
    (BetaPosterior(0.4, 3000), BetaPosterior(9957, 2.8)),
    (BetaPosterior(4.4e5, 12928), BetaPosterior(2.7e5, 846)),
    (BetaPosterior(1, 1e9), BetaPosterior(5e8, 5e8)),
    (BetaPosterior(3, 0.2), BetaPosterior(0.3, 70)),
    (GammaPosterior(0.3, 1.5), GammaPosterior(125, 176)),
    (GammaPosterior(40, 100), GammaPosterior(45, 102)),
    (GammaPosterior(1e6, 1e7), GammaPosterior(2, 30)),
    (NormalPosterior(4, 0.3), NormalPosterior(5, 0.4)),
]


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("relative", [False, True])
def test_a_twentieth_of_the_draws_falls_outside(pair: tuple[Posterior, Posterior], relative: bool) -> None:
    rng = np.random.default_rng(17)
    draws = 100_000
    for treatment, reference in (pair, pair[::-1]):
        values, base = treatment.draw(rng, draws), reference.draw(rng, draws)
        with np.errstate(divide="ignore", over="ignore"):
            differences = values / base - 1 if relative else values - base
        found = uplift(treatment, reference, relative=relative)
        tolerance = 4 * math.sqrt(0.025 * 0.975 / draws)
        # A low end within rounding of -100 % cannot be told from it by draws.
        if found.low > -1 + 1e-12:
            assert (differences < found.low).mean() == pytest.approx(0.025, abs=tolerance)
        assert (differences > found.high).mean() == pytest.approx(0.025, abs=tolerance)
        assert (values > base).mean() == pytest.approx(found.probability, abs=4 * 0.5 / math.sqrt(draws))


def test_exchanging_the_arms_turns_the_interval_round() -> None:
    for one, other in ((arm(20, 100), arm(30, 90)), (GammaPosterior(3, 7), GammaPosterior(5, 6))):
        there, back = uplift(one, other), uplift(other, one)
        assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-12)
        assert there.probability == pytest.approx(1 - back.probability, abs=1e-12)


def test_normal_arms_have_their_closed_forms() -> None:
    found = uplift(NormalPosterior(3, 0.3), NormalPosterior(2, 0.4), mass=0.9)
    z = special.ndtri(0.95)
    assert (found.low, found.high) == pytest.approx((1 - z * 0.5, 1 + z * 0.5), abs=1e-14)
    assert found.probability == pytest.approx(special.ndtr(2), abs=1e-14)


def test_a_reference_that_may_be_zero_has_no_bounded_relative_lift() -> None:
    found = uplift(NormalPosterior(1, 1), NormalPosterior(0.5, 1), relative=True)
    assert (found.low, found.high, found.mean) == (-math.inf, math.inf, 1)
    assert uplift(NormalPosterior(1, 1), NormalPosterior(0, 1), relative=True).mean == math.inf


def test_relative_mean_is_that_of_the_ratio() -> None:
    rng = np.random.default_rng(2)
    treatment, reference = arm(30, 100), arm(20, 100)
    ratios = treatment.draw(rng, 200_000) / reference.draw(rng, 200_000)
    assert uplift(treatment, reference, relative=True).mean == pytest.approx(ratios.mean() - 1, abs=0.01)


def test_mixed_kinds_and_impossible_masses_are_refused() -> None:
    with pytest.raises(ValueError, match="BetaPosterior and NormalPosterior, must both be"):
        uplift(BetaPosterior(), NormalPosterior(0, 1))
    with pytest.raises(ValueError, match="mass is 0"):
        uplift(BetaPosterior(), BetaPosterior(), mass=0)
