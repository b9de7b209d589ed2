"""Evidence that two arms convert alike, so that arms that are equal come to an end soonest."""

import math

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray

from stats.evidence import ceilings_for_gain
from stats.evidence import evidence_for_no_gain

Array = NDArray[np.float64]


def evidence_for_equality(
    conversions_tailored: ArrayLike, conversions_mass: ArrayLike, shares: ArrayLike, *, margin: float
) -> Array:
    """Log evidence against "tailored converts better by the margin or more", fastest where both convert alike.

    The likelihood ratio of r = 1 against r = 1 + margin, of conversions that are the tailored arm's with chance
    e r / (e r + 1 - e): log E = Σ_k (t_k + m_k) log(1 + e_k margin) - t_k log(1 + margin). It falls with each t_k, so
    that 1 + margin is the least favourable of the ratios it speaks against (Wald 1945,
    https://doi.org/10.1214/aoms/1177731118).

    Args:
        conversions_tailored, conversions_mass: t_k and m_k, conversions per stratum of constant propensities.
        shares: e_k, propensity of tailored / (propensity of tailored + that of mass), one per stratum.
        margin: above 0.
    """
    if not 0 < margin < math.inf:
        raise ValueError(f"margin is {margin}, must be finite and above 0")
    return _for_equality(conversions_tailored, conversions_mass, shares, margin=margin)


def evidence_for_mass(
    conversions_tailored: ArrayLike, conversions_mass: ArrayLike, shares: ArrayLike, *, margin: float
) -> Array:
    """Log evidence against "tailored converts better by the margin or more", whether it converts alike or worse.

    The mean of the evidence in which it is the faster and of that in which the other is; see `stats.mixtures`.
    """
    strata = conversions_tailored, conversions_mass, shares
    equal, no_gain = evidence_for_equality(*strata, margin=margin), evidence_for_no_gain(*strata, margin=margin)
    return np.asarray(np.logaddexp(equal, no_gain) - math.log(2))


def ceilings_for_mass(
    conversions_tailored: ArrayLike, conversions_mass: ArrayLike, shares: ArrayLike, *, margin: float
) -> Array:
    """What `evidence_for_mass` cannot exceed, for many contests at once; see `ceilings_for_gain`."""
    equal = _for_equality(conversions_tailored, conversions_mass, shares, margin=margin)
    share = np.asarray(shares, np.float64)
    rest = (1 - share) / (1 + share * margin)
    return np.maximum(equal, ceilings_for_gain(conversions_mass, conversions_tailored, rest))


def _for_equality(
    conversions_tailored: ArrayLike, conversions_mass: ArrayLike, shares: ArrayLike, *, margin: float
) -> Array:
    tailored, mass, share = (np.asarray(x, np.float64) for x in (conversions_tailored, conversions_mass, shares))
    return np.asarray(np.sum((tailored + mass) * np.log1p(share * margin) - tailored * math.log1p(margin), axis=-1))
