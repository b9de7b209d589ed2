"""Arms by context: how far the attributes of a segment's visitors change which arm is best.

A context is one combination of attribute values. η_ca = α_c + β_a + Σ_k δ_ak(v) + γ_ca: the context's base, the arm's
overall effect, what value v of attribute k adds to the arm, and what is special to the arm in this combination. It is
the model of `stats.hierarchy` with contexts for segments and more groups. How much an attribute matters, the standard
deviation τ_k of its δ, is the likeliest one of a few under the half-Cauchy prior of `stats.pooling` (empirical Bayes)
with as much for nothing at all, so that an attribute that tells nothing is left out; over the spread of γ every answer
is an average.
"""

from collections.abc import Collection
from collections.abc import Hashable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
import scipy

from stats.hierarchy import Prior
from stats.hierarchy import Sites
from stats.hierarchy import believe
from stats.pooled import Pooled
from stats.pooling import BASE_SD
from stats.pooling import EFFECT_SD
from stats.pooling import SIBLING_SD
from stats.pooling import SPREADS
from stats.pooling import Count
from stats.pooling import pooled_means
from stats.pooling import pooled_rates
from stats.pooling import prior_masses
from stats.pooling import seen_in
from stats.pooling import sites_of_means
from stats.posteriors import NormalPosterior
from stats.rate_sites import Outcomes
from stats.rate_sites import first_sites
from stats.tables import Table
from stats.tables import table

Array = NDArray[np.float64]

# How likely it is beforehand that an attribute tells nothing, and combinations nothing more than their attributes do.
NOTHING = 0.5
# The spreads that stand for all while scales are looked for, and the scales that are tried: each costs a regression.
_FEW, _TRIED = [0, 2, 5, 7], [0, 2, 4, 6, 7, 8]
# Times that every attribute's scale is looked for, given those of the others.
_ROUNDS = 2


class Regressed(NamedTuple):
    """What is believed of the arms in every context.

    Attributes:
        pooled: a row for each context.
        scales: τ_k of each attribute; 0 where it tells nothing.
        shares: what each attribute has of the variance of the arms' differences over visitors, and at the end what is
            special to combinations; all 0 where nothing varies.
    """

    pooled: Pooled
    scales: tuple[float, ...]
    shares: tuple[float, ...]


class _Design(NamedTuple):
    """The groups of the cells: what arms are, and of every attribute each of these with each value.

    Attributes:
        members: shape (contexts, cells, groups).
        attribute: of each group the attribute's place; -1 of an arm by itself.
        own: the covariance of the arms' own effects.
    """

    members: Array
    attribute: NDArray[np.intp]
    own: Array

    def effects(self, scales: Sequence[float]) -> Array:
        """The covariance of the groups' effects."""
        covariance = np.diag(np.append(scales, 0.0)[self.attribute] ** 2)
        covariance[: len(self.own), : len(self.own)] = self.own
        return covariance


def regress_rates(
    counts: Sequence[Mapping[str, Count]],
    traits: Sequence[Sequence[Hashable]],
    *,
    roles: Mapping[str, str] | None = None,
    candidates: Collection[str] | None = None,
) -> Regressed:
    """Rates by context, from effective counts.

    Args:
        counts: for each context the arms, zeros where one has no visitors yet.
        traits: for each context the values of the attributes, in one order; contexts of several segments have their
            segment as one of these.
        roles, candidates: as for `stats.pooling.pool_rates`.
    """
    places = table(counts, roles=roles or {}, candidates=candidates)
    design, seen = _design(places, traits), seen_in(places, counts)
    sites = first_sites(Outcomes(seen.successes, seen.visitors, seen.origin()))
    prior = Prior(SPREADS, seen.base(), BASE_SD, design.effects(np.zeros(_width(traits)).tolist()), design.members)
    scales = _scales(design, prior, sites, attributes=_width(traits))
    pooled = pooled_rates(
        places, counts, members=design.members, effects=design.effects(scales), nothing=NOTHING
    )
    return Regressed(pooled, scales, _shares(places, design, pooled, visitors=seen.visitors.sum(axis=1)))


