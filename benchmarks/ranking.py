"""Exact ranking against sampling, side by side in one run.

    python -m benchmarks.ranking

Ten Beta arms, P(best) and expected loss: by quadrature, and by 20,000 draws of each arm; then a thousand arms.
"""

import time
from collections.abc import Callable
from collections.abc import Sequence
from functools import partial
from statistics import median

import numpy as np

from stats.posteriors import BetaPosterior
from stats.ranking import ranking

DRAWS = 20_000
_RUNS = 10


def arms(number: int, visitors: int) -> list[BetaPosterior]:
    """Arms of rates around 5 %, each with so many visitors."""
    rates = np.linspace(0.048, 0.052, number)
    return [BetaPosterior(1 + rate * visitors, 1 + (1 - rate) * visitors) for rate in rates.tolist()]


def by_draws(posteriors: Sequence[BetaPosterior], rng: np.random.Generator) -> tuple[object, object]:
    """What others do: P(best) and loss from draws."""
    drawn = np.stack([posterior.draw(rng, DRAWS) for posterior in posteriors])
    best = np.bincount(drawn.argmax(axis=0), minlength=len(posteriors)) / DRAWS
    return best, (drawn.max(axis=0) - drawn).mean(axis=1)


def milliseconds(work: Callable[[], object]) -> float:
    """The median of some runs."""
    times = []
    for _ in range(_RUNS):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return 1000 * median(times)


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(1)
    print(f"{'arms':>6}{'visitors':>14}{'exact':>12}{'draws':>12}{'ratio':>8}")
    for number, visitors in ((10, 10_000), (10, 10**9), (1000, 10_000)):
        posteriors = arms(number, visitors)
        exact = milliseconds(partial(ranking, posteriors))
        sampled = milliseconds(partial(by_draws, posteriors, rng))
        print(f"{number:>6}{visitors:>14,}{exact:>9.2f} ms{sampled:>9.2f} ms{sampled / exact:>8.1f}")


if __name__ == "__main__":
    main()
