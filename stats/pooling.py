"""Partial pooling: what the segments together say of each arm in each segment.

The effect of an arm in a segment shrinks towards its overall effect as far as the data say: completely where segments
do not differ by more than chance, not at all where they clearly do. How far is itself uncertain, so every answer is an
average over the spread τ between segments, with a half-Cauchy prior (Gelman 2006, "Prior distributions for variance
parameters in hierarchical models", https://doi.org/10.1214/06-BA117A). No random numbers are used.

Rates are pooled as log odds, so that one relative effect over different base rates needs no spread, and by expectation
propagation, so that few conversions do little harm (`stats.rate_sites`). Means are pooled as they stand. The model is
in `stats.hierarchy`, the last step from posteriors to P(best) in `stats.contenders`.
"""

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
import scipy

from stats import contenders
from stats.checks import finite
from stats.checks import not_negative
from stats.hierarchy import Prior
from stats.hierarchy import Sites
from stats.hierarchy import believe
from stats.pooled import Beliefs
from stats.pooled import Pooled
from stats.pooled import PooledArm
from stats.pooled import Spread
from stats.posteriors import BetaPosterior
from stats.posteriors import NormalPosterior
from stats.posteriors import Posterior
from stats.ranking import probability_best
from stats.rate_sites import Outcomes
from stats.rate_sites import rates
from stats.tables import Table
from stats.tables import table

Array = NDArray[np.float64]

# The prior's scale of τ, and the values of τ that stand for it, each for the stretch up to half way to the next.
SPREAD_SCALE = 0.4
SPREADS = np.array([0.0, 0.05, 0.1, 0.17, 0.26, 0.4, 0.65, 1.1, 2.0])
# Weak: a standard deviation more is 4 times the odds between two arms, 1.5 times between arms of one role that are open
# in several segments, 7 times between bases. For means all of these are in units of the typical mean.
EFFECT_SD = 1.0
SIBLING_SD = 0.4
BASE_SD = 2.0
BASE_SD_OF_MEANS = 10.0
# Spreads of less weight than this are left out.
_NEGLIGIBLE = 1e-4
# Costs that are alike but for rounding, in conversions' worth.
_SAME_COST = 1e-12
# Means known better than to this part of the typical mean count as known so well, or sums of precisions lose digits.
_FINEST = 1e-5


class Count(NamedTuple):
    """An arm's effective visitors in a segment by outcome, and the cost of showing it to one, in conversions' worth."""

    successes: float
    failures: float
    cost: float = 0.0


class Seen(NamedTuple):
    """Successes, failures and costs; shape (segments, cells)."""

    successes: Array
    failures: Array
    costs: Array

    @property
    def visitors(self) -> Array:
        """Those of each cell."""
        return np.asarray(self.successes + self.failures)

    def base(self) -> Array:
        """The log odds over all cells, from each segment's origin; shape (segments)."""
        won, lost = self.overall()
        return np.asarray(np.log(won / lost) - self.origin()[:, 0])

    def overall(self) -> tuple[float, float]:
        """How many of one visitor succeed and fail over all cells, neither ever 0."""
        won, lost = self.successes.sum() + 0.5, self.failures.sum() + 0.5
        return won / (won + lost), lost / (won + lost)

    def origin(self) -> Array:
        """The log odds of each segment over its arms and one visitor like all others; shape (segments, 1)."""
        won, lost = self.overall()
        successes, failures = (part.sum(axis=1, keepdims=True) for part in (self.successes, self.failures))
        return np.asarray(np.log(successes + won) - np.log(failures + lost))


def pool_rates(
    counts: Sequence[Mapping[str, Count]],
    *,
    roles: Mapping[str, str] | None = None,
    candidates: Collection[str] | None = None,
) -> Pooled:
    """Pool rates from effective counts: logit η_sa = α_s + β_a + γ_sa.

    Args:
        counts: for each segment, its open arms by key; zeros where an arm has no visitors yet.
        roles: arms of one role share an overall effect, as do tailored arms that are made one for each segment. An arm
            of a role that is open in several segments departs from it by an effect of its own. Arms without a role
            stand for themselves.
        candidates: the arms that are ranked; all where None, and without any it costs a third less.

    Where only one segment has visitors, its arms have the exact Beta(1, 1) posteriors. Segments without visitors get
    what the others suggest. Raises ValueError for counts below 0 or not finite.
    """
    places = table(counts, roles=roles or {}, candidates=candidates)
    return pooled_rates(places, counts, members=places.members, effects=_effect_prior(places))


