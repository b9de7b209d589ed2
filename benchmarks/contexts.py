"""What weights by context cost where attributes tell nothing, and win where they do.

    python -m benchmarks.contexts --seeds 20 --visitors 64000

The worlds of `benchmarks.regret`, with three attributes of 4, 3 and 2 values in every segment, all combinations alike.
In the first worlds they change nothing; in the last one the second arm is 40 % better for half of the values of the
first attribute and 30 % worse for the others, in every segment. Both policies have the same batches, floor, burn-in,
step limit and estimates; what counts is the expectation, Σ visitors·rate.
"""

import argparse
import time
from collections.abc import Iterator
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from benchmarks import regret
from benchmarks.regret import BATCH
from benchmarks.regret import BURN_IN
from benchmarks.regret import BURN_IN_CONVERSIONS
from benchmarks.regret import FLOOR
from benchmarks.regret import MAX_STEP
from benchmarks.regret import PUBLISH_STEP
from benchmarks.regret import Effective
from benchmarks.regret import Estimates
from benchmarks.regret import World
from stats.pooling import Count
from stats.regression import regress_rates
from stats.weights import limit_step

Array = NDArray[np.float64]

CONTEXTS = [*product(range(4), range(3), range(2))]


def worlds() -> list[tuple[World, Array]]:
    """Each world, and by context what its second arm's rates are multiplied by."""
    alike = np.ones(len(CONTEXTS))
    matters = np.array([1.4 if values[0] < 2 else 0.7 for values in CONTEXTS])
    even = World("by the first", np.full(8, 1 / 8), np.full((8, 2), 0.05))
    return [*((world, alike) for world in regret.worlds()), (even, matters)]


def by_context(world: World, factors: Array, *, seed: int, visitors: int) -> Iterator[float]:
    """Expected conversions of each batch."""
    rng = np.random.default_rng(seed)
    contexts = len(CONTEXTS)
    shares, rates = np.repeat(world.shares, contexts) / contexts, np.repeat(world.rates, contexts, axis=0)
    rates[:, 1] *= np.tile(factors, len(world.shares))
    arms = rates.shape[1]
    estimates = Estimates(np.full(rates.shape, 1 / arms))
    for _ in range(visitors // BATCH):
        n = rng.multinomial(rng.multinomial(BATCH, shares), estimates.weights)
        estimates.add(n.astype(np.float64), rng.binomial(n, rates).astype(np.float64))
        yield float((n * rates).sum())
        _reallocate(estimates, segments=len(world.shares))


def _reallocate(estimates: Estimates, *, segments: int) -> None:
    visitors = estimates.visitors().reshape(segments, len(CONTEXTS), -1).sum(axis=1).min(axis=1)
    conversions = estimates.conversions().reshape(segments, -1).sum(axis=1)
    learned = np.repeat((visitors >= BURN_IN) & (conversions >= BURN_IN_CONVERSIONS), len(CONTEXTS))
    if not learned.any():
        return
    old = estimates.weights
    arms = old.shape[1]
    target = FLOOR + (1 - arms * FLOOR) * chances(estimates.effective(), segments=segments)
    new = old.copy()
    for place in np.flatnonzero(learned):
        new[place] = limit_step(old[place], target[place], max_step=MAX_STEP)
    if np.abs(new - old).max() >= PUBLISH_STEP:
        estimates.publish(new)


def chances(seen: Effective, *, segments: int) -> Array:
    """P(best) of every context in every segment."""
    counts = [
        {str(arm): Count(won, n - won) for arm, (won, n) in enumerate(zip(*row, strict=True))}
        for row in zip(seen.successes.tolist(), seen.visitors.tolist(), strict=True)
    ]
    found = regress_rates(counts, [(segment, *values) for segment in range(segments) for values in CONTEXTS])
    return np.array([[arm.probability_best for arm in row.values()] for row in found.pooled.arms])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--visitors", type=int, default=64_000)
    parser.add_argument("--world", help="only worlds whose name holds this")
    options = parser.parse_args(arguments)
    print(f"{'world':<20}{'by segment':>12}{'by context':>12}   against by segment")
    for world, factors in worlds():
        if options.world is None or options.world in world.name:
            began = time.perf_counter()
            print(_line(world, factors, seeds=options.seeds, visitors=options.visitors), end="")
            print(f"   {time.perf_counter() - began:.0f} s", flush=True)


def _line(world: World, factors: Array, *, seeds: int, visitors: int) -> str:
    mean = world._replace(rates=world.rates * np.array([1.0, factors.mean(), *world.rates[0, 2:] * 0 + 1]))
    segment, context = (
        np.array([sum(found) for found in campaigns])
        for campaigns in (
            [regret.campaign(mean, regret.pooled, seed=seed, visitors=visitors) for seed in range(seeds)],
            [by_context(world, factors, seed=seed, visitors=visitors) for seed in range(seeds)],
        )
    )
    error = np.hypot(segment.std(ddof=1), context.std(ddof=1)) / np.sqrt(seeds) / segment.mean()
    ratio = context.mean() / segment.mean() - 1
    return (
        f"{world.name:<20}{segment.mean():>12.1f}{context.mean():>12.1f}   {100 * ratio:+.2f} ± {100 * error:.2f} %"
    )


if __name__ == "__main__":
    main()
