"""Do the arms have the visitors that their weights promised?"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]


class SampleRatio(NamedTuple):
    """A goodness-of-fit test of counts against shares.

    Attributes:
        statistic: Pearson's chi-square; 0 without visitors, infinite if an arm of share 0 has visitors.
        degrees: arms with a share above 0, less 1; 0 without visitors, which adds nothing to a combination.
        p_value: the chance of a statistic at least as large if the shares hold; 1 with nothing to test.
    """

    statistic: float
    degrees: int
    p_value: float


def sample_ratio_test(observed: ArrayLike, expected_shares: ArrayLike) -> SampleRatio:
    """Pearson's test (1900, https://doi.org/10.1080/14786440009463897) of visitors per arm.

    Args:
        observed: visitors, one entry per arm.
        expected_shares: weights in any unit, one per arm; arms of share 0 without visitors are left out.

    Raises ValueError for negative or unequal numbers of entries, or if no share is above 0.
    """
    counts = _counts(observed, "observed")
    shares = _counts(expected_shares, "expected_shares")
    if counts.shape != shares.shape:
        raise ValueError(f"expected_shares has {len(shares)} entries, must have {len(counts)} as observed has")
    if not shares.sum() > 0:
        raise ValueError(f"expected_shares is {shares.tolist()}, must have a share above 0")
    total = counts.sum()
    if total == 0:
        return SampleRatio(0.0, 0, 1.0)
    open_arms = shares > 0
    degrees = int(open_arms.sum()) - 1
    if counts[~open_arms].any():
        return SampleRatio(np.inf, degrees, 0.0)
    expected = total * shares[open_arms] / shares.sum()
    return combine([float(((counts[open_arms] - expected) ** 2 / expected).sum())], [degrees])


def combine(statistics: Sequence[float], degrees: Sequence[int]) -> SampleRatio:
    """One test over epochs of different weights: independent chi-squares and their degrees add up."""
    statistic, freedom = float(sum(statistics)), int(sum(degrees))
    if freedom == 0:
        return SampleRatio(statistic, 0, 0.0 if statistic == np.inf else 1.0)
    return SampleRatio(statistic, freedom, float(special.chdtrc(freedom, statistic)))


def _counts(values: ArrayLike, name: str) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(f"{name} is {array.tolist()}, must be a list of finite numbers that are not negative")
    return array
