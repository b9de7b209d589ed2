"""Evidence that two arms convert alike."""

import math

import numpy as np
import pytest
import scipy.stats

from stats.equality import evidence_for_equality
from stats.equality import evidence_for_mass
from stats.evidence import evidence_for_no_gain


def test_it_is_the_likelihood_ratio_of_two_binomials() -> None:
    shares, tailored, mass = np.array([0.5, 0.2]), np.array([30, 9]), np.array([32, 41])
    raised = shares * 1.1 / (shares * 1.1 + 1 - shares)
    known = sum(
        scipy.stats.binom.logpmf(t, t + m, e) - scipy.stats.binom.logpmf(t, t + m, up)
        for t, m, e, up in zip(tailored, mass, shares, raised, strict=True)
    )
    assert evidence_for_equality(tailored, mass, shares, margin=0.1) == pytest.approx(known, rel=1e-10)


@pytest.mark.parametrize("gain", [0.1, 0.2])
def test_its_mean_is_one_where_the_gain_is_the_margin_and_less_where_it_is_more(gain: float) -> None:
    # Exactly, over all outcomes of one stratum.
    share, conversions = 0.3, 40
    chance = share * (1 + gain) / (share * (1 + gain) + 1 - share)
    tailored = np.arange(conversions + 1)
    probabilities = scipy.stats.binom.pmf(tailored, conversions, chance)
    evidence = [math.exp(evidence_for_mass([t], [conversions - t], [share], margin=0.1)) for t in tailored]
    mean = float(probabilities @ evidence)
    assert mean == pytest.approx(1, abs=1e-9) if gain == 0.1 else mean < 1


def test_equal_arms_end_sooner_than_by_evidence_against_any_gain() -> None:
    equal = [1600], [1600], [0.5]
    assert evidence_for_mass(*equal, margin=0.1) > evidence_for_no_gain(*equal, margin=0.1) + 0.5
    assert evidence_for_mass(*equal, margin=0.1) > math.log(20)


def test_a_clear_loss_says_as_much_as_ever_but_for_the_mean() -> None:
    worse = [100], [200], [0.5]
    assert evidence_for_mass(*worse, margin=0.1) > evidence_for_no_gain(*worse, margin=0.1) - math.log(2)


def test_nothing_said_is_no_evidence() -> None:
    assert evidence_for_equality([], [], [], margin=0.1) == 0
    assert evidence_for_equality([5, 0], [0, 7], [1, 0], margin=0.1) == pytest.approx(0, abs=1e-15)
    assert evidence_for_mass([0], [0], [0.5], margin=0.1) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("margin", [0.0, -0.1, math.inf, math.nan])
def test_a_margin_that_is_none_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        evidence_for_equality([1], [1], [0.5], margin=margin)
