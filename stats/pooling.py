"""Partial pooling: what the segments together say of each arm in each segment.

The effect of an arm in a segment shrinks towards its overall effect as far as the data say: completely where segments
do not differ by more than chance, not at all where they clearly do. How far is itself uncertain, so every answer is an
average over the spread τ between segments, with half-Cauchy(0.4) as its prior (Gelman 2006, "Prior distributions for
variance parameters in hierarchical models", https://doi.org/10.1214/06-BA117A). No random numbers are used.

Rates are pooled as log odds, by expectation propagation (`stats.rate_sites`), so that one relative effect over
different base rates needs no spread; means as they stand. The model itself is in `stats.hierarchy`.
"""

from collections import Counter
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from stats import contenders
from stats.checks import finite
from stats.checks import not_negative
from stats.hierarchy import Believed
from stats.hierarchy import Prior
from stats.hierarchy import Sites
from stats.hierarchy import believe
from stats.posteriors import BetaPosterior
from stats.posteriors import NormalPosterior
from stats.posteriors import Posterior
from stats.ranking import probability_best
from stats.rate_sites import Outcomes
from stats.rate_sites import rates
from stats.uplifts import Uplift

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

# The prior's scale of τ, and the values of τ that stand for it, each for the stretch up to half way to the next.
SPREAD_SCALE = 0.4
SPREADS = np.array([0.0, 0.05, 0.1, 0.17, 0.26, 0.4, 0.65, 1.1, 2.0])
# Weak: two arms may differ by a factor of 4, arms of one role that are open in several segments by half of their own,
# bases by a factor of 7. On the scale of means these are multiples of the typical mean.
_EFFECT_SD = 1.0
_SIBLING_SD = 0.4
_BASE_SD = 2.0
_NEGLIGIBLE = 1e-4


class Count(NamedTuple):
    """An arm's effective visitors in a segment, by outcome, and what showing it costs a visitor in conversions' worth."""

    successes: float
    failures: float
    cost: float = 0.0


class PooledArm(NamedTuple):
    """An arm in a segment.

    Attributes:
        probability_best: among the segment's candidates; 0 for others.
        mean, sd: of its rate less its cost, or of its mean.
    """

    probability_best: float
    mean: float
    sd: float


class Spread(NamedTuple):
    """How much the effects of arms differ between segments.

    Attributes:
        mean: the expected τ, in log odds for rates, in the unit of the means for these.
        complete: the chance that it is too small to matter (below 0.025, a fortieth in relative terms).
    """

    mean: float
    complete: float


@dataclass(frozen=True)
class Pooled:
    """The posterior of all arms in all segments, in the order they were given.

    Attributes:
        arms: for each segment, its arms by key.
        spread: what is believed of τ.
    """

    arms: tuple[dict[str, PooledArm], ...]
    spread: Spread
    _beliefs: "_Beliefs"

    def gain(self, segment: int, arm: str, reference: str) -> Uplift:
        """The shrunken difference of two arms of a segment; its interval is Normal and does not cover per segment."""
        coefficients: list[dict[str, float]] = [{} for _ in self.arms]
        coefficients[segment] = {reference: -1.0, arm: 1.0} if arm != reference else {}
        return self.combination(coefficients)

    def combination(self, coefficients: Sequence[Mapping[str, float]], *, mass: float = 0.95) -> Uplift:
        """Σ coefficient·mean over arms of all segments, whose errors are correlated through what they share.

        With the shares of visitors as coefficients of the arms of a mix, and their negatives for one message, this is
        what the mix gains per visitor.
        """
        flat = np.zeros(self._beliefs.means.shape[1:])
        for row, known, wanted in zip(flat, self.arms, coefficients, strict=True):
            places = {arm: place for place, arm in enumerate(known)}
            for arm, coefficient in wanted.items():
                row[places[arm]] = finite(coefficient, "coefficient")
        return self._beliefs.combination(flat, mass)


class _Beliefs(NamedTuple):
    """What is believed for each spread; `slopes` turn the model's η into the unit of the means."""

    weights: Array
    means: Array
    slopes: Array
    believed: Believed

    def combination(self, coefficients: Array, mass: float) -> Uplift:
        """See `Pooled`."""
        means = (self.means * coefficients).sum(axis=(1, 2))
        sds = np.sqrt(self.believed.variance_of(self.slopes * coefficients))
        mean = float(self.weights @ means)
        sd = float(np.sqrt(self.weights @ (sds**2 + (means - mean) ** 2)))
        half_width = -float(special.ndtri((1 - mass) / 2)) * sd
        above = np.where(sds > 0, special.ndtr(means / np.where(sds > 0, sds, 1.0)), 0.5 + 0.5 * np.sign(means))
        return Uplift(mean, mean - half_width, mean + half_width, float(self.weights @ above))


class _Table(NamedTuple):
    """Segments as rows, their arms from the left; shape of the flags (segments, cells)."""

    arms: list[list[str]]
    present: Flags
    candidates: Flags
    members: Array
    effects: Array


