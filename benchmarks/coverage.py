"""How often 95 % intervals hold after the default policy has moved traffic.

    python -m benchmarks.coverage --runs 4000 --visitors 10000 --base 0.05

One segment with a control (share .1), the mass arm and a tailored arm under Thompson sampling on the contract's
defaults, in batches of 500 visitors; rates stay, double on the way, or swing with the week. What must be covered is
each arm's rate averaged over all the visitors, and the tailored arm's less the mass arm's. Estimates, posteriors and
intervals are those of the report (`stats.adaptive`, `stats.ranking.uplift`); beside them the naive ones, from plain
sums. Campaigns count where the report would promise its intervals (`intervals_valid`).
"""

import argparse
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray

from experiments.allocation import GRAIN
from experiments.allocation import PUBLISH_STEP
from experiments.allocation import to_weights
from experiments.model import Policy
from stats.adaptive import Estimate
from stats.adaptive import Stratum
from stats.adaptive import beta
from stats.adaptive import estimate
from stats.ranking import uplift
from stats.weights import even
from stats.weights import limit_step
from stats.weights import thompson

Array = NDArray[np.float64]

BATCH = 500
CONTROL_SHARE = 0.1
POLICY = Policy(kind="thompson")
BASES = (0.01, 0.05, 0.2)
GAINS = (0.0, 0.2)
DRIFTS = ("none", "doubling", "weekly")
ARMS = ("control", "mass", "tailored")
_CONTROL, _MASS, _TAILORED = range(3)
_WEEK = 7


class World(NamedTuple):
    """The mass arm's rate at the start, the tailored arm's gain as a share of it, and how all rates move."""

    base: float
    gain: float
    drift: str

    def rates(self, batches: int) -> Array:
        """Rates by batch and arm; the control converts four fifths of the mass arm."""
        progress = np.arange(batches) / max(batches - 1, 1)
        course = {
            "none": np.ones(batches),
            "doubling": 1 + progress,
            "weekly": 1 + 0.5 * np.sin(2 * np.pi * np.arange(batches) / _WEEK),
        }[self.drift]
        return np.outer(course * self.base, [0.8, 1, 1 + self.gain])


class Campaign(NamedTuple):
    """By batch and arm: weights, visitors, conversions."""

    weights: Array
    n: Array
    converted: Array


def worlds(bases: Sequence[float] = BASES, drifts: Sequence[str] = DRIFTS) -> list[World]:
    """Those of the table."""
    return [World(base, gain, drift) for base in bases for gain in GAINS for drift in drifts]


def campaign(rates: Array, *, rng: np.random.Generator) -> Campaign:
    """One campaign under the default policy."""
    done = Campaign(np.empty_like(rates), np.empty_like(rates), np.empty_like(rates))
    weights = _with_control(even(2))
    for batch, row in enumerate(rates):
        n = rng.multinomial(BATCH, weights)
        for part, values in zip(done, (weights, n, rng.binomial(n, row)), strict=True):
            part[batch] = values
        weights = _next(Campaign(*(part[: batch + 1] for part in done)), weights)
    return done


def estimates(seen: Campaign, arms: Sequence[int] = range(len(ARMS))) -> list[Estimate]:
    """The arms' estimates as reallocation and report have it: batches of unchanged weights are one stratum."""
    starts = np.flatnonzero(np.r_[True, (seen.weights[1:] != seen.weights[:-1]).any(axis=1)])
    n, converted = (np.add.reduceat(part, starts) for part in (seen.n, seen.converted))
    visitors = n.sum(axis=1)
    return [
        estimate([
            Stratum(*values, values[-1])
            for values in zip(
                visitors.tolist(), seen.weights[starts, arm].tolist(), n[:, arm].tolist(),
                converted[:, arm].tolist(), strict=True,
            )
        ])
        for arm in arms
    ]


def naive(seen: Campaign) -> list[Estimate]:
    """As if every visitor had come at the same time."""
    sums = zip(seen.n.sum(axis=0).tolist(), seen.converted.sum(axis=0).tolist(), strict=True)
    return [estimate([Stratum(n, 1.0, n, total, total)]) for n, total in sums]


def is_promised(seen: Campaign) -> bool:
    """Whether the report would call its intervals valid."""
    return bool(seen.converted.sum() * POLICY.min_share >= 1)