def pooled_rates(
    places: Table, counts: Sequence[Mapping[str, Count]], *, members: Array, effects: Array, nothing: float = 0.0
) -> Pooled:
    """Rates pooled with these groups and this covariance of their effects, as `stats.hierarchy.Prior` has them.

    `nothing` is the chance that there is no spread, beforehand.
    """
    seen = seen_in(places, counts)
    origin = seen.origin()
    found = rates(
        Prior(SPREADS, seen.base(), BASE_SD, effects, members), Outcomes(seen.successes, seen.visitors, origin)
    )
    weights, kept = _weights(found.believed.log_evidence, found.spreads, nothing=nothing)
    believed = found.believed.only(kept)
    slopes = np.sqrt(found.variance[kept] / believed.variance)
    beliefs = Beliefs(weights[found.spreads[kept]], found.mean[kept] - seen.costs, slopes, believed)
    best = _best_of_rates(places, beliefs, seen, origin) if places.candidates.any() else np.zeros(places.present.shape)
    return _pooled(places, beliefs, best, _alone(seen, places), _spread(weights, SPREADS))


def pool_means(
    estimates: Sequence[Mapping[str, NormalPosterior]],
    *,
    roles: Mapping[str, str] | None = None,
    candidates: Collection[str] | None = None,
) -> Pooled:
    """Pool means, each known with a Normal error: mean_sa = α_s + β_a + γ_sa.

    The scale of τ, and of all that is weakly believed, goes by the typical mean: the root mean square over cells,
    weighted by precision, or the typical error where all means are 0. So the answer follows a change of unit. Arguments
    as for `pool_rates`; an arm without visitors has a posterior as wide as one visitor's value. A single segment keeps
    its posteriors as they are.
    """
    places = table(estimates, roles=roles or {}, candidates=candidates)
    return pooled_means(places, estimates, members=places.members, effects=_effect_prior(places))


def pooled_means(
    places: Table,
    estimates: Sequence[Mapping[str, NormalPosterior]],
    *,
    members: Array,
    effects: Array,
    nothing: float = 0.0,
) -> Pooled:
    """Means pooled with these groups and this covariance of their effects, in squares of the typical mean."""
    sites, prior = sites_of_means(places, estimates, members=members, effects=effects)
    believed = believe(prior, sites)
    weights, kept = _weights(believed.log_evidence, np.arange(len(SPREADS)), nothing=nothing)
    believed = believed.only(kept)
    beliefs = Beliefs(weights[kept], believed.mean, np.ones_like(believed.mean), believed)
    alone: dict[int, list[Posterior]] = {0: list(estimates[0].values())} if len(estimates) == 1 else {}
    best = _best(places, beliefs, _as_they_stand(places, beliefs))
    return _pooled(places, beliefs, best, alone, _spread(weights, prior.spreads))


def sites_of_means(
    places: Table, estimates: Sequence[Mapping[str, NormalPosterior]], *, members: Array, effects: Array
) -> tuple[Sites, Prior]:
    """What estimates say, and what is believed before them."""
    means, sds = places.cells([[(one.mean, one.sd) for one in row.values()] for row in estimates], width=2)
    unit = _typical(means[places.present], sds[places.present])
    precision = np.where(places.present, np.maximum(sds, _FINEST * unit) ** -2.0, 0.0)
    base = np.full(len(means), (precision * means).sum() / max(precision.sum(), np.finfo(np.float64).tiny))
    prior = Prior(SPREADS * unit, base, BASE_SD_OF_MEANS * unit, effects * unit**2, members)
    return Sites(precision[None], (precision * means)[None]), prior


def seen_in(places: Table, counts: Sequence[Mapping[str, Count]]) -> Seen:
    """What counts say, at the places of their arms."""
    for row in counts:
        for count in row.values():
            not_negative(count.successes, "successes")
            not_negative(count.failures, "failures")
            finite(count.cost, "cost")
    successes, failures, costs = places.cells([list(row.values()) for row in counts], width=3)
    return Seen(successes, failures, costs)


def _effect_prior(places: Table) -> Array:
    return places.effect_prior(effect_sd=EFFECT_SD, sibling_sd=SIBLING_SD)


def _typical(means: Array, sds: Array) -> float:
    if not len(means):
        return 1.0
    precision = (sds / sds.min()) ** -2.0
    return float(np.sqrt((precision * means**2).sum() / precision.sum()) or sds.min())