def regress_means(
    estimates: Sequence[Mapping[str, NormalPosterior]],
    traits: Sequence[Sequence[Hashable]],
    *,
    visitors: Sequence[float],
    roles: Mapping[str, str] | None = None,
    candidates: Collection[str] | None = None,
) -> Regressed:
    """Means by context, each known with a Normal error; scales in units of the typical mean."""
    places = table(estimates, roles=roles or {}, candidates=candidates)
    design = _design(places, traits)
    none = design.effects([0.0] * _width(traits))
    sites, prior = sites_of_means(places, estimates, members=design.members, effects=none)
    unit = float(prior.spreads[-1] / SPREADS[-1])
    scales = _scales(design, prior, sites, attributes=_width(traits), unit=unit)
    pooled = pooled_means(
        places, estimates, members=design.members, effects=design.effects(scales), nothing=NOTHING
    )
    return Regressed(pooled, scales, _shares(places, design, pooled, visitors=np.array(visitors, np.float64)))


def _width(traits: Sequence[Sequence[Hashable]]) -> int:
    return len(traits[0]) if traits else 0


def _design(places: Table, traits: Sequence[Sequence[Hashable]]) -> _Design:
    members, attribute = [places.members], [np.full(places.members.shape[2], -1)]
    for place, values in enumerate(zip(*traits, strict=True)):
        different = {value: code for code, value in enumerate(dict.fromkeys(values))}
        has = np.eye(len(different))[[different[value] for value in values]]
        pairs = (places.members[:, :, :, None] * has[:, None, None, :]).reshape(*places.present.shape, -1)
        # An arm of one segment never meets the values of another: the cost grows with the square of the groups.
        members.append(pairs[:, :, pairs.any(axis=(0, 1))])
        attribute.append(np.full(members[-1].shape[2], place))
    own = places.effect_prior(effect_sd=EFFECT_SD, sibling_sd=SIBLING_SD)
    return _Design(np.concatenate(members, axis=2), np.concatenate(attribute), own)


def _scales(
    design: _Design, prior: Prior, sites: Sites, *, attributes: int, unit: float = 1.0
) -> tuple[float, ...]:
    """The likeliest scale of every attribute, found one after another."""
    masses, scales = np.log(prior_masses(nothing=NOTHING)), np.zeros(attributes)
    few = prior._replace(spreads=prior.spreads[_FEW])

    def evidence(place: int, scale: float) -> float:
        tried = scales.copy()
        tried[place] = scale
        found = believe(few._replace(effects=design.effects(tried.tolist()) * unit**2), sites)
        return float(scipy.special.logsumexp(masses[_FEW] + found.log_evidence))

    for _ in range(_ROUNDS):
        before = scales.copy()
        for place in range(attributes):
            found = [evidence(place, scale) for scale in SPREADS[_TRIED].tolist()]
            scales[place] = SPREADS[_TRIED][np.argmax(masses[_TRIED] + found)]
        if np.array_equal(scales, before):
            break
    return tuple(scales.tolist())


def _shares(places: Table, design: _Design, pooled: Pooled, *, visitors: Array) -> tuple[float, ...]:
    believed, weights = pooled.beliefs.believed, pooled.beliefs.weights
    effects = np.tensordot(weights, believed.effect_means, axes=1)
    attributes = int(design.attribute.max(initial=-1)) + 1
    parts = [design.members @ np.where(design.attribute == place, effects, 0.0) for place in range(attributes)]
    own = np.tensordot(weights, believed.mean, axes=1) - design.members @ effects
    variances = np.array([_variance(part, places, visitors) for part in (*parts, own)])
    return tuple((variances / (variances.sum() or 1.0)).tolist())


def _variance(part: Array, places: Table, visitors: Array) -> float:
    """Of the differences of the candidates, over the visitors of all contexts."""
    shown = places.candidates & (places.candidates.sum(axis=1) > 1)[:, None]
    arms = np.maximum(shown.sum(axis=1, keepdims=True), 1)
    differences = np.where(shown, part - np.where(shown, part, 0.0).sum(axis=1, keepdims=True) / arms, 0.0)
    weights = visitors / (visitors.sum() or 1.0)
    centred = differences - weights @ differences
    return float(weights @ (centred**2).sum(axis=1))
