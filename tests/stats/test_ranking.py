"""P(best) and expected loss against published figures, closed forms and other quadrature."""

import math
from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from scipy import integrate
from scipy import special

from stats.posteriors import BetaPosterior
from stats.posteriors import GammaPosterior
from stats.posteriors import NormalPosterior
from stats.posteriors import Posterior
from stats.ranking import expected_loss
from stats.ranking import probability_best
from stats.ranking import ranking
from stats.ranking import value_remaining


def arms(*counts: tuple[float, float], prior: tuple[float, float] = (1, 1)) -> list[BetaPosterior]:
    return [BetaPosterior(*prior).observe(s, n - s) for s, n in counts]


# G1 and G2: arm A, arm B, prior, P(B > A), loss of A, loss of B.
PAIRS = {
    "20 and 30 of 100": ((20, 100), (30, 100), (1, 1), 0.9476031034, 0.09938481291, 0.001345597224),
    "nobody of 100 twice": ((0, 100), (0, 100), (1, 1), 0.5, 0.004877813194, 0.004877813194),
    "Robinson": ((127, 5734), (174, 5851), (1, 1), 0.9948801703, 0.00758881518, 4.820418e-6),
    "ab_data": ((17489, 145274), (17264, 145310), (1, 1), 0.09494417855, 5.355316583e-5, 0.001631771724),
    "no e-mail, men's e-mail": ((122, 21306), (267, 21307), (1, 1), 1 - 5e-13, 0.006804365645, 5.13e-18),
    "no e-mail, women's": ((122, 21306), (189, 21387), (1, 1), 0.999923849, 0.003110605814, 1.489611634e-8),
    "Aaron, Piazza": (
        (3771, 12364),
        (2127, 6911),
        (76.451, 218.639),
        0.6067935878,
        0.003733623427,
        0.001885326509,
    ),
}


@pytest.mark.parametrize("case", PAIRS)
def test_two_arms_have_their_known_probability_and_losses(case: str) -> None:
    first, second, prior, probability, loss_first, loss_second = PAIRS[case]
    shares, losses = ranking(arms(first, second, prior=prior))
    assert shares[1] == pytest.approx(probability, abs=1e-9)
    assert losses == pytest.approx([loss_first, loss_second], abs=1e-11)


def test_tiny_losses_keep_their_digits() -> None:
    losses = expected_loss(arms((122, 21306), (267, 21307)))
    assert losses[1] == pytest.approx(5.13e-18, rel=1e-3)
    # Hillstrom's visits: the reference is by quadrature, to three digits this far down.
    assert expected_loss(arms((2262, 21306), (3894, 21307), (3238, 21387)))[1] == pytest.approx(7.4e-22, rel=0.01)


MANY = {
    # G3: CRAN's bandit; README of bayesian-testing; Hillstrom's visits.
    "CRAN": (
        [(10, 100), (20, 102), (30, 120), (50, 130)],
        (1, 1),
        [1.6118633337e-07, 8.048292560e-04, 0.011428671562, 0.987766337996],
        [0.278766578144, 0.184686638476, 0.132511354743, 2.460790353e-4],
    ),
    "bayesian-testing": (
        [(80, 1500), (80, 1200), (50, 1000)],
        (0.5, 0.5),
        [0.06541869565, 0.89334832816, 0.04123297619],
        [0.013855416191, 4.58851814e-4, 0.017036778467],
    ),
    "Hillstrom": (
        [(2262, 21306), (3894, 21307), (3238, 21387)],
        (1, 1),
        [0, 1, 1.829e-18],
        [0.0765823734, 0, 0.0313536364],
    ),
    "4, 5 and 9 of 100": (
        [(4, 100), (5, 100), (9, 100)],
        (1, 1),
        [0.06377634994, 0.12731500151, 0.80890864855],
        [0.05274403097, 0.04294010940, 0.00372442312],
    ),
}


@pytest.mark.parametrize("case", MANY)
def test_several_arms_have_their_known_probabilities_and_losses(case: str) -> None:
    counts, prior, probabilities, losses = MANY[case]
    found = ranking(arms(*counts, prior=prior))
    assert found.probability_best == pytest.approx(probabilities, abs=1e-10)
    assert found.expected_loss == pytest.approx(losses, abs=1e-10)


def miller(a: BetaPosterior, b: BetaPosterior) -> float:
    """P(B > A) by Miller's sum over whole alpha of B."""
    i = np.arange(int(b.alpha))
    terms = special.betaln(a.alpha + i, a.beta + b.beta) - np.log(b.beta + i)
    return float(np.exp(terms - special.betaln(1 + i, b.beta) - special.betaln(a.alpha, a.beta)).sum())


@pytest.mark.parametrize("alpha", [0.3, 1, 7.7, 400])
@pytest.mark.parametrize("beta", [0.4, 1, 50, 3000])
def test_two_arms_agree_with_millers_closed_form(alpha: float, beta: float) -> None:
    for other in (BetaPosterior(1, 1), BetaPosterior(3, 0.6), BetaPosterior(40, 300)):
        one = BetaPosterior(alpha, beta)
        assert probability_best([one, other])[1] == pytest.approx(miller(one, other), abs=1e-10)


