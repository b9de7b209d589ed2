"""Arms in segments as one linear model with Normal errors, for every spread between segments at once.

η_sa = α_s + Σ β_g + γ_sa: α_s the segment's base, β_g the overall effects of what the arm is one of, γ_sa ~ N(0, τ²)
what is special to this arm in this segment. What was seen of η_sa is a site, a factor exp(h·η - π·η²/2), so that cells
without visitors are sites of 0. Everything is written with 1 + π·τ², which is finite for τ = 0 (complete pooling) and
for any number of visitors (Gelman and Hill 2007, "Data analysis using regression and multilevel/hierarchical models",
chapter 12; the elimination of α_s and then of β is that of a block-arrow matrix).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Prior(NamedTuple):
    """What is believed before anything was seen.

    Attributes:
        spreads: τ, increasing from 0; shape (spreads).
        base: the expected α_s; shape (segments).
        base_sd: its standard deviation, one for all segments.
        effects: the covariance of β; shape (groups, groups).
        members: 1 where a cell is one of a group, of one or of several, 0 elsewhere; shape (segments, cells, groups).
    """

    spreads: Array
    base: Array
    base_sd: float
    effects: Array
    members: Array


class Sites(NamedTuple):
    """What was seen of each η_sa: precision π and shift h; shape (spreads or 1, segments, cells)."""

    precision: Array
    shift: Array


class Believed(NamedTuple):
    """The posterior for each spread.

    Attributes:
        mean, variance: of η; shape (spreads, segments, cells).
        own: the part of the variance that a cell shares with no other, τ² / (1 + πτ²); the same shape.
        shrinkage: 1 / (1 + πτ²), how far η follows α + β; the same shape.
        loadings: how α_s + β_g - its own error hangs on β; shape (spreads, segments, cells, groups).
        effects, effect_means: the covariance of β, shape (spreads, groups, groups), and what is expected of it.
        base_variance: of α_s given β; shape (spreads, segments).
        log_evidence: log of the integral of prior and sites; shape (spreads).
    """

    mean: Array
    variance: Array
    own: Array
    shrinkage: Array
    loadings: Array
    effects: Array
    effect_means: Array
    base_variance: Array
    log_evidence: Array

    def covariance(self) -> Array:
        """Of the cells within each segment; shape (spreads, segments, cells, cells)."""
        loaded = self.shrinkage[..., None] * self.loadings
        through_effects = loaded @ self.effects[:, None] @ np.swapaxes(loaded, -1, -2)
        through_base = self.shrinkage[..., :, None] * self.shrinkage[..., None, :] * self.base_variance[..., None, None]
        return through_effects + through_base + self.own[..., None] * np.eye(self.own.shape[-1])

    def variance_of(self, coefficients: Array) -> Array:
        """Of Σ coefficient·η over all cells; coefficients (spreads, segments, cells), result (spreads)."""
        followed = coefficients * self.shrinkage
        on_effects = np.einsum("tsc,tscg->tg", followed, self.loadings)
        through_effects = np.einsum("tg,tgh,th->t", on_effects, self.effects, on_effects)
        through_base = (followed.sum(axis=2) ** 2 * self.base_variance).sum(axis=1)
        return np.asarray(through_effects + through_base + (coefficients**2 * self.own).sum(axis=(1, 2)))

    def only(self, spreads: NDArray[np.intp]) -> "Believed":
        """The posterior for some of the spreads."""
        return Believed(*(part[spreads] for part in self))

    def within(self, segments: slice) -> "Believed":
        """The posterior of some of the segments."""
        by_segment = {
            name: getattr(self, name)[:, segments]
            for name in ("mean", "variance", "own", "shrinkage", "loadings", "base_variance")
        }
        return self._replace(**by_segment)

    def standing_alone(self, segment: int, variances: Array) -> "Believed":
        """The same but for one segment, whose cells (the first ones) vary on their own by these variances."""
        variance, own, shrinkage = self.variance.copy(), self.own.copy(), self.shrinkage.copy()
        for part in (variance, own):
            part[:, segment, : len(variances)] = variances
        shrinkage[:, segment] = 0.0
        return self._replace(variance=variance, own=own, shrinkage=shrinkage)


def believe(prior: Prior, sites: Sites) -> Believed:
    """The posterior of every η given the sites, exactly."""
    squares = prior.spreads[:, None, None] ** 2
    shrinkage = 1 / (1 + sites.precision * squares)
    weights = sites.precision * shrinkage
    shifts = sites.shift * shrinkage
    base_precision = prior.base_sd**-2
    precision = weights.sum(axis=2) + base_precision
    pull = shifts.sum(axis=2) + base_precision * prior.base
    by_group = _grouped(weights, prior.members)
    shared = by_group / precision[..., None]
    effects, effect_means, effect_evidence = _effects(prior, weights, shifts, by_group, shared, pull)
    base = pull / precision - (shared @ effect_means[..., None])[..., 0]
    expected = base[..., None] + _spread_out(effect_means, prior.members)
    loadings = prior.members - shared[:, :, None, :]
    through_effects = ((loadings @ effects[:, None]) * loadings).sum(axis=3)
    own = squares * shrinkage
    return Believed(
        mean=own * sites.shift + shrinkage * expected,
        variance=own + shrinkage**2 * (through_effects + 1 / precision[..., None]),
        own=own,
        shrinkage=shrinkage,
        loadings=loadings,
        effects=effects,
        effect_means=effect_means,
        base_variance=1 / precision,
        log_evidence=effect_evidence
        + 0.5 * (np.log(shrinkage) + own * sites.shift**2).sum(axis=(1, 2))
        + 0.5 * (pull**2 / precision - np.log(precision) + np.log(base_precision)).sum(axis=1)
        - 0.5 * base_precision * (prior.base**2).sum(),
    )


def _grouped(values: Array, members: Array) -> Array:
    """Sums by group in each segment; shape (spreads, segments, groups)."""
    return np.asarray((values[:, :, None, :] @ members)[:, :, 0])


def _spread_out(effects: Array, members: Array) -> Array:
    """Each cell's own entry of values by group; shape (spreads, segments, cells)."""
    return np.asarray((members @ effects[:, None, :, None])[..., 0])


def _effects(
    prior: Prior, weights: Array, shifts: Array, by_group: Array, shared: Array, pull: Array
) -> tuple[Array, Array, Array]:
    """Covariance and mean of β with every α_s integrated out, and what they add to the evidence."""
    groups = len(prior.effects)
    members = prior.members.reshape(prior.members.shape[0] * prior.members.shape[1], groups)
    together: Array = (weights.reshape(len(weights), 1, len(members)) * members.T) @ members
    information: Array = together - np.swapaxes(by_group, 1, 2) @ shared
    towards = _grouped(shifts, prior.members).sum(axis=1) - (pull[:, None, :] @ shared)[:, 0]
    # P (I + H P)^-1, which needs no inverse of P: arms may be known to act alike.
    system = np.eye(groups) + prior.effects @ information
    covariance: Array = np.asarray(np.linalg.solve(system, np.broadcast_to(prior.effects, system.shape)), np.float64)
    means = (covariance @ towards[..., None])[..., 0]
    evidence = 0.5 * (means * towards).sum(axis=1) - 0.5 * np.linalg.slogdet(system)[1]
    return covariance, means, evidence
