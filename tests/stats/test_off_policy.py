"""What another policy would have earned: against rows one by one, and against simulated logs whose truth is known."""

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from stats.off_policy import Log
from stats.off_policy import averages
from stats.off_policy import best
from stats.off_policy import doubly_robust
from stats.off_policy import effective_size
from stats.off_policy import misfit
from stats.off_policy import observed
from stats.off_policy import self_normalised

Array = NDArray[np.float64]

SHAPE = (5, 3, 3)
#: Rates by context and arm: no arm is best everywhere.
RATES = np.array([[0.05, 0.08, 0.05], [0.06, 0.03, 0.05], [0.04, 0.04, 0.09]])


class Rows(NamedTuple):
    """A log visitor by visitor."""

    fold: NDArray[np.int64]
    context: NDArray[np.int64]
    arm: NDArray[np.int64]
    propensity: Array
    value: Array


def campaign(seed: int, *, days: int = 10, daily: int = 1000, drift: float = 1.0, least: float = 0.1) -> Rows:
    """A bandit's campaign: each day most visitors of a context get whatever has led in it so far."""
    rng = np.random.default_rng(seed)
    seen, total = np.ones((3, 3)), np.full((3, 3), 0.05)
    parts = []
    for day in range(days):
        weights = np.full((3, 3), least)
        weights[np.arange(3), (total / seen).argmax(axis=1)] = 1 - 2 * least
        context = rng.integers(0, 3, daily)
        arm = (rng.random(daily)[:, None] > weights[context].cumsum(axis=1)).sum(axis=1)
        value = (rng.random(daily) < course(day, days, drift) * RATES[context, arm]).astype(np.float64)
        np.add.at(seen, (context, arm), 1)
        np.add.at(total, (context, arm), value)
        parts.append(Rows(np.full(daily, day % 5), context, arm, weights[context, arm], value))
    return Rows(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def course(day: int, days: int, drift: float) -> float:
    """What all rates are multiplied by on a day."""
    return 1 + (drift - 1) * day / (days - 1)


def log_of(rows: Rows) -> Log:
    """The same as cells."""
    cells, which = np.unique(np.stack(rows[:4], axis=1), axis=0, return_inverse=True)
    sums = [np.bincount(which, values) for values in (np.ones_like(rows.value), rows.value, rows.value**2)]
    return Log(*(cells[:, place].astype(np.int64) for place in range(3)), cells[:, 3], *sums)


def fixed(*shares: list[float]) -> Array:
    """A policy that is the same in all folds."""
    return np.broadcast_to(np.array(shares), SHAPE).copy()


TAILORED = fixed([0, 1, 0], [1, 0, 0], [0, 0, 1])
EVEN = fixed([1 / 3] * 3, [1 / 3] * 3, [1 / 3] * 3)
MASS = fixed([1, 0, 0], [1, 0, 0], [1, 0, 0])
POLICIES = {"tailored": TAILORED, "even": EVEN, "mass": MASS, "tailored over mass": TAILORED - MASS}


def truth(rows: Rows, policy: Array, *, drift: float = 1.0) -> float:
    """What the log's visitors would have earned on average; daily numbers are equal."""
    expected = (policy.mean(axis=0) * RATES).sum(axis=1)
    return float(np.bincount(rows.context, minlength=3) @ expected / len(rows.context) * (1 + drift) / 2)


@pytest.mark.parametrize("name", POLICIES)
def test_cells_say_what_rows_say_one_by_one(name: str) -> None:
    rows, policy = campaign(1), POLICIES[name]
    log = log_of(rows)
    means = averages(log, shape=SHAPE)
    psi = np.empty(len(rows.value))
    weighted = np.zeros(2)
    for number, (fold, context, arm, propensity, value) in enumerate(zip(*rows, strict=True)):
        others = (rows.fold != fold) & (rows.context == context)
        if number < 3:
            of_arm = others & (rows.arm == arm)
            shares = 1 / rows.propensity[of_arm]
            assert means[fold, context, arm] == pytest.approx((shares * rows.value[of_arm]).sum() / shares.sum())
        weight = policy[fold, context, arm] / propensity
        psi[number] = policy[fold, context] @ means[fold, context] + weight * (value - means[fold, context, arm])
        weighted += weight, weight * value
    away = psi - np.array([psi[rows.context == context].mean() for context in range(3)])[rows.context]
    found = doubly_robust(log, policy, means)
    assert found.mean == pytest.approx(psi.mean(), rel=1e-9)
    assert found.error == pytest.approx(np.sqrt((away**2).sum()) / len(psi), rel=1e-9)
    if name in ("tailored", "even", "mass"):
        assert self_normalised(log, policy).mean == pytest.approx(weighted[1] / weighted[0], rel=1e-9)


@pytest.mark.parametrize("drift", [1.0, 2.0])
def test_intervals_cover_the_truth_of_a_bandits_campaign_and_estimates_are_not_biased(drift: float) -> None:
    misses: dict[str, list[float]] = {name: [] for name in POLICIES}
    for seed in range(400):
        rows = campaign(seed, drift=drift)
        log = log_of(rows)
        means = averages(log, shape=SHAPE)
        for name, policy in POLICIES.items():
            found = doubly_robust(log, policy, means)
            misses[name].append((found.mean - truth(rows, policy, drift=drift)) / found.error)
    for name, by_error in misses.items():
        covered = np.mean(np.abs(by_error) < 1.959963984540054)
        # 95 % within four standard errors of the share, the mean miss within four of its own.
        assert 0.95 - 4 * np.sqrt(0.95 * 0.05 / 400) <= covered <= 0.995, name
        assert abs(np.mean(by_error)) < 4 / np.sqrt(400), name


def test_the_best_of_each_context_is_not_judged_by_the_visitors_that_chose_it() -> None:
    equal, own, found = np.full((3, 3), 0.05), [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        context, arm, fold = (rng.integers(0, most, 1500) for most in (3, 3, 5))
        value = (rng.random(1500) < equal[context, arm]).astype(np.float64)
        log = log_of(Rows(fold, context, arm, np.full(1500, 1 / 3), value))
        means = averages(log, shape=SHAPE)
        found.append(doubly_robust(log, best(means, np.ones((3, 3), np.bool_)), means).mean)
        alike = averages(log._replace(fold=log.fold * 0), shape=(1, 3, 3))
        own.append(doubly_robust(log._replace(fold=log.fold * 0), best(alike, np.ones((3, 3), np.bool_)), alike).mean)
    error = np.std(found) / np.sqrt(300)
    assert abs(np.mean(found) - 0.05) < 4 * error
    assert np.mean(own) > 0.05 + 8 * error


def test_a_policy_that_was_the_log_is_worth_what_was_seen() -> None:
    rng = np.random.default_rng(3)
    context, arm, fold = (rng.integers(0, most, 3000) for most in (3, 3, 5))
    value = rng.gamma(2.0, 10.0, 3000)
    log = log_of(Rows(fold, context, arm, np.full(3000, 1 / 3), value))
    assert self_normalised(log, EVEN).mean == pytest.approx(value.mean())
    assert observed(log).mean == pytest.approx(value.mean())
    assert observed(log).error == pytest.approx(value.std() / np.sqrt(3000))
    assert effective_size(log, EVEN) == pytest.approx(3000)
    assert effective_size(log, MASS) == pytest.approx((arm == 0).sum())
    assert abs(doubly_robust(log, EVEN, averages(log, shape=SHAPE)).mean - value.mean()) < 0.05


def test_averages_of_nobody_come_from_other_contexts_and_a_single_fold_from_itself() -> None:
    log = log_of(
        Rows(*(np.array(column) for column in ([0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 0, 0], [0.5] * 4, [1.0, 2, 3, 4])))
    )
    means = averages(log, shape=(2, 2, 2))
    # Of fold 0: fold 1 has arm 0 in both contexts, and arm 1 nowhere.
    assert means[0].tolist() == [[3, 0], [4, 0]]
    # Of fold 1: fold 0 has arm 0 in context 0 alone, which stands in for context 1; arm 1 the other way round.
    assert means[1].tolist() == [[1, 2], [1, 2]]
    assert averages(log._replace(fold=log.fold * 0), shape=(1, 2, 2))[0].tolist() == [[2, 2], [4, 2]]


def test_propensities_that_are_not_those_of_the_draw_are_found_out() -> None:
    rows = campaign(5)
    assert np.abs(misfit(log_of(rows), contexts=3, arms=3)).max() < 4
    wrong = rows._replace(propensity=np.full(len(rows.value), 1 / 3))
    assert np.abs(misfit(log_of(wrong), contexts=3, arms=3)).max() > 5
