"""The smallest effect that a call finds: its chance is what was asked for."""

import math

import numpy as np
import pytest

from stats.evidence import difference_process
from stats.evidence import evidence_for_gain
from stats.power import detectable_difference
from stats.power import detectable_ratio

NEEDED = math.log(20)


@pytest.mark.parametrize(("conversions", "share"), [(40, 0.5), (400, 0.5), (400, 0.2)])
def test_that_ratio_is_called_in_four_of_five_drawn_campaigns(conversions: float, share: float) -> None:
    ratio = detectable_ratio(conversions, share, needed=NEEDED)
    rng = np.random.default_rng(1)
    tailored = rng.poisson(conversions * ratio * share / (1 - share), 400)
    mass = rng.poisson(conversions, 400)
    called = [evidence_for_gain(*counts, share) >= NEEDED for counts in zip(tailored, mass, strict=True)]
    assert np.mean(called) == pytest.approx(0.8, abs=0.07)


def test_more_conversions_show_smaller_ratios_and_none_show_nothing() -> None:
    ratios = [detectable_ratio(conversions, 0.5, needed=NEEDED) for conversions in (10, 100, 1000, 10_000)]
    assert ratios == sorted(ratios, reverse=True)
    assert detectable_ratio(0, 0.5, needed=NEEDED) == math.inf


def test_that_difference_is_called_in_four_of_five_drawn_campaigns() -> None:
    difference = detectable_difference(2.0, 5000, needed=NEEDED)
    drawn = np.random.default_rng(1).normal(difference, 2.0, 2000)
    called = [difference_process(one, 4.0, 5000) >= NEEDED for one in drawn.tolist()]
    assert np.mean(called) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("power", [0, 1])
def test_a_power_is_between_nothing_and_certainty(power: float) -> None:
    with pytest.raises(ValueError, match="power"):
        detectable_ratio(100, 0.5, needed=NEEDED, power=power)
    with pytest.raises(ValueError, match="power"):
        detectable_difference(1, 100, needed=NEEDED, power=power)
