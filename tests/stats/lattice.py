"""Partial pooling of two arms by brute force: every parameter summed over a lattice, no approximation but its step."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]

STEP = 0.1
LOG_ODDS = np.arange(-16.0, 8.0, STEP)
EFFECTS = np.arange(-3.6, 3.61, 2 * STEP)


class Exact(NamedTuple):
    """For each segment: P(the second arm is best), and the mean rates of both arms; and the expected spread."""

    second_best: Array
    means: Array
    spread: float


def pooled(counts: list[list[tuple[float, float]]], *, base: float, scale: float = 0.4, spreads: int = 24) -> Exact:
    """Counts are (successes, failures) for each segment and its two arms; `base` is the centre of the prior of α."""
    shares = (np.arange(spreads) + 0.5) / spreads
    mass, best, means, spread = 0.0, np.zeros(len(counts)), np.zeros((len(counts), 2)), 0.0
    for tau in scale * np.tan(np.pi / 2 * shares):
        evidence, numerators = _given(counts, base, tau)
        mass += evidence
        best += numerators[:, 0]
        means += numerators[:, 1:]
        spread += tau * evidence
    return Exact(best / mass, means / mass, spread / mass)


def _given(counts: list[list[tuple[float, float]]], base: float, tau: float) -> tuple[float, Array]:
    kernel = np.exp(-0.5 * ((LOG_ODDS[:, None] - LOG_ODDS) / max(tau, STEP / 10)) ** 2)
    kernel /= kernel.sum(axis=1, keepdims=True)
    prior = np.exp(-0.5 * (EFFECTS[:, None] ** 2 + EFFECTS**2))
    tables = [_segment(cells, kernel, base) for cells in counts]
    together = prior * np.prod([table[0] for table in tables], axis=0)
    rows = [[(together / table[0] * part).sum() for part in table[1:]] for table in tables]
    return float(together.sum()), np.array(rows)


def _segment(cells: list[tuple[float, float]], kernel: Array, base: float) -> Array:
    """∫ dα of likelihood, and of it times 1[η_2 > η_1], rate_1 and rate_2, for every pair of effects."""
    first, second = (kernel * np.exp(_log_likelihood(*cell)) for cell in cells)
    below = np.cumsum(first, axis=1) - first / 2
    wins = below @ second.T
    rate = special.expit(LOG_ODDS)
    sums = first.sum(axis=1), second.sum(axis=1)
    weighted = first @ rate, second @ rate
    alphas = np.flatnonzero(np.abs(LOG_ODDS - base) < 8)
    prior = np.exp(-0.5 * ((LOG_ODDS[alphas] - base) / 2.0) ** 2)
    moves = np.round(EFFECTS / STEP).astype(int)
    at = np.clip(alphas + moves[:, None], 0, len(LOG_ODDS) - 1)
    one, two = at[:, None], at[None, :]
    parts = [sums[0][one] * sums[1][two], wins[one, two]]
    parts += [weighted[0][one] * sums[1][two], sums[0][one] * weighted[1][two]]
    return np.array([(prior * part).sum(axis=-1) for part in parts])


def _log_likelihood(successes: float, failures: float) -> Array:
    values = successes * LOG_ODDS - (successes + failures) * np.logaddexp(0, LOG_ODDS)
    return np.asarray(values - values.max())
