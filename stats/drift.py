"""Has a distribution changed: how visitors spread over the values of something then, and lately."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
import scipy

#: Those who have something, and all of them.
Share = tuple[float, float]

#: Added to each count, so that a value that nobody has on one side leaves the index finite.
_HALF = 0.5


@dataclass(frozen=True)
class Drift:
    """How two distributions over the same values differ.

    Attributes:
        index: the population stability index; 0 where they are alike, and without visitors on either side.
        p_value: the chance of a difference at least as large between two samples of one distribution; 1 with nothing
            to test.
    """

    index: float
    p_value: float


def drift(before: ArrayLike, lately: ArrayLike) -> Drift:
    """The drift from one list of counts to another, an entry for each value.

    The index is Σ (q - p) log(q / p) of the shares p and q, Jeffreys' divergence (1946,
    https://doi.org/10.1098/rspa.1946.0056), half a visitor added to each count; the p-value is of Pearson's test of
    homogeneity (1900, https://doi.org/10.1080/14786440009463897). Raises ValueError unless both have as many entries,
    none of them negative.
    """
    counts = np.array([before, lately], np.float64)
    if counts.ndim != 2 or not (np.isfinite(counts) & (counts >= 0)).all():
        raise ValueError(f"counts are {counts.tolist()}, must be finite and not negative")
    met = counts[:, counts.sum(axis=0) > 0]
    totals = met.sum(axis=1, keepdims=True)
    if met.shape[1] < 2 or not totals.all():
        return Drift(0.0, 1.0)
    shares = (met + _HALF) / (met + _HALF).sum(axis=1, keepdims=True)
    index = float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())
    expected = totals * met.sum(axis=0) / totals.sum()
    statistic = float(((met - expected) ** 2 / expected).sum())
    return Drift(index, float(scipy.special.chdtrc(met.shape[1] - 1, statistic)))


def share_change(before: Share, lately: Share, *, mass: float = 0.95) -> tuple[float, float]:
    """The interval of a share now less the share then; -1 to 1 without anybody on either side.

    Newcombe's hybrid of two score intervals (1998, Statistics in Medicine 17, 873-890, method 10).
    """
    if not before[1] or not lately[1]:
        return -1.0, 1.0
    z = -float(scipy.special.ndtri((1 - mass) / 2))
    (p, low_p, high_p), (q, low_q, high_q) = _score(*before, z), _score(*lately, z)
    difference = q - p
    low = difference - math.hypot(q - low_q, high_p - p)
    return low, difference + math.hypot(high_q - q, p - low_p)


def _score(having: float, n: float, z: float) -> tuple[float, float, float]:
    """A share and Wilson's interval (1927, https://doi.org/10.1080/01621459.1927.10502953)."""
    share = having / n
    middle, scale = share + z * z / (2 * n), 1 + z * z / n
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return share, (middle - half) / scale, (middle + half) / scale