def pool_rates(
    counts: Sequence[Mapping[str, Count]],
    *,
    roles: Mapping[str, str] | None = None,
    candidates: Collection[str] | None = None,
) -> Pooled:
    """Pool rates from effective counts: logit η_sa = α_s + β_a + γ_sa.

    Args:
        counts: for each segment, its open arms by key; zeros where an arm has no visitors yet.
        roles: arms of one role share an overall effect, as tailored arms do that are made one for each segment. An arm
            of a role that is open in several segments departs from it by an effect of its own. Arms without a role
            stand for themselves.
        candidates: the arms that are ranked; all where None.

    Where only one segment has visitors, its arms are those of the exact Beta(1, 1) posteriors. Segments without
    visitors get what the others suggest. Raises ValueError for negative or infinite counts.
    """
    table = _table(counts, roles or {}, candidates)
    cells = _cells(table, [[_checked(counts[s][arm]) for arm in arms] for s, arms in enumerate(table.arms)], 3)
    successes, visitors, costs = cells[..., 0], cells[..., 0] + cells[..., 1], cells[..., 2]
    overall = (successes.sum() + 0.5) / (visitors.sum() + 1)
    typical = (successes.sum(axis=1) + overall) / (visitors.sum(axis=1) + 1)
    origin = special.logit(typical)[:, None]
    prior = Prior(SPREADS, special.logit(overall) - origin[:, 0], _BASE_SD, table.effects, table.members)
    found = rates(prior, Outcomes(successes, visitors, np.broadcast_to(origin, visitors.shape)))
    weights, kept = _weights(found.believed.log_evidence)
    believed = found.believed.only(kept)
    slopes = np.sqrt(found.variance[kept] / believed.variance)
    beliefs = _Beliefs(weights[kept], found.mean[kept] - costs, slopes, believed)
    if costs.any():
        axis = _as_they_stand(beliefs, table)
    else:
        own = contenders.own_variances(believed.covariance(), table.candidates)
        axis = contenders.symmetrised(believed.mean + origin, own, np.broadcast_to(typical[:, None], own.shape))
    exact = {
        segment: _alone(successes[segment], visitors[segment], costs[segment])
        for segment in _only(visitors.sum(axis=1) > 0)
    }
    return _pooled(table, beliefs, axis, exact, _spread(weights, SPREADS))


def pool_means(
    estimates: Sequence[Mapping[str, NormalPosterior]],
    *,
    roles: Mapping[str, str] | None = None,
    candidates: Collection[str] | None = None,
) -> Pooled:
    """Pool means, known with Normal errors: mean_sa = α_s + β_a + γ_sa.

    The scale of τ, and of all that is weakly believed, is 0.4 of the typical mean: the root mean square over cells,
    weighted by precision; the typical error where all means are 0. So the answer follows a change of unit. Arguments
    and the single segment as for `pool_rates`; an arm without visitors has a posterior as wide as one visitor's value.
    """
    table = _table(estimates, roles or {}, candidates)
    found = [[(estimates[s][arm].mean, estimates[s][arm].sd) for arm in arms] for s, arms in enumerate(table.arms)]
    cells = _cells(table, found, 2)
    means, sds = cells[..., 0], np.where(table.present, cells[..., 1], 1.0)
    precision = np.where(table.present, sds**-2.0, 0.0)
    unit = _typical(means, precision)
    base = (precision * means).sum() / max(precision.sum(), np.finfo(np.float64).tiny)
    prior = Prior(
        SPREADS * unit, np.full(len(means), base), _BASE_SD * unit * 5, table.effects * unit**2, table.members
    )
    believed = believe(prior, Sites(precision[None], (precision * means)[None]))
    weights, kept = _weights(believed.log_evidence)
    believed = believed.only(kept)
    beliefs = _Beliefs(weights[kept], believed.mean, np.ones_like(believed.mean), believed)
    exact: dict[int, list[Posterior]] = {}
    if len(estimates) == 1:
        exact[0] = [estimates[0][arm] for arm in table.arms[0]]
    return _pooled(table, beliefs, _as_they_stand(beliefs, table), exact, _spread(weights, SPREADS * unit))


def _checked(count: Count) -> Count:
    not_negative(count.successes, "successes")
    not_negative(count.failures, "failures")
    finite(count.cost, "cost")
    return count


def _table(rows: Sequence[Mapping[str, object]], roles: Mapping[str, str], candidates: Collection[str] | None) -> _Table:
    arms = [list(row) for row in rows]
    widths = np.array([len(row) for row in arms], dtype=np.int64)
    present = np.arange(widths.max(initial=1)) < widths[:, None]
    open_in = Counter(arm for row in arms for arm in row)
    # An arm with a role that is open in one segment only is known by its role: what is its own is γ.
    label = {
        arm: (roles.get(arm), arm if arm not in roles or count > 1 else None) for arm, count in open_in.items()
    }
    groups = {group: place for place, group in enumerate(dict.fromkeys(label.values()))}
    members = np.zeros((*present.shape, max(len(groups), 1)))
    ranked = np.zeros_like(present)
    for segment, row in enumerate(arms):
        for cell, arm in enumerate(row):
            members[segment, cell, groups[label[arm]]] = 1.0
            ranked[segment, cell] = candidates is None or arm in candidates
    return _Table(arms, present, ranked, members, _effect_prior(list(groups)))


