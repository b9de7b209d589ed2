"""The mean of evidence."""

import math

import pytest

from stats.mixtures import mean_evidence


def test_it_is_the_mean_of_evidence_not_of_its_logarithm() -> None:
    assert mean_evidence([math.log(2), math.log(6), -math.inf]) == pytest.approx(math.log(8 / 3), rel=1e-15)


def test_evidence_beyond_floats_is_no_overflow() -> None:
    assert mean_evidence([5000.0, 0.0]) == pytest.approx(5000 - math.log(2))
    assert mean_evidence([math.inf, 0.0]) == math.inf


def test_no_evidence_says_nothing() -> None:
    assert mean_evidence([]) == 0
