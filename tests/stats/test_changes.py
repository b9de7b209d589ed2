"""Whether an uplift changed between two stretches of time."""

import numpy as np
import pytest

from stats.changes import Change
from stats.changes import Pair
from stats.changes import change
from stats.posteriors import BetaPosterior
from stats.posteriors import NormalPosterior


def _pair(rng: np.random.Generator, n: int, treatment: float, reference: float) -> Pair:
    won, kept = rng.binomial(n, treatment), rng.binomial(n, reference)
    return Pair(BetaPosterior().observe(won, n - won), BetaPosterior().observe(kept, n - kept))


def test_normal_means_give_the_exact_interval() -> None:
    before = Pair(NormalPosterior(3, 0.3), NormalPosterior(1, 0.4))
    lately = Pair(NormalPosterior(3, 0.6), NormalPosterior(2, 0.8))
    found = change(before, lately)
    # Standard errors 0.5 and 1, together the square root of 1.25.
    assert found.mean == pytest.approx(-1)
    assert (found.low, found.high) == pytest.approx((-1 - 1.959964 * 1.25**0.5, -1 + 1.959964 * 1.25**0.5))
    assert found.p_value == pytest.approx(0.371093, abs=1e-6)


def test_turned_round_it_is_the_opposite() -> None:
    before = Pair(NormalPosterior(3, 0.3), NormalPosterior(1, 0.4))
    lately = Pair(NormalPosterior(3, 0.6), NormalPosterior(2, 0.8))
    one, other = change(before, lately), change(lately, before)
    assert other == Change(-one.mean, -one.high, -one.low, one.p_value)


def test_an_uplift_that_stays_is_called_changed_as_seldom_as_promised_though_the_base_moves() -> None:
    rng = np.random.default_rng(11)
    found = [change(_pair(rng, 800, 0.10, 0.06), _pair(rng, 500, 0.16, 0.12)) for _ in range(3000)]
    assert abs(np.mean([one.p_value < 0.05 for one in found]) - 0.05) < 0.016
    assert np.mean([one.low <= 0 <= one.high for one in found]) > 0.93


def test_an_uplift_that_is_gone_is_found() -> None:
    rng = np.random.default_rng(12)
    found = change(_pair(rng, 3000, 0.2, 0.1), _pair(rng, 3000, 0.1, 0.1))
    assert found.high < 0 and found.p_value < 0.001
