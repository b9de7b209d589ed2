"""Limits: called when they are broken, and hardly ever when they are not, at any moment."""

import math

import numpy as np
import pytest
from scipy import integrate

from stats.limits import mean_above
from stats.limits import rate_above
from stats.limits import rate_below


@pytest.mark.parametrize(
    ("successes", "visitors", "limit"), [(0, 0, 0.02), (5, 100, 0.02), (30, 400, 0.05), (1, 3, 0.4)]
)
def test_the_evidence_is_the_mixture_of_likelihood_ratios(successes: int, visitors: int, limit: float) -> None:
    def weight(rate: float) -> float:
        return float((1 - rate) ** (1 / limit - 2))

    def ratio(rate: float) -> float:
        return float((rate / limit) ** successes * ((1 - rate) / (1 - limit)) ** (visitors - successes))

    mixed = integrate.quad(lambda rate: weight(rate) * ratio(rate), limit, 1, epsabs=0, epsrel=1e-10)[0]
    whole = integrate.quad(weight, limit, 1, epsabs=0, epsrel=1e-10)[0]
    assert rate_above(successes, visitors, limit=limit) == pytest.approx(math.log(mixed / whole), abs=1e-7)


def test_nobody_says_nothing() -> None:
    assert rate_above(0, 0, limit=0.02) == pytest.approx(0, abs=1e-12)
    assert mean_above(0.0, 0.0, 0, limit=1.0) == 0.0


def test_a_broken_limit_is_called_and_a_kept_one_is_not() -> None:
    assert rate_above(60, 2000, limit=0.02) > math.log(20) > rate_above(41, 2000, limit=0.02)
    assert rate_below(10, 2000, limit=0.02) > math.log(20) > rate_below(39, 2000, limit=0.02)
    assert mean_above(3.5, 4.0, 2000, limit=3.0) > math.log(20) > mean_above(3.0, 4.0, 2000, limit=3.0)


def test_counts_of_a_billion_are_told_apart() -> None:
    assert rate_above(20_050_000, 10**9, limit=0.02) > math.log(20)
    assert rate_above(19_990_000, 10**9, limit=0.02) < 0
    assert math.isfinite(rate_above(0, 10**9, limit=0.02))


def test_looking_after_every_batch_calls_a_kept_limit_at_most_once_in_twenty() -> None:
    rng = np.random.default_rng(7)
    visitors = np.arange(1, 101) * 100
    successes = rng.binomial(100, 0.02, size=(2000, 100)).cumsum(axis=1)
    called = sum(
        any(rate_above(int(s), int(n), limit=0.02) >= math.log(20) for s, n in zip(run, visitors, strict=True))
        for run in successes[:400]
    )
    # The bound is 5 %: 20 of 400, and four standard errors of what it could be at most.
    assert called <= 20 + 4 * math.sqrt(400 * 0.05 * 0.95)


@pytest.mark.parametrize("limit", [0.0005, 0.02, 0.3, 0.9])
def test_a_rate_far_within_its_limit_is_never_called_beyond_it_however_many_visitors_there_are(limit: float) -> None:
    visitors = [10.0**power for power in range(2, 10)]
    found = [rate_above(rate * limit * n, n, limit=limit) for rate in (0.0, 0.5) for n in visitors]
    assert max(found) < 0
    nobody = [rate_above(0.0, n, limit=limit) for n in visitors]
    assert nobody == sorted(nobody, reverse=True)
