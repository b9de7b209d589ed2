"""Which arm is best, how surely, and what a wrong choice costs: exact, by quadrature.

All arms share one grid (see `stats.densities`), distribution functions come from cumulative integration on it, and
products over arms are sums of logarithms: a thousand arms, 10^9 visitors and chances of 1e-20 keep their digits.
Densities below exp(-64) of their peak count as zero: chances under 1e-26 come out as 0.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stats.checks import between
from stats.densities import Densities
from stats.densities import Window
from stats.densities import densities
from stats.posteriors import Posterior
from stats.quadrature import Panels
from stats.quadrature import panels
from stats.uplifts import Uplift
from stats.uplifts import uplift

Array = NDArray[np.float64]

__all__ = [
    "Ranking",
    "Uplift",
    "ValueRemaining",
    "expected_loss",
    "probability_best",
    "ranking",
    "uplift",
    "value_remaining",
]

_SMALLEST = 1e-300


class Ranking(NamedTuple):
    """How the arms compare; higher is better.

    Attributes:
        probability_best: the chance of each arm to have the highest mean; sums to 1, equal arms share it equally.
        expected_loss: E[max_j θ_j - θ_k] of choosing each arm, unconditional, in the unit of the mean; never negative.
    """

    probability_best: Array
    expected_loss: Array


class ValueRemaining(NamedTuple):
    """What could still be won by replacing the present champion, as a share of its mean.

    Attributes:
        quantile: the quantile of (max_j θ_j - θ_c) / θ_c that was asked for; 0 for a single arm.
        standard_error: of the quantile, from the spacing of the draws around it.
        draws: how many joint draws it rests on.
    """

    quantile: float
    standard_error: float
    draws: int


def ranking(posteriors: Sequence[Posterior]) -> Ranking:
    """Both figures at the price of one, for posteriors of one kind: Beta, Gamma or Normal.

    P(k best) = ∫ f_k Π_{j≠k} F_j and loss_k = ∫ F_k (1 - Π_{j≠k} F_j) dx (for two arms: Stucchio 2014,
    https://www.chrisstucchio.com/blog/2014/bayesian_ab_decision_rule.html). A single arm is best with probability 1 at
    a loss of 0. The answer does not depend on the order of the arms. Raises ValueError for no arm or mixed kinds.
    """
    copies = Counter(posteriors)
    distinct = sorted(copies, key=lambda posterior: tuple(vars(posterior).values()))
    shares, losses = _rank(tuple(distinct), tuple(copies[posterior] for posterior in distinct))
    place = {posterior: index for index, posterior in enumerate(distinct)}
    order = [place[posterior] for posterior in posteriors]
    return Ranking(shares[order], losses[order])


def probability_best(posteriors: Sequence[Posterior]) -> Array:
    """The chance of each arm to be the best; see `ranking`."""
    return ranking(posteriors).probability_best


def expected_loss(posteriors: Sequence[Posterior]) -> Array:
    """The expected loss of choosing each arm; see `ranking`."""
    return ranking(posteriors).expected_loss


def value_remaining(
    posteriors: Sequence[Posterior], rng: np.random.Generator, *, draws: int, mass: float = 0.95
) -> ValueRemaining:
    """The `mass` quantile of what is left to win, by Monte Carlo.

    Stop an experiment when it falls below 0.01 (Scott 2010, "A modern Bayesian look at the multi-armed bandit",
    https://doi.org/10.1002/asmb.874). The champion c is the arm most probably best.
    """
    between(mass, "mass", low=0, high=1)
    if draws < 1:
        raise ValueError(f"draws is {draws}, must be at least 1")
    champion = int(np.argmax(probability_best(posteriors)))
    means = np.stack([posterior.draw(rng, draws) for posterior in posteriors])
    remaining = np.sort((means.max(axis=0) - means[champion]) / means[champion])
    spread = np.sqrt(mass * (1 - mass) / draws)
    low, quantile, high = np.quantile(remaining, [max(mass - spread, 0), mass, min(mass + spread, 1)])
    return ValueRemaining(float(quantile), float(high - low) / 2, draws)


# A report that is read again ranks the same arms, but for those that something was counted of.
@lru_cache(maxsize=1 << 12)
def _rank(posteriors: tuple[Posterior, ...], copies: tuple[int, ...]) -> tuple[Array, Array]:
    """Shares and losses of distinct arms, each present as often as `copies` says."""
    counts = np.array(copies, dtype=np.float64)
    family = densities(posteriors)
    live = _live(family.windows())
    shares = np.zeros(len(posteriors))
    losses = np.empty(len(posteriors))
    contenders = family if live.all() else densities([posteriors[index] for index in np.flatnonzero(live)])
    shares[live], losses[live] = _integrate(contenders, counts[live])
    best = np.flatnonzero(live)[np.argmax(shares[live])]
    losses[~live] = losses[best] + (family.means[best] - family.means[~live])
    return shares, losses


def _live(windows: list[Window]) -> NDArray[np.bool_]:
    """Arms whose density reaches above the lowest possible value of the highest arm."""
    live: NDArray[np.bool_] = windows[-1].upper >= windows[0].lower.max()
    return live


def _integrate(family: Densities, counts: Array) -> tuple[Array, Array]:
    stretches = np.concatenate([np.stack(window, axis=1) for window in family.windows()])
    grid = panels(stretches.tolist())
    nodes, weights = grid.nodes, grid.weights
    density = np.exp(family.exponents(nodes))
    density /= (density @ weights)[:, None]
    log_cdf = _log_cdf(grid, density)
    others = _log_product_of_others(log_cdf, counts)
    shares = (density * np.exp(others)) @ weights
    losses = (np.exp(log_cdf) * -np.expm1(others)) @ (weights * family.slopes(nodes))
    return shares / (counts @ shares), losses


def _log_cdf(grid: Panels, density: Array) -> Array:
    """log F, from below in the lower half and from above in the upper, never above 0."""
    up_to, beyond = grid.cumulate(density)
    lower_half = np.log(np.clip(up_to, _SMALLEST, 1))
    upper_half = np.log1p(-np.clip(beyond, 0, 0.75))
    return np.where(up_to < beyond, lower_half, upper_half)


def _log_product_of_others(log_cdf: Array, counts: Array) -> Array:
    """Σ_{j≠k} log F_j in each row k, summed from both ends, so that nothing is taken away again."""
    weighted = counts[:, None] * log_cdf
    others = (counts - 1)[:, None] * log_cdf
    others[1:] += np.cumsum(weighted[:-1], axis=0)
    others[:-1] += np.cumsum(weighted[:0:-1], axis=0)[::-1]
    return others