def prior_masses(*, nothing: float = 0.0) -> Array:
    """The prior's mass of every spread, a half-Cauchy's from half way to the one before to half way to the next.

    It is for what is left where a part is kept for there being none at all.
    """
    edges = np.append((SPREADS[1:] + SPREADS[:-1]) / 2, np.inf)
    masses = (1 - nothing) * np.diff(2 / np.pi * np.arctan(edges / SPREAD_SCALE), prepend=0.0)
    masses[0] += nothing
    return masses


def _weights(
    log_evidence: Array, spreads: NDArray[np.intp], *, nothing: float
) -> tuple[Array, NDArray[np.intp]]:
    """The posterior weight of every spread, of which some have evidence, and the places of those that matter."""
    known = prior_masses(nothing=nothing)[spreads] * np.exp(log_evidence - log_evidence.max())
    kept = np.flatnonzero(known > _NEGLIGIBLE * known.max())
    weights = np.zeros(len(SPREADS))
    weights[spreads[kept]] = known[kept] / known[kept].sum()
    return weights, kept


def _spread(weights: Array, spreads: Array) -> Spread:
    return Spread(float(weights @ spreads), float(weights[0]))


def _differ(costs: Array, places: Table) -> bool:
    """Whether costs can change the order of the candidates of some segment."""
    highest = np.where(places.candidates, costs, -np.inf).max(axis=1)
    lowest = np.where(places.candidates, costs, np.inf).min(axis=1)
    return bool((highest - lowest > _SAME_COST).any())


def _best(places: Table, beliefs: Beliefs, axis: tuple[Array, Array]) -> Array:
    """Σ_τ w(τ)·P(best | τ); shape (segments, cells)."""
    shape = beliefs.means.shape
    contests = (-1, shape[-1])
    candidates = np.broadcast_to(places.candidates, shape).reshape(contests)
    shares = contenders.best(axis[0].reshape(contests), axis[1].reshape(contests), candidates).reshape(shape)
    best = np.tensordot(beliefs.weights, shares, axes=1)
    total = best.sum(axis=-1, keepdims=True)
    return np.asarray(best / np.where(total > 0, total, 1.0))


def _best_of_rates(places: Table, beliefs: Beliefs, seen: Seen, origin: Array) -> Array:
    """The same for rates, which are ranked as they stand only where costs tell."""
    if _differ(seen.costs, places):
        return _best(places, beliefs, _as_they_stand(places, beliefs))
    own = contenders.own_variances(beliefs.believed.covariance(), places.candidates)
    typical = np.broadcast_to(scipy.special.expit(origin), own.shape)
    return _best(places, beliefs, contenders.symmetrised(beliefs.believed.mean + origin, own, typical))


def _as_they_stand(places: Table, beliefs: Beliefs) -> tuple[Array, Array]:
    """Means, and variances of their own, by which arms are ranked."""
    return beliefs.means, contenders.own_variances(beliefs.covariance(), places.candidates)


def _alone(seen: Seen, places: Table) -> dict[int, list[Posterior]]:
    """The exact posteriors of the segment with visitors, where there is just one."""
    known = np.flatnonzero((seen.successes + seen.failures).any(axis=1))
    if len(known) != 1:
        return {}
    segment = int(known[0])
    arms = len(places.arms[segment])
    figures = zip(*(part[segment, :arms].tolist() for part in seen), strict=True)
    posteriors = [(BetaPosterior(1 + won, 1 + lost), cost) for won, lost, cost in figures]
    if seen.costs[segment].any():
        return {segment: [NormalPosterior(rate.mean - cost, rate.sd) for rate, cost in posteriors]}
    return {segment: [rate for rate, _ in posteriors]}


def _pooled(
    places: Table, beliefs: Beliefs, best: Array, alone: Mapping[int, Sequence[Posterior]], spread: Spread
) -> Pooled:
    for segment, posteriors in alone.items():
        beliefs = beliefs.with_exact(segment, posteriors)
        ranked = np.flatnonzero(places.candidates[segment]).tolist()
        if ranked:
            best[segment, ranked] = probability_best([posteriors[cell] for cell in ranked])
    figures = np.stack([best, beliefs.mean(), beliefs.sd()], axis=-1).tolist()
    arms = tuple(
        {arm: PooledArm(*cell) for arm, cell in zip(row, cells)} for row, cells in zip(places.arms, figures)
    )
    return Pooled(arms, spread, beliefs)
