"""How often the alarm for forged outcomes freezes a campaign in which nobody forges anything.

    python -m benchmarks.false_alarms --runs 500

Two arms, 5 and 4 %, 2,000 visitors a day for 40 days, 50 looks a day, weights that move every night as far as they may.
Worlds: everything told of by clients; orders that come in the session or days later, with a base that doubles; half of
them told of by servers, for whichever arm.
"""

import argparse
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.cautions import FORGERY
from experiments.forgery import KINDS_MARGIN
from experiments.forgery import TIMES_MARGIN
from stats.constancy import at_some_time
from stats.constancy import change
from stats.constancy import over_time
from stats.constancy import support
from stats.mixtures import mean_evidence

Array = NDArray[np.float64]

DAYS = 40
LOOKS_A_DAY = 50
VISITORS_A_DAY = 2_000
RATES = np.array([0.05, 0.04])
#: Signs of the segments without any visitors, which always say nothing.
SILENT = 3


class World(NamedTuple):
    """What is true: the share of orders that come at once and of those that servers tell of, and the base's growth."""

    at_once: float = 0.003
    by_server: float = 0.0
    growth: float = 1.0


WORLDS = {"steady": World(), "sessions, base doubling": World(0.4, 0.0, 2.0), "half by servers": World(0.1, 0.5)}


def highest_evidence(world: World, *, rng: np.random.Generator) -> float:
    """The most that speaks for forgery at any look of one campaign."""
    # Teller, day of exposure: server, client, client at once.
    supports = np.zeros((3, *support(np.zeros(DAYS), 0.0, 0.5).shape))
    shares = np.append(0.5, rng.uniform(0.05, 0.95, DAYS - 1))
    return max(
        _look(supports, world, shares, day=day, visitors=VISITORS_A_DAY // LOOKS_A_DAY, rng=rng)
        for day in range(DAYS)
        for _ in range(LOOKS_A_DAY)
    )


def _look(
    supports: Array, world: World, shares: Array, *, day: int, visitors: int, rng: np.random.Generator
) -> float:
    """Let a fiftieth of a day pass, and ask."""
    came = rng.binomial(visitors, shares[day])
    rates = RATES * (1 + (world.growth - 1) * day / DAYS)
    won = rng.binomial([came, visitors - came], rates)
    by_server = rng.binomial(won, world.by_server)
    at_once = rng.binomial(won - by_server, world.at_once)
    for teller, told in enumerate((by_server, won - by_server - at_once, at_once)):
        supports[teller, :, day] += support(*told, shares[day])
    return evidence(supports[:, :, : day + 1])


def evidence(supports: Array) -> float:
    """All signs of one pair of arms together, as `experiments.cautions` joins them."""
    server, client, at_once = supports.sum(axis=2)
    rise = change(*over_time(supports[1] + supports[2]), margin=TIMES_MARGIN).evidence
    kinds = [
        float(change(client, at_once, margin=KINDS_MARGIN).evidence),
        float(change(server, client + at_once, margin=KINDS_MARGIN).evidence),
    ]
    return mean_evidence([*kinds, at_some_time(rise, np.arange(len(rise) + 1)), *np.zeros(SILENT)])


def false_alarms(world: World, *, runs: int, seed: int = 0) -> float:
    """The share of campaigns with a false alarm at any look."""
    rng = np.random.default_rng(seed)
    return float(np.mean([highest_evidence(world, rng=rng) >= FORGERY for _ in range(runs)]))


def main() -> None:
    """Print the share for each world."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    runs = parser.parse_args().runs
    for name, world in WORLDS.items():
        print(f"{name:<28}{100 * false_alarms(world, runs=runs):6.2f} % of {runs} campaigns", flush=True)


if __name__ == "__main__":
    main()
