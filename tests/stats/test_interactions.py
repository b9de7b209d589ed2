"""Interactions: what differs in effect is found, what differs in rate alone is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from stats.interactions import Array
from stats.interactions import Cells
from stats.interactions import Mask
from stats.interactions import choose
from stats.interactions import contrasts
from stats.interactions import discoveries
from stats.interactions import p_values
from stats.interactions import ratio
from stats.interactions import unions

CONTEXTS = 24


def cells(reference: Array, arm: Array, won: tuple[Array, Array], *, stratum: int = 0) -> Cells:
    """Two arms in one stratum: visitors, and who of them converted, by context."""
    n, total = np.array([reference, arm], np.float64), np.array(won, np.float64)
    contexts = np.arange(n.shape[1])
    nowhere = np.zeros(n.shape[1], np.intp)
    return Cells(contexts, nowhere + stratum, nowhere, n, total, total.copy())


def together(*some: Cells) -> Cells:
    """The cells of several strata."""
    return Cells(*(np.concatenate(column, axis=-1) for column in zip(*some, strict=True)))


def drawn(
    rng: np.random.Generator, base: Array, relative: Array, *, visitors: int = 64_000, share: float = 0.5
) -> Cells:
    """Visitors drawn into contexts, arms and outcomes."""
    n = rng.multinomial(visitors, np.full(len(base), 1 / len(base)))
    arm = rng.binomial(n, share)
    return cells(n - arm, arm, (rng.binomial(n - arm, base), rng.binomial(arm, base * relative)))


def singles(contexts: int = CONTEXTS) -> Mask:
    """Each context for itself."""
    return np.eye(contexts, dtype=np.bool_)


def nowhere(contexts: int = CONTEXTS) -> np.ndarray:
    """All contexts in one leaf."""
    return np.zeros(contexts, np.intp)


def test_a_contrast_is_what_the_two_by_two_by_two_table_says() -> None:
    # Of 1,000 each, inside 30 and 60 convert, outside 50 and 50: 110 of the arm and 80 of the reference.
    one = cells(np.array([1000, 1000]), np.array([1000, 1000]), (np.array([30, 50]), np.array([60, 50])))
    z = contrasts(one, np.array([[True, False]]), nowhere(2), smallest=0).z[0]
    common = 110 / 80
    score = (60 - common * 30) / 2
    mean0 = np.array([90, 100]) / (1000 * (1 + common))
    variance = 1000 * (common * mean0 * (1 - common * mean0) + common**2 * mean0 * (1 - mean0)) / 4
    part = mean0[0] / mean0.sum()
    assert z == pytest.approx(score / np.sqrt((1 - part) ** 2 * variance[0] + part**2 * variance[1]), rel=1e-12)


def test_both_sides_of_a_group_say_the_same() -> None:
    some = drawn(np.random.default_rng(1), np.full(CONTEXTS, 0.05), np.linspace(0.7, 1.4, CONTEXTS))
    groups = np.random.default_rng(2).random((20, CONTEXTS)) < 0.4
    inside, outside = (contrasts(some, each, nowhere(), smallest=0).z for each in (groups, ~groups))
    assert inside == pytest.approx(-outside, rel=1e-9)


def test_units_change_nothing() -> None:
    rng = np.random.default_rng(3)
    some = drawn(rng, np.full(CONTEXTS, 0.05), np.linspace(0.7, 1.4, CONTEXTS))
    cents = some._replace(total=some.total * 100, total_squares=some.total_squares * 10_000)
    groups = singles()
    assert contrasts(cents, groups, nowhere(), smallest=0).z == pytest.approx(
        contrasts(some, groups, nowhere(), smallest=0).z, rel=1e-9
    )


def test_a_base_rate_that_moves_with_the_allocation_is_no_interaction() -> None:
    # At first 1 % and few of the arm, later 10 % and nearly all; contexts come at different times.
    early = cells(np.array([9000, 900]), np.array([1000, 100]), (np.array([90, 9]), np.array([10, 1])))
    late = cells(
        np.array([100, 1000]), np.array([900, 9000]), (np.array([10, 100]), np.array([90, 900])), stratum=1
    )
    z = contrasts(together(early, late), np.array([[True, False]]), nowhere(2), smallest=0).z
    assert z == pytest.approx([0.0], abs=1e-9)


def test_what_differs_between_parts_is_not_found_within_them() -> None:
    # In one part the arm doubles, in the other it does nothing, whatever the context.
    better = cells(np.array([5000, 1000]), np.array([5000, 1000]), (np.array([250, 50]), np.array([500, 100])))
    alike = cells(
        np.array([1000, 5000]), np.array([1000, 5000]), (np.array([50, 250]), np.array([50, 250])), stratum=1
    )
    group, both = np.array([[True, False]]), together(better, alike)
    assert contrasts(both, group, nowhere(2), smallest=0).z[0] > 4
    parted = both._replace(part=both.stratum)
    assert contrasts(parted, group, nowhere(2), smallest=0).z == pytest.approx([0.0], abs=1e-9)


def test_too_few_tell_nothing() -> None:
    some = cells(np.array([400, 9000]), np.array([99, 9000]), (np.array([0, 450]), np.array([20, 450])))
    group = np.array([[True, False]])
    assert contrasts(some, group, nowhere(2), smallest=499).z[0] > 3
    assert contrasts(some, group, nowhere(2), smallest=500).z[0] == 0
    rare = cells(np.array([4000, 9000]), np.array([4000, 9000]), (np.array([0, 450]), np.array([9, 450])))
    assert contrasts(rare, group, nowhere(2), smallest=0).z[0] == 0


@pytest.mark.parametrize("visitors", [0, 1, 3])
def test_hardly_anybody_is_no_fault(visitors: int) -> None:
    some = cells(np.full(2, visitors), np.full(2, visitors), (np.zeros(2), np.full(2, visitors)))
    assert choose(some, singles(2), np.zeros(2), most=5, smallest=0) == []
    found = ratio(some, np.array([True, False]))
    assert np.isnan(found.ratio) and found.n == (visitors, visitors)


def test_a_ratio_is_that_of_mantel_and_haenszel() -> None:
    early = cells(np.array([900]), np.array([100]), (np.array([9]), np.array([2])))
    late = cells(np.array([100]), np.array([900]), (np.array([10]), np.array([180])), stratum=1)
    found = ratio(together(early, late), np.array([True]))
    assert found.ratio == pytest.approx((2 * 0.9 + 180 * 0.1) / (9 * 0.1 + 10 * 0.9))
    assert found.arm / found.reference == pytest.approx(found.ratio)
    assert found.low < found.ratio < found.high


def test_intervals_of_ratios_hold_the_truth_as_often_as_they_say() -> None:
    rng, everybody = np.random.default_rng(4), np.ones(4, np.bool_)
    base, relative = np.array([0.01, 0.03, 0.05, 0.1]), np.full(4, 1.3)
    found = [ratio(drawn(rng, base, relative, visitors=8000, share=0.3), everybody) for _ in range(1000)]
    # Four standard errors of 95 % over 1,000 are .028.
    assert 0.922 < np.mean([one.low < 1.3 < one.high for one in found]) < 0.978


def test_each_choice_is_what_is_left_beside_those_before_it() -> None:
    contexts = np.arange(CONTEXTS)
    truth = contexts < 12
    some = drawn(np.random.default_rng(5), np.full(CONTEXTS, 0.1), np.where(truth, 1.6, 0.8), visitors=400_000)
    groups = np.array([contexts < 6, truth, contexts < 9, contexts % 2 == 0])
    choices = choose(some, groups, np.zeros(4), most=4, smallest=500)
    assert choices[0].group == 1 and choices[0].sign == 1
    later = contrasts(some, groups, truth.astype(np.intp), smallest=500).z
    assert np.abs(contrasts(some, groups, nowhere(), smallest=500).z[[0, 2]]).min() > 10 > 4 > np.abs(later).max()


def test_discoveries_are_those_of_benjamini_and_hochberg() -> None:
    # The example of their paper, table 1: at .05 the four smallest of fifteen.
    p = np.array([
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590,
        1.0,
    ])
    assert discoveries(p[::-1], rate=0.05)[::-1].tolist() == [True] * 4 + [False] * 11
    assert not discoveries(np.array([]), rate=0.05).any()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 50)] * 4), min_size=2, max_size=8), st.integers(0, 2**8 - 1))
def test_no_table_breaks_a_contrast(rows: list[tuple[int, ...]], bits: int) -> None:
    n0, n1, won0, won1 = np.array(rows).T
    some = cells(n0, n1, (np.minimum(won0, n0), np.minimum(won1, n1)))
    group = np.array([[bool(bits >> place & 1) for place in range(len(rows))]])
    found = contrasts(some, group, nowhere(len(rows)), smallest=0)
    assert np.isfinite(found.z).all() and np.isfinite(found.n).all()
    assert not np.isinf(ratio(some, group[0])[:4]).any()


def share_that_propose(base: Array, relative: Array, *, runs: int, seed: int) -> float:
    """How often anything is found, by contexts and what some of them have together."""
    rng, groups, found = np.random.default_rng(seed), singles(len(base)), 0
    for _ in range(runs):
        first, second = (drawn(rng, base, relative, visitors=32_000) for _ in range(2))
        together = [groups[list(places)].any(axis=0) for places in unions(first, groups, most=4, smallest=500)]
        tried = np.array([*groups, *together])
        choices = choose(first, tried, np.zeros(len(tried)), most=12, smallest=500)
        found += discoveries(p_values(second, tried, choices, smallest=500), rate=0.03).any()
    return found / runs


@pytest.mark.parametrize("base", [np.full(CONTEXTS, 0.05), np.geomspace(0.005, 0.2, CONTEXTS)])
@pytest.mark.parametrize("effect", [1.0, 1.4, 0.7])
def test_a_constant_relative_effect_is_rarely_taken_for_an_interaction(base: Array, effect: float) -> None:
    # Of 75 runs 3 % are 2.3, with a standard deviation of 1.5.
    assert share_that_propose(base, np.full(CONTEXTS, effect), runs=75, seed=6) <= 0.08


def test_contexts_that_differ_are_found_in_most_runs() -> None:
    relative = np.where(np.arange(CONTEXTS) % 2, 1.4, 0.7)
    assert share_that_propose(np.full(CONTEXTS, 0.05), relative, runs=50, seed=7) >= 0.8