def by_other_quadrature(posteriors: list[BetaPosterior]) -> tuple[list[float], list[float]]:
    """P(best) and loss in the rate itself, with scipy's adaptive quadrature and incomplete Beta function."""

    def others(arm: int, x: float) -> float:
        return math.prod(posterior.cdf(x) for index, posterior in enumerate(posteriors) if index != arm)

    def whole(function: Callable[[float], float]) -> float:
        cuts = np.unique(np.concatenate([[0, 1], *(p.credible_interval(0.999) for p in posteriors)]))
        return sum(integrate.quad(function, *ends, epsabs=1e-13, limit=200)[0] for ends in zip(cuts, cuts[1:]))

    def share(arm: int) -> float:
        return whole(lambda x: float(posteriors[arm].density(np.array(x))) * others(arm, x))

    def loss(arm: int) -> float:
        return whole(lambda x: posteriors[arm].cdf(x) * (1 - others(arm, x)))

    arms_of_it = range(len(posteriors))
    return [share(arm) for arm in arms_of_it], [loss(arm) for arm in arms_of_it]


def test_uneven_arms_agree_with_adaptive_quadrature() -> None:
    rng = np.random.default_rng(11)
    for size in (2, 3, 5):
        posteriors = [BetaPosterior(*10 ** rng.uniform(0.1, 3.5, 2)) for _ in range(size)]
        found = ranking(posteriors)
        shares, losses = by_other_quadrature(posteriors)
        assert found.probability_best == pytest.approx(shares, abs=1e-9)
        assert found.expected_loss == pytest.approx(losses, abs=1e-9)


@pytest.mark.parametrize("counts", [(1e-3, 1e-3), (0.02, 0.3), (0.3, 40), (0.05, 1e5)])
def test_losses_under_priors_of_less_than_one_visitor_are_exact(counts: tuple[float, float]) -> None:
    posteriors = [BetaPosterior(*counts), BetaPosterior(2 * counts[0], counts[1]), BetaPosterior(0.5, 3)]

    def missed(t: float, arm: int) -> float:
        cdfs = [posterior.cdf(special.expit(t)) for posterior in posteriors]
        return float(cdfs[arm] * (1 - math.prod(cdfs[:arm] + cdfs[arm + 1 :])) * special.expit(t) * special.expit(-t))

    for arm, loss in enumerate(expected_loss(posteriors)):
        pieces = [integrate.quad(missed, t, t + 4, args=(arm,), epsabs=1e-13)[0] for t in range(-40, 40, 4)]
        assert loss == pytest.approx(math.fsum(pieces), abs=1e-10)


def test_one_arm_is_best_and_costs_nothing() -> None:
    for posterior in (BetaPosterior(), BetaPosterior(0.01, 300), NormalPosterior(-5, 1), GammaPosterior(0.1, 1)):
        assert ranking([posterior]).probability_best.tolist() == [1.0]
        assert ranking([posterior]).expected_loss.tolist() == [0.0]


@pytest.mark.parametrize(
    "posterior", [BetaPosterior(), BetaPosterior(1, 1e9), NormalPosterior(1, 2), BetaPosterior(9e8, 1)]
)
@pytest.mark.parametrize("n", [2, 3, 7, 1000])
def test_equal_arms_share_exactly_equally(posterior: Posterior, n: int) -> None:
    shares, losses = ranking([posterior] * n)
    assert shares == pytest.approx([1 / n] * n, rel=1e-15)
    assert (shares == shares[0]).all()
    assert (losses == losses[0]).all()
    assert losses[0] > 0


def test_equal_uniform_arms_lose_what_the_largest_of_them_gains() -> None:
    # The largest of n uniform numbers has mean n / (n + 1).
    assert expected_loss([BetaPosterior()] * 1000)[0] == pytest.approx(1000 / 1001 - 0.5, abs=1e-13)


def test_normal_arms_have_their_closed_form() -> None:
    shares, losses = ranking([NormalPosterior(1, 3), NormalPosterior(2.5, 4)])
    z = 1.5 / 5
    assert shares[1] == pytest.approx(special.ndtr(z), abs=1e-13)
    assert losses[1] == pytest.approx(5 * np.exp(-z * z / 2) / np.sqrt(2 * np.pi) - 1.5 * special.ndtr(-z), abs=1e-12)


def test_normal_arms_of_any_scale_keep_their_digits() -> None:
    shares = probability_best([NormalPosterior(1e6, 1e-9), NormalPosterior(1e6, 1e3), NormalPosterior(-1e9, 1)])
    assert shares == pytest.approx([0.5, 0.5, 0], abs=1e-9)


def test_gamma_arms_have_their_closed_form() -> None:
    # G(a, rate r) > G(b, rate q) has the chance I_{q / (r + q)}(b, a), written for Beta.
    one, other = GammaPosterior(4.5, 20), GammaPosterior(11, 37)
    assert probability_best([one, other])[0] == pytest.approx(special.betainc(11, 4.5, 37 / 57), abs=1e-12)
    vague = GammaPosterior(0.01, 1), GammaPosterior(0.02, 1)
    assert probability_best(vague)[0] == pytest.approx(special.betainc(0.02, 0.01, 0.5), abs=1e-11)