def _next(seen: Campaign, weights: Array) -> Array:
    enough = seen.n.sum(axis=0)[[_MASS, _TAILORED]].min() >= POLICY.burn_in
    if not enough or seen.converted.sum() < POLICY.burn_in_conversions:
        return weights
    posteriors = [beta(found) for found in estimates(seen, (_MASS, _TAILORED))]
    wanted = _with_control(thompson(posteriors, floor=POLICY.min_share / (1 - CONTROL_SHARE)))
    moved = _rounded(limit_step(weights, wanted, max_step=POLICY.max_step))
    return moved if np.abs(moved - weights).max() >= PUBLISH_STEP / GRAIN else weights


def _with_control(shares: Array) -> Array:
    return _rounded(np.r_[CONTROL_SHARE, (1 - CONTROL_SHARE) * shares])


def _rounded(weights: Array) -> Array:
    return np.array(list(to_weights(dict(zip(ARMS, weights.tolist(), strict=True))).values())) / GRAIN


class Found(NamedTuple):
    """Of one campaign: whether its intervals are promised, and by figure the error and whether the truth was held."""

    promised: bool
    errors: list[float]
    held: list[bool]
    naively_held: list[bool]


class Line(NamedTuple):
    """Of one world: the share of campaigns promised, and by figure what is found.

    Attributes:
        coverage, naive_coverage: among the campaigns promised.
        bias_in_errors, bias_in_sds: of the estimate over all campaigns, in Monte Carlo errors and in its own SD.
    """

    promised: float
    coverage: Array
    naive_coverage: Array
    bias_in_errors: Array
    bias_in_sds: Array


def found(seen: Campaign, truth: Array) -> Found:
    """What one campaign would report, against the figures' truth."""
    corrected = estimates(seen)
    figures = _figures([one.mean for one in corrected])
    return Found(is_promised(seen), list(figures - truth), _held(corrected, truth), _held(naive(seen), truth))


def measure(world: World, *, runs: int, visitors: int, seed: int) -> Line:
    """Run the campaigns of one world."""
    rates = world.rates(visitors // BATCH)
    truth = _figures(rates.mean(axis=0))
    rng = np.random.default_rng(seed)
    all_found = [found(campaign(rates, rng=rng), truth) for _ in range(runs)]
    promised = [one for one in all_found if one.promised]
    errors = np.array([one.errors for one in all_found])
    bias_in_sds = errors.mean(axis=0) / errors.std(axis=0, ddof=1)
    return Line(
        len(promised) / runs,
        np.mean([one.held for one in promised], axis=0),
        np.mean([one.naively_held for one in promised], axis=0),
        bias_in_sds * np.sqrt(runs),
        bias_in_sds,
    )


def _figures(means: ArrayLike) -> Array:
    return np.append(means, np.subtract(*np.take(means, [_TAILORED, _MASS])))


def _held(arms: Sequence[Estimate], truth: Array) -> list[bool]:
    posteriors = [beta(one) for one in arms]
    gain = uplift(posteriors[_TAILORED], posteriors[_MASS])
    intervals = [*(posterior.credible_interval() for posterior in posteriors), (gain.low, gain.high)]
    return [low <= true <= high for (low, high), true in zip(intervals, truth.tolist(), strict=True)]


def text(world: World, line: Line) -> str:
    """One line of the table, with the figure whose bias is the largest part of its SD."""
    covered, plain = ("".join(f"{100 * part:8.1f}" for part in row) for row in (line.coverage, line.naive_coverage))
    worst = np.argmax(np.abs(line.bias_in_sds))
    bias = f"{line.bias_in_errors[worst]:+8.1f} = {line.bias_in_sds[worst]:+.3f} SD"
    return f"{world.base:<6}{world.gain:<6}{world.drift:<10}{100 * line.promised:5.0f} %{covered}  {plain}{bias}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--visitors", type=int, default=10_000)
    parser.add_argument("--base", type=float, nargs="*", default=BASES)
    parser.add_argument("--drift", nargs="*", default=tuple(DRIFTS))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    names = "".join(f"{name:>8}" for name in ("control", "mass", "tail.", "gain"))
    print(f"{'base':<6}{'gain':<6}{'drift':<10}{'valid':>7}{names}  {names}  worst bias in errors, in SD")
    for world in worlds(options.base, options.drift):
        began = time.perf_counter()
        line = measure(world, runs=options.runs, visitors=options.visitors, seed=options.seed)
        print(f"{text(world, line)}   {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
