"""Bandits of the literature, few runs of `benchmarks.bandits` with fixed seeds; tolerances are 4 combined errors."""

import numpy as np
import pytest

from benchmarks.bandits import MARKS
from benchmarks.bandits import THREE
from benchmarks.bandits import TWO
from benchmarks.bandits import by_weights
from benchmarks.bandits import drifting
from benchmarks.bandits import regret
from benchmarks.bandits import savings


def test_the_article_s_bandit_saves_what_it_published() -> None:
    # G7: 175 days, 97.5 conversions, 482 of 500 right; here 40 campaigns, whose errors are 7 days and 2 conversions.
    saved = savings(40, seed=1)
    assert saved.days == pytest.approx(175.4, abs=4 * saved.days_error)
    assert saved.conversions == pytest.approx(97.5, abs=4 * saved.conversions_error)
    assert saved.right >= 0.964 - 4 * np.sqrt(0.964 * 0.036 / 40)


def test_three_arms_cost_the_regret_of_the_tutorial() -> None:
    # G10 at 4,000 runs: 4.77 ± .05, 9.35 ± .12, 11.02 ± .15.
    lost = regret(THREE, MARKS, runs=1000, rng=np.random.default_rng(1))
    errors = np.hypot(lost.std(axis=0) / np.sqrt(1000), [0.05, 0.12, 0.15])
    assert (np.abs(lost.mean(axis=0) - [4.77, 9.35, 11.02]) < 4 * errors).all()


def test_exact_weights_cost_what_draws_cost() -> None:
    rng = np.random.default_rng(2)
    exact = np.array([by_weights(THREE, 40, rng=rng) for _ in range(60)])
    drawn = regret(THREE, (40,), runs=2000, rng=rng)[:, 0]
    error = np.hypot(exact.std() / np.sqrt(60), drawn.std() / np.sqrt(2000))
    assert exact.mean() == pytest.approx(drawn.mean(), abs=4 * error)


def test_forgetting_wins_where_rates_drift() -> None:
    # G11: .034 against .058, each ± .006.
    rng = np.random.default_rng(3)
    stationary, forgetting = (
        drifting(1000, runs=400, rng=rng, forgets=forgets)[:, 900:].mean() for forgets in (False, True)
    )
    assert forgetting == pytest.approx(0.034, abs=0.006)
    assert stationary == pytest.approx(0.058, abs=0.006)


def test_a_delay_of_a_hundred_decisions_costs_little() -> None:
    # At 10,000 decisions 3 ± 2 % (`python -m benchmarks.bandits`); a third as many make the delay weigh more.
    rng = np.random.default_rng(4)
    prompt, late = (regret(TWO, (3000,), runs=600, rng=rng, delay=delay)[:, 0].mean() for delay in (0, 100))
    assert late < 1.4 * prompt
