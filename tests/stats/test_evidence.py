"""Evidence against direct integration, its behaviour under the hypotheses, and closed testing against all subsets."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from stats.adaptive import Estimate
from stats.evidence import closed_calls
from stats.evidence import difference_process
from stats.evidence import evidence_for_gain
from stats.evidence import evidence_for_higher_mean
from stats.evidence import evidence_for_loss
from stats.evidence import evidence_for_no_gain

Counts = list[float]
Evidence = Callable[[Counts, Counts, Counts], float]


def directly(tailored: Counts, mass: Counts, shares: Counts, scale: float = 0.25) -> float:
    """The mixture written down as it stands."""
    t, m, e = np.array(tailored), np.array(mass), np.array(shares)

    def integrand(u: float) -> float:
        ratio = np.exp(np.sum(t * u - (t + m) * np.log(e * np.exp(u) + 1 - e)))
        return float(ratio * math.sqrt(2 / math.pi) / scale * np.exp(-u * u / (2 * scale**2)))

    value, _ = integrate.quad(integrand, 0, 12 * scale, epsabs=0, epsrel=1e-12, limit=400)
    return math.log(value)


CASES: list[tuple[Counts, Counts, Counts]] = [
    ([10], [10], [0.5]),
    ([0], [50], [0.5]),
    ([3], [0], [0.05]),
    ([30, 5, 0], [20, 9, 2], [0.5, 0.8, 0.95]),
    ([120, 80, 300], [100, 80, 200], [0.5, 0.6, 0.55]),
    ([200], [10], [0.5]),
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("scale", [0.25, 1.0])
def test_evidence_is_the_mixture_of_likelihood_ratios(case: tuple[Counts, Counts, Counts], scale: float) -> None:
    assert evidence_for_gain(*case, scale=scale) == pytest.approx(directly(*case, scale=scale), abs=1e-10)


def test_loss_is_gain_of_the_other_arm() -> None:
    assert evidence_for_loss([30, 5], [20, 9], [0.5, 0.8]) == evidence_for_gain([20, 9], [30, 5], [0.5, 1 - 0.8])


def test_nothing_said_is_no_evidence() -> None:
    assert evidence_for_gain([], [], []) == 0
    assert evidence_for_gain([0, 0], [0, 0], [0.5, 0.2]) == pytest.approx(0, abs=1e-12)
    # No choice, no comparison: shares of 0 and 1 say nothing.
    assert evidence_for_gain([7, 0, 4], [0, 9, 2], [1, 0, 0.5]) == evidence_for_gain([4], [2], [0.5])


def test_many_contests_are_as_each_alone() -> None:
    rng = np.random.default_rng(5)
    tailored, mass = rng.poisson([[40.0], [0.1], [1e6], [0.0]], (2, 300, 4, 3))
    shares = rng.choice([0.0, 0.05, 0.5, 0.93, 1.0], (300, 4, 3))
    together = evidence_for_gain(tailored, mass, shares)
    alone = [evidence_for_gain(*one) for one in zip(*(x.reshape(-1, 3) for x in (tailored, mass, shares)), strict=True)]
    np.testing.assert_allclose(together.ravel(), alone, rtol=1e-12, atol=1e-11)
    assert together.shape == (300, 4)
    assert (together[:, 3] == 0).all()


def test_shares_may_be_one_for_all_strata() -> None:
    assert evidence_for_gain([4, 5], [2, 3], 0.5) == pytest.approx(evidence_for_gain([9], [5], [0.5]), abs=1e-12)


def test_huge_counts_have_the_digits_of_their_leading_terms() -> None:
    # All of a billion conversions on one of two even arms: r^c / ((r + 1) / 2)^c at the best r, which the prior limits.
    assert evidence_for_gain([1e9], [0], [0.5]) == pytest.approx(1e9 * math.log(2), rel=0.01)
    # Even arms: half a log of information is lost, log(√(2 / π) / .25 · √(2π / n·4) / 2) = log(2·2 / √n) at n = 10^9.
    assert evidence_for_gain([5e8], [5e8], [0.5]) == pytest.approx(math.log(8 / math.sqrt(1e9)), abs=1e-6)
    assert evidence_for_gain([0], [1e9], [0.5]) == pytest.approx(math.log(math.sqrt(2 / math.pi) * 4 / 5e8), abs=1e-6)


def test_arms_that_are_equal_come_to_an_end() -> None:
    assert evidence_for_no_gain([5e3], [5e3], [0.5], margin=0.1) > math.log(20)
    assert evidence_for_no_gain([55], [50], [0.5], margin=0.1) < 1
    assert evidence_for_no_gain([6e3], [5e3], [0.5], margin=0.1) < 0
    # At a margin of 0 it is the evidence for a loss.
    assert evidence_for_no_gain([40], [60], [0.5], margin=0) == evidence_for_loss([40], [60], [0.5])


@pytest.mark.parametrize(
    ("function", "ratio"),
    [
        (evidence_for_gain, 1.0),
        (evidence_for_gain, 0.8),
        (evidence_for_loss, 1.0),
        (lambda t, m, e: evidence_for_no_gain(t, m, e, margin=0.1), 1.1),
    ],
)
def test_looking_after_every_batch_calls_wrongly_at_most_once_in_twenty(function: Evidence, ratio: float) -> None:
    rng = np.random.default_rng(31)
    campaigns, batches, wrong = 250, 40, 0
    for _ in range(campaigns):
        share, highest = 0.5, -math.inf
        tailored, mass, shares = Counts(), Counts(), Counts()
        for batch in range(batches):
            conversions = rng.poisson(20 * (1 + batch / batches))
            tailored.append(rng.binomial(conversions, share * ratio / (share * ratio + 1 - share)))
            mass.append(conversions - tailored[-1])
            shares.append(share)
            # Traffic follows whoever leads, as a bandit's does.
            share = 0.9 if sum(tailored) > sum(mass) else 0.1
            highest = max(highest, function(tailored, mass, shares))
        wrong += highest >= math.log(20)
    assert wrong / campaigns <= 0.05


def test_a_true_gain_is_found() -> None:
    assert evidence_for_gain([780], [600], [0.5]) > math.log(20)


@pytest.mark.parametrize(
    "arguments", [([-1], [1], [0.5]), ([1], [math.nan], [0.5]), ([1], [1], [1.5]), ([1], [1], [math.nan])]
)
def test_impossible_counts_and_shares_are_refused(arguments: tuple[Counts, Counts, Counts]) -> None:
    with pytest.raises(ValueError, match="must"):
        evidence_for_gain(*arguments)


def test_impossible_margins_are_refused() -> None:
    with pytest.raises(ValueError, match="margin is -1, must be finite and above -1"):
        evidence_for_no_gain([1], [1], [0.5], margin=-1)


def test_difference_process_is_the_one_sided_mixture() -> None:
    # ∫ 2 φ(λ / ρ) / ρ · e^{λS - λ²V / 2} over λ > 0, with S = n·d, V = n²·variance, ρ² in units of V / n.
    difference, variance, n = 0.02, 1e-4, 3000.0
    total, information = n * difference, n * n * variance
    rho = math.sqrt((-2 * math.log(0.05) + math.log(1 - 2 * math.log(0.05))) / 5000 / (information / n))

    def integrand(x: float) -> float:
        return math.sqrt(2 / math.pi) / rho * math.exp(x * total - x * x * information / 2 - x * x / (2 * rho**2))

    mixture, _ = integrate.quad(integrand, 0, 12 * rho, epsrel=1e-12, limit=300)
    assert difference_process(difference, variance, n) == pytest.approx(math.log(mixture), abs=1e-9)
    unit = information / n
    assert difference_process(difference, variance, n, unit_variance=unit) == pytest.approx(math.log(mixture), abs=1e-9)


def test_difference_process_has_its_conventions() -> None:
    assert difference_process(0.1, 0, 100) == 0
    assert difference_process(0.1, 1, 0) == 0
    assert difference_process(-50, 1, 100) < -3
    assert math.isfinite(difference_process(1e6, 1e-6, 1e9))
    with pytest.raises(ValueError, match="variance is -1"):
        difference_process(0.1, -1, 100)


def test_higher_means_are_called_with_the_variance_of_both_arms() -> None:
    above, below = Estimate(2.2, 5000, 100, 5000), Estimate(1.0, 4000, 60, 4000)
    known = difference_process(1.2, 80 * (1 / 5000 + 1 / 4000), 9000)
    assert evidence_for_higher_mean(above, below, 9000) == pytest.approx(known)
    assert evidence_for_higher_mean(above, below, 9000, margin=1.2) < 0
    assert evidence_for_higher_mean(below, above, 9000, margin=-3) > math.log(20)
    assert evidence_for_higher_mean(above, Estimate(0, 0, 0, 0), 9000) == 0
    assert evidence_for_higher_mean(Estimate(0, 10, 0, 10), Estimate(0, 10, 0, 10), 20) == 0


def by_all_subsets(logs: Counts, alpha: float) -> list[bool]:
    evidences = [math.exp(x) for x in logs]
    arms = range(len(logs))
    return [
        all(
            np.mean([evidences[arm] for arm in subset]) * alpha >= 1
            for size in range(1, len(logs) + 1)
            for subset in itertools.combinations(arms, size)
            if own in subset
        )
        for own in arms
    ]


@given(st.lists(st.floats(-20, 12), max_size=7), st.sampled_from([0.05, 0.2]))
def test_closed_calls_agree_with_all_subsets(logs: Counts, alpha: float) -> None:
    assert closed_calls(logs, alpha=alpha).tolist() == by_all_subsets(logs, alpha)


def test_closed_calls_have_their_plain_cases() -> None:
    assert closed_calls([]).tolist() == []
    assert closed_calls([math.log(20) + 1e-12, 0.0]).tolist() == [False, False]
    assert closed_calls([math.log(40), 0.0]).tolist() == [True, False]
    assert closed_calls([9e8, -math.inf, math.inf]).tolist() == [True, False, True]
    assert closed_calls([50.0] * 1000).all()
    with pytest.raises(ValueError, match="must be a list of numbers"):
        closed_calls([math.nan])
