"""Whether visitors match the weights, from many epochs and however often one looks."""

import numpy as np
import pytest

from experiments.allocation import GRAIN
from experiments.columns import NO_CELLS
from experiments.columns import Columns
from experiments.columns import columns_of
from experiments.counting import EXPOSURES
from experiments.diagnostics import ALARM
from experiments.diagnostics import sample_ratio
from experiments.diagnostics import sample_ratio_evidence
from experiments.document import parse_document
from experiments.model import Allocation
from experiments.model import StoredExperiment
from experiments.readings import Readings
from tests.experiments.documents import tiny

SEGMENT = "everyone-else"
_TWO = [{"key": "c", "role": "mass"}, {"key": "t", "role": "mass"}]


def _readings(shares: list[float]) -> Readings:
    """One epoch for each share of arm t."""
    allocations = {
        epoch: Allocation(epoch, {SEGMENT: {"c": GRAIN - round(share * GRAIN), "t": round(share * GRAIN)}})
        for epoch, share in enumerate(shares, start=1)
    }
    stored = StoredExperiment(parse_document(tiny(arms=_TWO)), {}, "running", 0)
    return Readings(stored, {}, allocations, {}, 0, 0, 0)


def _exposures(came: list[tuple[int, int]]) -> Columns:
    return columns_of([
        (EXPOSURES, epoch, 20_000, SEGMENT, arm, n, n, n)
        for epoch, pair in enumerate(came, start=1)
        for arm, n in zip(("c", "t"), pair, strict=True)
    ])


def test_one_epoch_that_lost_two_in_a_hundred_of_one_arm_alarms() -> None:
    assert sample_ratio(_readings([0.5]), _exposures([(100_000, 98_000)]))["alarm"] is True
    assert sample_ratio(_readings([0.5]), _exposures([(100_000, 99_700)]))["alarm"] is False


def test_a_loss_spread_over_many_epochs_alarms_too() -> None:
    rng = np.random.default_rng(5)
    shares = rng.uniform(0.3, 0.7, size=100).round(4).tolist()
    came = [(round(2000 * (1 - share)), round(2000 * share * 0.98)) for share in shares]
    assert sample_ratio(_readings(shares), _exposures(came))["alarm"] is True
    whole = [(round(2000 * (1 - share)), round(2000 * share)) for share in shares]
    assert sample_ratio(_readings(shares), _exposures(whole))["alarm"] is False


def test_weights_that_moved_are_no_alarm_where_visitors_followed_them() -> None:
    # All visitors together are far from even: only epoch by epoch do they match.
    found = sample_ratio(_readings([0.1, 0.9]), _exposures([(9000, 1000), (100, 900)]))
    assert found == {"p_value": pytest.approx(1.0), "alarm": False}


def test_an_arm_that_nobody_was_given_alarms_soon() -> None:
    assert sample_ratio_evidence(_readings([0.5]), _exposures([(40, 0)])) > ALARM


def test_before_anybody_came_there_is_no_evidence() -> None:
    assert sample_ratio(_readings([]), NO_CELLS) == {"p_value": 1.0, "alarm": False}


def test_a_segment_with_one_arm_says_nothing() -> None:
    readings = _readings([0.5])
    readings.allocations[1].weights[SEGMENT].clear()
    readings.allocations[1].weights[SEGMENT]["c"] = GRAIN
    assert sample_ratio_evidence(readings, _exposures([(500, 0)])) == 0