def _effect_prior(groups: Sequence[tuple[str | None, str | None]]) -> Array:
    """The covariance of β: one effect for each role or arm without one, and what siblings of a role have of their own."""
    covariance = np.zeros((max(len(groups), 1),) * 2)
    for row, (role, arm) in enumerate(groups):
        for column, (other_role, other_arm) in enumerate(groups):
            same = role == other_role if role is not None else arm == other_arm
            covariance[row, column] = _EFFECT_SD**2 * (same and (role is None) == (other_role is None))
        covariance[row, row] += _SIBLING_SD**2 * (role is not None and arm is not None)
    return covariance


def _cells(table: _Table, rows: Sequence[Sequence[Sequence[float]]], width: int) -> Array:
    cells = np.zeros((*table.present.shape, width))
    for segment, row in enumerate(rows):
        if row:
            cells[segment, : len(row)] = row
    return cells


def _typical(means: Array, precision: Array) -> float:
    known = precision.sum()
    if known == 0:
        return 1.0
    square = (precision * means**2).sum() / known or (precision > 0).sum() / known
    return float(np.sqrt(square))


def _weights(log_evidence: Array) -> tuple[Array, NDArray[np.intp]]:
    """The posterior weight of each spread, and which of them matter."""
    edges = np.append((SPREADS[1:] + SPREADS[:-1]) / 2, np.inf)
    prior = np.diff(2 / np.pi * np.arctan(edges / SPREAD_SCALE), prepend=0.0)
    known = np.where(np.isfinite(log_evidence), log_evidence, -np.inf)
    weights = prior * np.exp(known - known.max())
    weights = np.where(weights < _NEGLIGIBLE * weights.max(), 0.0, weights)
    weights /= weights.sum()
    return weights, np.flatnonzero(weights)


def _spread(weights: Array, spreads: Array) -> Spread:
    return Spread(float(weights @ spreads), float(weights[0]))


def _as_they_stand(beliefs: _Beliefs, table: _Table) -> tuple[Array, Array]:
    """Means and independent variances to rank by, in the unit of the means."""
    slopes = beliefs.slopes
    covariance = beliefs.believed.covariance() * slopes[..., :, None] * slopes[..., None, :]
    return beliefs.means, contenders.own_variances(covariance, table.candidates)


def _only(seen: Flags) -> list[int]:
    """The segment with visitors where there is just one."""
    places = np.flatnonzero(seen)
    return [int(places[0])] if len(places) == 1 else []


def _alone(successes: Array, visitors: Array, costs: Array) -> list[Posterior]:
    betas = [BetaPosterior(1 + won, 1 + max(seen - won, 0.0)) for won, seen in zip(successes, visitors, strict=True)]
    if not costs.any():
        return list(betas)
    return [NormalPosterior(rate.mean - cost, rate.sd) for rate, cost in zip(betas, costs, strict=True)]


def _pooled(
    table: _Table,
    beliefs: _Beliefs,
    axis: tuple[Array, Array],
    exact: Mapping[int, Sequence[Posterior]],
    spread: Spread,
) -> Pooled:
    cells = table.present.shape[-1]
    contests = [np.asarray(part).reshape(-1, cells) for part in axis]
    candidates = np.broadcast_to(table.candidates, axis[0].shape).reshape(-1, cells)
    best = np.tensordot(beliefs.weights, contenders.best(*contests, candidates).reshape(axis[0].shape), axes=1)
    for segment, posteriors in exact.items():
        beliefs = _with_exact(beliefs, segment, posteriors)
        ranked = np.flatnonzero(table.candidates[segment])
        if len(ranked):
            best[segment, ranked] = probability_best([posteriors[cell] for cell in ranked])
    means = np.tensordot(beliefs.weights, beliefs.means, axes=1)
    variances = beliefs.slopes**2 * beliefs.believed.variance + (beliefs.means - means) ** 2
    sds = np.sqrt(np.tensordot(beliefs.weights, variances, axes=1))
    arms = tuple(
        {arm: PooledArm(*figures) for arm, *figures in zip(row, *figured)}
        for row, *figured in zip(table.arms, best.tolist(), means.tolist(), sds.tolist())
    )
    return Pooled(arms, spread, beliefs)


def _with_exact(beliefs: _Beliefs, segment: int, posteriors: Sequence[Posterior]) -> _Beliefs:
    """The same with one segment's arms as they are without the others."""
    means, slopes = beliefs.means.copy(), beliefs.slopes.copy()
    cells = slice(0, len(posteriors))
    variances = np.array([posterior.sd**2 for posterior in posteriors])
    means[:, segment, cells] = [posterior.mean for posterior in posteriors]
    slopes[:, segment] = 1.0
    return _Beliefs(beliefs.weights, means, slopes, beliefs.believed.standing_alone(segment, variances))
