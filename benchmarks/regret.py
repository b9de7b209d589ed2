"""What partial pooling costs or wins: expected conversions of four policies over common seeds.

    python -m benchmarks.regret --seeds 200 --visitors 64000

Every policy has the same batches, floor, burn-in, step limit and estimates as the service's default policy. A segment's
weights come from all segments (pooled), from itself (alone), from all visitors as one segment (together), or never
change (even). Outcomes are drawn per cell; what counts is the expectation, Σ visitors·rate.
"""

import argparse
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stats.pooling import Count
from stats.pooling import pool_rates
from stats.posteriors import BetaPosterior
from stats.ranking import probability_best
from stats.weights import limit_step

Array = NDArray[np.float64]

BATCH = 500
FLOOR = 0.05
BURN_IN = 100
BURN_IN_CONVERSIONS = 10
MAX_STEP = 0.25
PUBLISH_STEP = 0.005
_TINY = 1e-300
MARKS = (8_000, 16_000, 64_000)


class World(NamedTuple):
    """Shares of the visitors by segment, and rates by segment and arm."""

    name: str
    shares: Array
    rates: Array


class Effective(NamedTuple):
    """Effective successes and visitors by segment and arm."""

    successes: Array
    visitors: Array


def worlds() -> list[World]:
    """Those of the table: a common effect, opposite effects, and the strata of Hillstrom's experiment."""
    even = np.full(8, 1 / 8)
    gains = np.array([0.4] * 4 + [-0.3] * 4)
    # Past buyers of men's, of women's, of both; no e-mail, men's, women's: customers, visits, purchases.
    strata = np.array([
        [[9638, 962, 53], [9558, 1615, 110], [9622, 1067, 59]],
        [[9519, 912, 49], [9568, 1592, 104], [9647, 1638, 99]],
        [[2149, 388, 20], [2181, 687, 53], [2118, 533, 31]],
    ], dtype=np.float64)
    sizes = strata[..., 0].sum(axis=1) / strata[..., 0].sum()
    return [
        World("common +20 %", even, np.full((8, 2), 0.05) * [1, 1.2]),
        World("+40 % / -30 %", even, 0.05 * np.stack([np.ones(8), 1 + gains], axis=1)),
        World("Hillstrom, visit", sizes, strata[..., 1] / strata[..., 0]),
        World("Hillstrom, purchase", sizes, strata[..., 2] / strata[..., 0]),
    ]


def pooled(seen: Effective) -> Array:
    """P(best) with segments partially pooled."""
    found = pool_rates([
        {str(arm): Count(won, n - won) for arm, (won, n) in enumerate(zip(*row, strict=True))}
        for row in zip(seen.successes.tolist(), seen.visitors.tolist(), strict=True)
    ])
    return np.array([[arm.probability_best for arm in row.values()] for row in found.arms])


def alone(seen: Effective) -> Array:
    """P(best) of each segment by itself."""
    return np.array([_best(*row) for row in zip(seen.successes, seen.visitors, strict=True)])


def together(seen: Effective) -> Array:
    """P(best) as if there were no segments."""
    best = _best(seen.successes.sum(axis=0), seen.visitors.sum(axis=0))
    return np.broadcast_to(best, seen.successes.shape)


def even(seen: Effective) -> Array:
    """Every arm alike."""
    return np.full(seen.successes.shape, 1 / seen.successes.shape[1])


POLICIES: dict[str, Callable[[Effective], Array]] = {
    "pooled": pooled, "alone": alone, "together": together, "even": even
}


def _best(successes: Array, visitors: Array) -> Array:
    return probability_best([BetaPosterior(1 + won, 1 + n - won) for won, n in zip(successes, visitors, strict=True)])


