"""A ceiling is never below the evidence, and near enough to exclude most contests that cannot be called."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stats.equality import ceilings_for_mass
from stats.equality import evidence_for_mass
from stats.evidence import ceilings_for_gain
from stats.evidence import evidence_for_gain

STRATA = st.lists(
    st.tuples(st.integers(0, 3000), st.integers(0, 3000), st.floats(0.001, 0.999)), min_size=1, max_size=12
)


@given(STRATA)
def test_no_evidence_exceeds_its_ceiling(strata: list[tuple[int, int, float]]) -> None:
    tailored, mass, shares = np.array(strata, dtype=np.float64).T
    slack = 1e-6 * (1 + tailored.sum() + mass.sum())
    assert evidence_for_gain(tailored, mass, shares) <= ceilings_for_gain(tailored, mass, shares) + slack
    margin = 0.1
    assert evidence_for_mass(tailored, mass, shares, margin=margin) <= slack + ceilings_for_mass(
        tailored, mass, shares, margin=margin
    )


def test_many_contests_at_once_have_the_ceilings_of_each_alone() -> None:
    rng = np.random.default_rng(1)
    tailored, mass, shares = rng.poisson(30, (5, 4)), rng.poisson(20, (5, 4)), rng.uniform(0.2, 0.8, (5, 4))
    alone = [ceilings_for_gain(*one) for one in zip(tailored, mass, shares, strict=True)]
    np.testing.assert_allclose(ceilings_for_gain(tailored, mass, shares), alone)


def test_strata_without_conversions_or_choice_change_nothing() -> None:
    padded = ceilings_for_gain([30, 0, 9], [20, 0, 5], [0.5, 0.3, 1.0])
    np.testing.assert_allclose(padded, ceilings_for_gain([30], [20], [0.5]))


def test_equal_arms_are_nearly_all_excluded() -> None:
    rng = np.random.default_rng(1)
    both = rng.poisson(200, (400, 3))
    tailored = rng.binomial(both, 0.5)
    ceilings = ceilings_for_gain(tailored, both - tailored, 0.5)
    assert np.mean(ceilings < math.log(20)) > 0.85