@pytest.mark.parametrize("n", [10**6, 10**9])
def test_huge_arms_approach_the_normal_law(n: int) -> None:
    posteriors = arms((0.05 * n, n), (0.05 * n + 0.3 * np.sqrt(n), n))
    z = (posteriors[1].mean - posteriors[0].mean) / np.hypot(posteriors[0].sd, posteriors[1].sd)
    assert probability_best(posteriors)[1] == pytest.approx(special.ndtr(z), abs=3 / n + 2e-10)


def test_huge_arms_are_exact() -> None:
    # Miller's sum with a small whole alpha is exact at any size of the other counts.
    one, other = BetaPosterior(4, 1e9), BetaPosterior(3, 0.8e9)
    assert probability_best([one, other])[1] == pytest.approx(miller(one, other), abs=2e-7)
    # P(B > A) = αB-free form for Beta(1, n): n_A / (n_A + n_B).
    assert probability_best([BetaPosterior(1, 3e9), BetaPosterior(1, 1e9)])[1] == pytest.approx(0.75, abs=1e-10)
    assert probability_best([BetaPosterior(3e9, 1), BetaPosterior(1e9, 1)])[0] == pytest.approx(0.75, abs=1e-10)


def test_a_prior_near_nothing_is_still_exact() -> None:
    # Beta(ε, ε) is 0 or 1 evenly: with a third, uniform arm the ones among two win or tie.
    shares = probability_best([BetaPosterior(1e-6, 1e-6), BetaPosterior(1e-6, 1e-6), BetaPosterior()])
    assert shares == pytest.approx([0.375, 0.375, 0.25], abs=1e-5)


def test_a_thousand_arms_of_every_kind_rank() -> None:
    rng = np.random.default_rng(5)
    posteriors = [BetaPosterior(*10 ** rng.uniform(-1, 9, 2)) for _ in range(995)] + arms((0, 0), (0, 9), (9, 9)) * 2
    shares, losses = ranking(posteriors)
    assert shares.sum() == pytest.approx(1, abs=1e-9)
    assert np.isfinite(losses).all()
    assert (losses >= 0).all()
    assert losses.argmin() == np.argmax([posterior.mean for posterior in posteriors])


counts = st.tuples(st.floats(0, 1e9), st.floats(0, 1e9))
priors = st.floats(0.01, 100)
some_arm = st.builds(lambda seen, alpha, beta: BetaPosterior(alpha, beta).observe(*seen), counts, priors, priors)
some_arms = st.lists(some_arm, min_size=1, max_size=6)


@settings(max_examples=150)
@given(some_arms)
def test_probabilities_sum_to_one_and_no_loss_is_negative(posteriors: list[BetaPosterior]) -> None:
    shares, losses = ranking(posteriors)
    assert shares.sum() == pytest.approx(1, abs=1e-9)
    assert ((shares >= 0) & (shares <= 1 + 1e-12)).all()
    assert (losses >= 0).all()
    # E[max] is one number, whichever arm it is measured from.
    means = np.array([posterior.mean for posterior in posteriors])
    assert losses + means == pytest.approx(np.full(len(means), (losses + means)[0]), abs=1e-9)


@settings(max_examples=50)
@given(some_arms, st.randoms(use_true_random=False))
def test_the_order_of_the_arms_does_not_matter(posteriors: list[BetaPosterior], random: Random) -> None:
    order = random.sample(range(len(posteriors)), len(posteriors))
    straight, mixed = ranking(posteriors), ranking([posteriors[index] for index in order])
    assert mixed.probability_best.tolist() == straight.probability_best[order].tolist()
    assert mixed.expected_loss.tolist() == straight.expected_loss[order].tolist()


def test_no_arm_and_mixed_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="kinds none, must all be of one kind"):
        probability_best([])
    with pytest.raises(ValueError, match="BetaPosterior, NormalPosterior"):
        probability_best([BetaPosterior(), NormalPosterior(0, 1)])


@pytest.mark.parametrize(
    ("counts", "quantile", "tolerance"),
    [
        ([(10, 100), (20, 102), (30, 120), (80, 240)], 0.01259, 0.003),
        ([(40, 1000), (50, 1000)], 0.12420, 0.003),
    ],
)
def test_value_remaining_agrees_with_the_published_figures(
    counts: list[tuple[float, float]], quantile: float, tolerance: float
) -> None:
    # G4: CRAN's bandit, and 8 million draws.
    found = value_remaining(arms(*counts), np.random.default_rng(1), draws=50_000)
    assert found.quantile == pytest.approx(quantile, abs=tolerance)
    assert 0 < found.standard_error < tolerance
    assert found.draws == 50_000


def test_nothing_remains_with_a_single_arm_and_draws_are_needed() -> None:
    assert value_remaining([BetaPosterior()], np.random.default_rng(1), draws=10).quantile == 0
    with pytest.raises(ValueError, match="draws is 0, must be at least 1"):
        value_remaining([BetaPosterior()], np.random.default_rng(1), draws=0)
