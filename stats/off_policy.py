"""What another policy would have earned, from a log in which each visitor's chance of each arm is known.

The estimator is doubly robust (Dudík, Langford, Li 2011, https://arxiv.org/abs/1103.4601): what the arms of a context
earn on average, corrected by how far visitors were from that, each weighing the policy's chance of the arm over the
log's. Averages come from other folds than the visitors that they are held against, so that a policy chosen by them
(`best`) is not judged by the visitors that made it look best. Beside it stands the self-normalised estimator
(Swaminathan, Joachims 2015, "The self-normalized estimator for counterfactual learning", NeurIPS 28), which knows no
averages: where both differ by more than their errors, the log is thin.

A policy is an array of chances, shape (folds, contexts, arms); what it is worth is linear in it, so that a difference
of two policies is judged like a policy.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Whole = NDArray[np.int64]
Flags = NDArray[np.bool_]

_QUANTILE_95 = 1.959963984540054


class Log(NamedTuple):
    """Cells of a log, one an entry: visitors of a context and a fold who were given an arm with one propensity.

    Attributes:
        fold, context, arm: numbers from 0 on.
        propensity: the chance with which each of them was given the arm, above 0.
        n, total, total_squares: visitors, and the sums of their values and squared values.
    """

    fold: Whole
    context: Whole
    arm: Whole
    propensity: Array
    n: Array
    total: Array
    total_squares: Array


@dataclass(frozen=True)
class Mean:
    """A mean per visitor with its standard error, and the 95 % interval that the central limit theorem gives."""

    mean: float
    error: float

    @property
    def low(self) -> float:
        """The lower end."""
        return self.mean - _QUANTILE_95 * self.error

    @property
    def high(self) -> float:
        """The upper end."""
        return self.mean + _QUANTILE_95 * self.error


def observed(log: Log) -> Mean:
    """What the log's visitors earned, as it was."""
    visitors, total = log.n.sum(), log.total.sum()
    squares = max(0.0, float(log.total_squares.sum() - total**2 / visitors))
    return Mean(float(total / visitors), float(np.sqrt(squares) / visitors))


def averages(log: Log, *, shape: tuple[int, int, int]) -> Array:
    """What each arm earns on average in each context, as the folds other than each fold say; of `shape`.

    Weighted by inverse propensity. Where the other folds have no visitor of an arm in a context, its average over all
    contexts; 0 where they have none at all. A single fold is averaged by itself.
    """
    sums = np.zeros((2, *shape))
    for part, values in zip(sums, (log.n, log.total), strict=True):
        np.add.at(part, (log.fold, log.context, log.arm), values / log.propensity)
    others = sums if shape[0] == 1 else sums.sum(axis=1, keepdims=True) - sums
    everywhere = others.sum(axis=2, keepdims=True)
    own, whole = (_ratio(part[1], part[0]) for part in (others, everywhere))
    # Differences of sums leave crumbs where nobody is.
    return np.where(others[0] > 0.5, own, np.where(everywhere[0] > 0.5, whole, 0.0))


def _ratio(totals: Array, visitors: Array) -> Array:
    return np.divide(totals, visitors, out=np.zeros_like(totals), where=visitors > 0.5)


def doubly_robust(log: Log, policy: Array, means: Array) -> Mean:
    """What each of the log's visitors would have earned on average; `means` as `averages` gives them.

    Conditional on who came: the error is that of outcomes and of the draw of arms, not of the contexts.
    """
    expected = (policy * means).sum(axis=2)[log.fold, log.context]
    mean = means[log.fold, log.context, log.arm]
    weight = policy[log.fold, log.context, log.arm] / log.propensity
    away = log.total - log.n * mean
    squares_away = np.maximum(log.total_squares - 2 * mean * log.total + log.n * mean**2, 0.0)
    total = log.n * expected + weight * away
    squares = log.n * expected**2 + 2 * expected * weight * away + weight**2 * squares_away
    n, totals, squares = (np.bincount(log.context, values) for values in (log.n, total, squares))
    spread = np.maximum(squares - np.divide(totals**2, n, out=np.zeros_like(n), where=n > 0), 0.0).sum()
    return Mean(float(totals.sum() / n.sum()), float(np.sqrt(spread) / n.sum()))


def self_normalised(log: Log, policy: Array) -> Mean:
    """The weighted mean of what was seen, the weights being the policy's chance over the log's."""
    weight = policy[log.fold, log.context, log.arm] / log.propensity
    size = float((weight * log.n).sum())
    if size == 0:
        return Mean(0.0, float("inf"))
    mean = float((weight * log.total).sum()) / size
    squares = np.maximum(log.total_squares - 2 * mean * log.total + log.n * mean**2, 0.0)
    return Mean(mean, float(np.sqrt((weight**2 * squares).sum())) / size)


def effective_size(log: Log, policy: Array) -> float:
    """How many visitors of the policy itself the log's are worth: (Σ w)² / Σ w² (Kish 1965, Survey Sampling)."""
    weight = policy[log.fold, log.context, log.arm] / log.propensity
    squares = float((weight**2 * log.n).sum())
    return float((weight * log.n).sum()) ** 2 / squares if squares else 0.0


def best(means: Array, is_open: Flags) -> Array:
    """The policy that gives each context the open arm with the largest average; `is_open` is (contexts, arms)."""
    among = np.where(is_open, means, -np.inf)
    policy = np.zeros_like(means)
    np.put_along_axis(policy, among.argmax(axis=2, keepdims=True), 1.0, axis=2)
    return np.asarray(policy * is_open.any(axis=1, keepdims=True))


def misfit(log: Log, *, contexts: int, arms: int) -> Array:
    """By context and arm, by how many standard errors more visitors had the arm than its propensities say.

    Σ n / e over the arm's visitors must be all visitors of the context, give or take √(Σ n (1 - e) / e²).
    """
    counted, spread = np.zeros((2, contexts, arms))
    np.add.at(counted, (log.context, log.arm), log.n / log.propensity)
    np.add.at(spread, (log.context, log.arm), log.n * (1 - log.propensity) / log.propensity**2)
    visitors = np.bincount(log.context, log.n, minlength=contexts)[:, None]
    # An arm that everybody was given, or nobody, has no error by which to judge; a visitor stands in for it.
    return np.asarray((counted - visitors) / np.sqrt(np.maximum(spread, 1.0)))
