"""What partial pooling found: each arm in each segment, differences of arms, and how much segments differ."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
import scipy

from stats.checks import between
from stats.checks import finite
from stats.hierarchy import Believed
from stats.posteriors import Posterior
from stats.uplifts import Uplift

Array = NDArray[np.float64]


class PooledArm(NamedTuple):
    """An arm in a segment.

    Attributes:
        probability_best: among the segment's candidates; 0 for an arm that is none.
        mean, sd: of its rate less its cost, or of its mean.
    """

    probability_best: float
    mean: float
    sd: float


class Spread(NamedTuple):
    """How much the effects of arms differ between segments.

    Attributes:
        mean: the expected standard deviation τ, in log odds for rates, else in the unit of the means.
        complete: the chance that τ is too small to matter, so that pooling is complete.
    """

    mean: float
    complete: float


class Beliefs(NamedTuple):
    """What is believed for each spread; shapes (spreads) and (spreads, segments, cells).

    Attributes:
        weights: of the spreads; sum to 1.
        means: in the unit of the answer.
        slopes: turn the model's η into that unit.
        believed: η.
    """

    weights: Array
    means: Array
    slopes: Array
    believed: Believed

    def mean(self) -> Array:
        """Over the spreads; shape (segments, cells)."""
        return np.asarray(np.tensordot(self.weights, self.means, axes=1))

    def sd(self) -> Array:
        """Over the spreads; shape (segments, cells)."""
        variances = self.slopes**2 * self.believed.variance + (self.means - self.mean()) ** 2
        return np.asarray(np.sqrt(np.tensordot(self.weights, variances, axes=1)))

    def covariance(self) -> Array:
        """Of the cells in each segment, in the unit of the answer; shape (spreads, segments, cells, cells)."""
        return self.believed.covariance() * self.slopes[..., :, None] * self.slopes[..., None, :]

    def within(self, segment: int) -> "Beliefs":
        """What is believed of one segment."""
        rows = slice(segment, segment + 1)
        return Beliefs(self.weights, self.means[:, rows], self.slopes[:, rows], self.believed.within(rows))

    def with_exact(self, segment: int, posteriors: Sequence[Posterior]) -> "Beliefs":
        """The same with one segment's arms as they are without the other segments."""
        means, slopes = self.means.copy(), self.slopes.copy()
        means[:, segment, : len(posteriors)] = [posterior.mean for posterior in posteriors]
        slopes[:, segment] = 1.0
        variances = np.array([posterior.sd**2 for posterior in posteriors])
        return Beliefs(self.weights, means, slopes, self.believed.standing_alone(segment, variances))

    def combination(self, coefficients: Array, mass: float) -> Uplift:
        """Σ coefficient·mean: the mixture's mean and standard deviation, Normal quantiles, and P(sum > 0)."""
        means = (self.means * coefficients).sum(axis=(1, 2))
        sds = np.sqrt(self.believed.variance_of(self.slopes * coefficients))
        mean = float(self.weights @ means)
        sd = float(np.sqrt(self.weights @ (sds**2 + (means - mean) ** 2)))
        half_width = -float(scipy.special.ndtri((1 - between(mass, "mass", low=0, high=1)) / 2)) * sd
        above = scipy.special.ndtr(means / np.maximum(sds, np.finfo(np.float64).tiny))
        return Uplift(mean, mean - half_width, mean + half_width, float(self.weights @ above))


@dataclass(frozen=True)
class Pooled:
    """The posterior of all arms in all segments, in the order in which they were given.

    Attributes:
        arms: for each segment, its arms by key.
        spread: what is believed of τ.
        beliefs: what it all rests on.
    """

    arms: tuple[dict[str, PooledArm], ...]
    spread: Spread
    beliefs: Beliefs

    def gain(self, segment: int, arm: str, reference: str, *, mass: float = 0.95) -> Uplift:
        """The shrunken difference of two arms in a segment.

        Shrinkage removes the winner's curse from the mean; the interval holds this mass of the posterior, and does not
        cover a segment that truly is unlike the others.
        """
        coefficients = np.zeros((1, self.beliefs.means.shape[-1]))
        places = list(self.arms[segment])
        coefficients[0, places.index(arm)] += 1.0
        coefficients[0, places.index(reference)] -= 1.0
        return self.beliefs.within(segment).combination(coefficients, mass)

    def combination(self, coefficients: Sequence[Mapping[str, float]], *, mass: float = 0.95) -> Uplift:
        """Σ coefficient·mean over arms of all segments, whose errors are correlated through what they share.

        With the shares of visitors as coefficients of the arms of a mix, and their negatives for those of one message,
        it is what the mix gains per visitor. Coefficients by segment, in the order given, and arm.
        """
        cells = np.zeros(self.beliefs.means.shape[1:])
        for row, known, wanted in zip(cells, self.arms, coefficients, strict=True):
            places = list(known)
            for arm, coefficient in wanted.items():
                row[places.index(arm)] = finite(coefficient, "coefficient")
        return self.beliefs.combination(cells, mass)
