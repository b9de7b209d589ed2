"""Bandits of the literature, under the service's own posteriors, rankings and weights.

    python -m benchmarks.bandits --runs 500

* Scott's article: 4 % against 5 %, 100 visits a day, weights once a day, until the better arm is known.
* Three arms (.7, .8, .9), one decision at a time.
* Three arms that drift, with and without forgetting.
* Two arms (.2, .25) whose outcomes come 100 decisions late.

Where one decision follows another, the arm is drawn from `thompson`'s exact weights in `by_weights`, and in `regret` as
the best of one draw of each posterior for many runs at once, which is the same in distribution.
"""

import argparse
import time
from collections import deque
from collections.abc import Iterator
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stats.posteriors import BetaPosterior
from stats.ranking import value_remaining
from stats.sample_size import two_proportions
from stats.weights import thompson

Array = NDArray[np.float64]
Index = NDArray[np.intp]

VISITS_A_DAY = 100
FEWEST_DAYS = 14
LONGEST_DAYS = 10_000
SURE = 0.95
SMALL = 0.01
DRAWS = 2_000

THREE = (0.7, 0.8, 0.9)
TWO = (0.2, 0.25)
MARKS = (100, 500, 1000)


class Stopped(NamedTuple):
    """How one campaign of the article ended: days, conversions lost to the worse arm, whether the better one won."""

    days: int
    lost: float
    right: bool


class Savings(NamedTuple):
    """Means over campaigns and their errors, against an even split for as long as a test at 95 % power takes."""

    days: float
    days_error: float
    conversions: float
    conversions_error: float
    right: float


def article(*, rng: np.random.Generator, rates: tuple[float, float] = (0.04, 0.05)) -> Stopped:
    """One campaign: daily weights are the chances to be best; stop at 95 %, or when 1 % at most is left to win."""
    posteriors = [BetaPosterior(), BetaPosterior()]
    best = thompson(posteriors)
    lost = 0.0
    for day in range(1, LONGEST_DAYS + 1):
        n = rng.multinomial(VISITS_A_DAY, best)
        won = rng.binomial(n, rates)
        lost += float(n @ (max(rates) - np.array(rates)))
        posteriors = [
            posterior.observe(float(w), float(m - w)) for posterior, w, m in zip(posteriors, won, n, strict=True)
        ]
        best = thompson(posteriors)
        if day >= FEWEST_DAYS and _is_over(posteriors, best, rng):
            break
    return Stopped(day, lost, bool(np.argmax(best) == np.argmax(rates)))


def savings(runs: int, *, seed: int, rates: tuple[float, float] = (0.04, 0.05)) -> Savings:
    """What the bandit saves against the classical test, over seeded campaigns."""
    rng = np.random.default_rng(seed)
    ended = [article(rng=rng, rates=rates) for _ in range(runs)]
    classical = round(2 * two_proportions(*rates, power=0.95) / VISITS_A_DAY)
    days = np.array([classical - one.days for one in ended])
    kept = np.array([classical * VISITS_A_DAY / 2 * (max(rates) - min(rates)) - one.lost for one in ended])
    right = sum(one.right for one in ended) / runs
    return Savings(float(days.mean()), _error(days), float(kept.mean()), _error(kept), right)


def regret(
    rates: Sequence[float], marks: Sequence[int], *, runs: int, rng: np.random.Generator, delay: int = 0
) -> Array:
    """Cumulated expected regret by run and mark (decisions made); what one brings is known `delay` decisions later."""
    truth = np.array(rates)
    counts = np.ones((2, runs, len(truth)))
    every = np.arange(runs)
    late: deque[tuple[Index, NDArray[np.bool_]]] = deque()
    lost = np.zeros(runs)
    at_marks = []
    for step in range(1, max(marks) + 1):
        arm = rng.beta(counts[0], counts[1]).argmax(axis=1)
        lost += truth.max() - truth[arm]
        late.append((arm, rng.random(runs) < truth[arm]))
        if len(late) > delay:
            known, won = late.popleft()
            counts[0, every, known] += won
            counts[1, every, known] += ~won
        if step in marks:
            at_marks.append(lost.copy())
    return np.stack(at_marks, axis=1)


