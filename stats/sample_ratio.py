"""Sample ratio: do the visitors that came divide as they should have (chi-square, Pearson 1900)?"""

from collections.abc import Sequence
from typing import NamedTuple

from scipy import special


class SampleRatio(NamedTuple):
    """The chi-square statistic, its degrees of freedom, and the chance of one as large if all is well."""

    statistic: float
    p_value: float
    degrees: int


def sample_ratio_test(observed: Sequence[float], expected_shares: Sequence[float]) -> SampleRatio:
    """Visitors per arm against the shares that they were given with.

    An arm without share and visitors says nothing; one without share but with visitors cannot be: p is 0. One arm, or
    no visitors, proves nothing: p is 1. Raises ValueError unless there are as many shares as arms and a positive sum.
    """
    if len(observed) != len(expected_shares):
        raise ValueError(f"{len(observed)} arms observed and {len(expected_shares)} shares, must be as many")
    total, whole = sum(observed), sum(expected_shares)
    if not whole > 0:
        raise ValueError(f"shares sum to {whole}, must be positive")
    pairs = [(n, total * share / whole) for n, share in zip(observed, expected_shares, strict=True)]
    if any(n > 0 for n, expected in pairs if expected == 0 and total > 0):
        return SampleRatio(float("inf"), 0.0, max(len(pairs) - 1, 1))
    terms = [(n - expected) ** 2 / expected for n, expected in pairs if expected > 0]
    return _tested(sum(terms), max(len(terms) - 1, 0))


def combine(statistics: Sequence[float], degrees: Sequence[int]) -> float:
    """The p-value of several independent tests as one: chi-squares and their degrees add."""
    return _tested(sum(statistics), sum(degrees)).p_value


def _tested(statistic: float, degrees: int) -> SampleRatio:
    return SampleRatio(statistic, float(special.chdtrc(degrees, statistic)) if degrees else 1.0, degrees)
