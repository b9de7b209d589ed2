"""Regression by context: attributes that tell are found and used, others leave the answer as it was."""

from itertools import product

import numpy as np
import pytest

from stats.pooling import Count
from stats.posteriors import NormalPosterior
from stats.regression import Regressed
from stats.regression import regress_means
from stats.regression import regress_rates

CONTEXTS = list(product(range(4), ("x", "y")))


def seen(n: int, effect: float, *, seed: int = 3) -> Regressed:
    """Two arms, of which the second does better the higher the first attribute is."""
    rng = np.random.default_rng(seed)
    rates = np.array([[0.05, 0.05 * np.exp(effect * (values[0] - 1.5))] for values in CONTEXTS])
    won = rng.binomial(n, rates)
    counts = [{arm: Count(row[place], n - row[place]) for place, arm in enumerate("ab")} for row in won]
    return regress_rates(counts, CONTEXTS)


def best(found: Regressed) -> dict[tuple[int, str], float]:
    """The second arm's chance in every context."""
    return {values: row["b"].probability_best for values, row in zip(CONTEXTS, found.pooled.arms, strict=True)}


def test_the_attribute_that_matters_is_found_and_has_the_variance() -> None:
    found = seen(2000, 0.4)
    assert found.scales[0] > 0.1 and found.scales[1] == 0
    assert found.shares[0] > 0.9 and sum(found.shares) == pytest.approx(1)
    chances = best(found)
    assert all(chances[0, text] < 0.02 and chances[3, text] > 0.98 for text in "xy")


def test_attributes_that_tell_nothing_are_left_out() -> None:
    quiet = [seen(2000, 0.0, seed=seed) for seed in range(20)]
    assert np.mean([found.scales == (0.0, 0.0) for found in quiet]) >= 0.8
    spreads = [np.ptp(list(best(found).values())) for found in quiet if found.scales == (0.0, 0.0)]
    assert np.median(spreads) < 0.2


def test_an_empty_context_has_what_its_attributes_suggest() -> None:
    counts = [{"a": Count(100, 1900), "b": Count(60 * (1 + values[0]), 1900)} for values in CONTEXTS]
    counts[CONTEXTS.index((3, "x"))] = {"a": Count(0, 0), "b": Count(0, 0)}
    chances = best(regress_rates(counts, CONTEXTS))
    assert chances[3, "x"] > 0.95 and chances[0, "x"] < 0.05


def test_means_follow_a_change_of_unit() -> None:
    def regressed(unit: float) -> Regressed:
        means = [
            {"a": NormalPosterior(unit, 0.05 * unit), "b": NormalPosterior((0.7 + 0.2 * first) * unit, 0.05 * unit)}
            for first, _ in CONTEXTS
        ]
        return regress_means(means, CONTEXTS, visitors=[100.0] * len(CONTEXTS))

    euros, cents = regressed(1.0), regressed(100.0)
    assert euros.scales == cents.scales and euros.scales[0] > 0
    assert best(euros) == pytest.approx(best(cents))
    assert euros.shares[0] > 0.9


def test_one_context_alone_has_an_answer() -> None:
    found = regress_rates([{"a": Count(10, 90), "b": Count(20, 80)}], [(1, "x")])
    assert found.pooled.arms[0]["b"].probability_best > 0.9
    assert found.shares == (0.0, 0.0, 0.0)