def by_weights(rates: Sequence[float], steps: int, *, rng: np.random.Generator) -> float:
    """Expected regret of one run in which each arm is drawn from the exact weights."""
    truth = np.array(rates)
    posteriors = [BetaPosterior() for _ in rates]
    lost = 0.0
    for _ in range(steps):
        arm = int(rng.choice(len(truth), p=thompson(posteriors)))
        lost += truth.max() - truth[arm]
        won = float(rng.random() < truth[arm])
        posteriors[arm] = posteriors[arm].observe(won, 1 - won)
    return lost


def drifting(steps: int, *, runs: int, rng: np.random.Generator, forgets: bool, gamma: float = 0.01) -> Array:
    """Expected regret by run and step where rates follow what a discounting Beta posterior would believe of them.

    After each decision the counts of all arms shrink towards Beta(1, 1) by gamma, the chosen arm's outcome is added,
    and every arm's rate is drawn anew from its counts (Russo et al. 2018, "A tutorial on Thompson sampling", section
    6.3, https://arxiv.org/abs/1707.02038). A policy that `forgets` believes just that; the other one adds up.
    """
    every = np.arange(runs)
    truth, believed = np.ones((2, runs, 3)), np.ones((2, runs, 3))
    lost = np.empty((steps, runs))
    for step in range(steps):
        rates = rng.beta(truth[0], truth[1])
        arm = rng.beta(believed[0], believed[1]).argmax(axis=1)
        lost[step] = rates.max(axis=1) - rates[every, arm]
        won = rng.random(runs) < rates[every, arm]
        truth += gamma * (1 - truth)
        if forgets:
            believed += gamma * (1 - believed)
        for counts in (truth, believed):
            counts[0, every, arm] += won
            counts[1, every, arm] += ~won
    return lost.T


def _is_over(posteriors: list[BetaPosterior], best: Array, rng: np.random.Generator) -> bool:
    return best.max() >= SURE or value_remaining(posteriors, rng, draws=DRAWS).quantile <= SMALL


def _error(values: Array) -> float:
    """The Monte Carlo error of a mean."""
    return float(values.std(ddof=1)) / float(np.sqrt(len(values)))


def _mean(values: Array, *, digits: int = 2) -> str:
    return f"{values.mean():.{digits}f} ± {_error(values):.{digits}f}"


def lines(*, runs: int, seed: int) -> Iterator[str]:
    """The table, line by line; 500 runs of the article ask for eight times as many of the quick ones."""
    rng = np.random.default_rng(seed)
    many = 8 * runs
    saved = savings(runs, seed=seed)
    yield f"Scott's article: days saved           {saved.days:.1f} ± {saved.days_error:.1f}"
    yield f"    conversions saved                 {saved.conversions:.1f} ± {saved.conversions_error:.1f}"
    yield f"    right                             {100 * saved.right:.1f} %"
    lost = regret(THREE, MARKS, runs=many, rng=rng)
    for mark, column in zip(MARKS, lost.T, strict=True):
        yield f".7 .8 .9: regret after {mark:>4}            {_mean(column)}"
    exact = np.array([by_weights(THREE, MARKS[0], rng=rng) for _ in range(runs)])
    yield f"    by exact weights after {MARKS[0]:>4}        {_mean(exact)}"
    for forgets in (False, True):
        late = drifting(1000, runs=many, rng=rng, forgets=forgets)[:, 900:].mean(axis=1)
        yield f"drift: regret at 901 to 1000, {'forgetting' if forgets else 'adding up':<12}{_mean(late, digits=4)}"
    for delay in (0, 100):
        lost = regret(TWO, (10_000,), runs=many, rng=rng, delay=delay)
        yield f".2 .25, {delay:>3} late: regret after 1e4      {_mean(lost)}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    for line in lines(runs=options.runs, seed=options.seed):
        print(f"{line:<70}{time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