class Estimates:
    """Doubly robust estimates over strata, as `stats.adaptive.estimate` has them, one batch at a time."""

    def __init__(self, weights: Array) -> None:
        self.weights = weights
        self.n, self.total = np.zeros_like(weights), np.zeros_like(weights)
        self._sums = np.zeros((7, *weights.shape))
        self._now = np.zeros((2, *weights.shape))

    def add(self, n: Array, total: Array) -> None:
        """Count a batch under the present weights."""
        self._now += [n, total]

    def publish(self, weights: Array) -> None:
        """Begin strata where weights change."""
        changed = (weights != self.weights).any(axis=1)
        self._sums[:, changed] += self._stratum()[:, changed]
        self.n[changed] += self._now[0, changed]
        self.total[changed] += self._now[1, changed]
        self._now[:, changed] = 0
        self.weights = weights

    def effective(self) -> Effective:
        """What is known now."""
        weighted, visitors, spread, *leaned = self._sums + self._stratum()
        rates = weighted / np.maximum(visitors, _TINY)
        squares = [total * (1 - 2 * rates) + n * rates**2 for n, total in (leaned[:2], leaned[2:])]
        unevenness = squares[1] * visitors / np.maximum(squares[0] * spread, _TINY)
        size = visitors**2 / np.maximum(spread, _TINY) / np.maximum(unevenness, 1)
        return Effective(np.clip(rates, 0, 1) * size, size)

    def visitors(self) -> Array:
        """Visitors by segment and arm."""
        return np.asarray(self.n + self._now[0])

    def conversions(self) -> Array:
        """Conversions by segment."""
        return np.asarray((self.total + self._now[1]).sum(axis=1))

    def _stratum(self) -> Array:
        n, total = self._now
        visitors = np.broadcast_to(n.sum(axis=1, keepdims=True), n.shape)
        mean = np.where(self.n > 0, self.total, total) / np.maximum(np.where(self.n > 0, self.n, n), 1)
        expected = np.where(self.n > 0, visitors * self.weights, n)
        used = (self.n + n > 0) & (visitors > 0)
        value = mean + (total - n * mean) / np.maximum(np.where(self.n > 0, expected, 1), _TINY)
        leverage = visitors / np.where(used & (expected > 0), expected, 1.0)
        value = np.where(used, value, 0.0)
        sums = [value * visitors, visitors, visitors * leverage]
        sums += [leverage * n, leverage * total, leverage**2 * n, leverage**2 * total]
        return np.where(used, sums, 0.0)


def campaign(world: World, policy: Callable[[Effective], Array], *, seed: int, visitors: int) -> Iterator[float]:
    """Expected conversions of each batch."""
    rng = np.random.default_rng(seed)
    arms = world.rates.shape[1]
    estimates = Estimates(np.full(world.rates.shape, 1 / arms))
    for _ in range(visitors // BATCH):
        arrived = rng.multinomial(BATCH, world.shares)
        n = np.array([rng.multinomial(size, row) for size, row in zip(arrived, estimates.weights, strict=True)])
        estimates.add(n, rng.binomial(n, world.rates).astype(np.float64))
        yield float((n * world.rates).sum())
        _reallocate(estimates, policy)


def _reallocate(estimates: Estimates, policy: Callable[[Effective], Array]) -> None:
    learned = estimates.visitors().min(axis=1) >= BURN_IN
    learned &= estimates.conversions() >= BURN_IN_CONVERSIONS
    if not learned.any():
        return
    arms = estimates.weights.shape[1]
    target = FLOOR + (1 - arms * FLOOR) * policy(estimates.effective())
    old = estimates.weights
    new = old.copy()
    for segment in np.flatnonzero(learned):
        new[segment] = limit_step(old[segment], target[segment], max_step=MAX_STEP)
    if np.abs(new - old).max() >= PUBLISH_STEP:
        estimates.publish(new)


def run(world: World, *, seeds: int, visitors: int) -> dict[str, Array]:
    """Cumulated expected conversions of every policy; shape (seeds, batches)."""
    return {
        name: np.array([
            np.cumsum(list(campaign(world, policy, seed=seed, visitors=visitors))) for seed in range(seeds)
        ])
        for name, policy in POLICIES.items()
    }


def lines(world: World, found: dict[str, Array], *, visitors: int) -> Iterator[str]:
    """One line for each mark: mean conversions, and pooled against the better of the other two."""
    for mark in (mark for mark in MARKS if mark <= visitors):
        at = {name: conversions[:, mark // BATCH - 1] for name, conversions in found.items()}
        best = max(("alone", "together"), key=lambda name: float(at[name].mean()))
        ratio = at["pooled"].mean() / at[best].mean() - 1
        error = (at["pooled"] - at[best]).std(ddof=1) / np.sqrt(len(at[best])) / at[best].mean()
        means = "".join(f"{at[name].mean():>11.1f}" for name in POLICIES)
        yield f"{world.name:<20}{mark:>8}{means}   {100 * ratio:+.2f} ± {100 * error:.2f} % of {best}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--visitors", type=int, default=64_000)
    parser.add_argument("--world", help="only worlds whose name holds this")
    options = parser.parse_args(arguments)
    print(f"{'world':<20}{'visitors':>8}{''.join(f'{name:>11}' for name in POLICIES)}   pooled against the better")
    for world in worlds():
        if options.world is None or options.world in world.name:
            began = time.perf_counter()
            found = run(world, seeds=options.seeds, visitors=options.visitors)
            for line in lines(world, found, visitors=options.visitors):
                print(line)
            print(f"{'':<20}{options.seeds} seeds, {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
