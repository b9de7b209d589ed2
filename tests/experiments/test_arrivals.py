"""On which day conversions come: shares agree with visitors drawn one by one."""

import numpy as np
import pytest

from experiments.arrivals import arrivals
from experiments.counting import LAG_BUCKETS
from experiments.model import Metric
from stats.delays import observed_fraction

DAY = 86_400


def goal(window: float = 14.0, start: float = 0.0) -> Metric:
    """A goal whose window opens and ends after so many days."""
    return Metric("goal", "Goal", "conversion", "goal", round(window * DAY), round(start * DAY))


@pytest.mark.parametrize(
    ("mean", "window", "start"), [(2.0, 14.0, 0.0), (0.3, 1.5, 0.0), (5.0, 20.0, 7.0), (0.0, 9.0, 4.0)]
)
def test_days_and_parts_of_the_window_are_those_of_drawn_visitors(mean: float, window: float, start: float) -> None:
    rng = np.random.default_rng(1)
    delays = rng.exponential(mean * DAY, 400_000) if mean else np.zeros(400_000)
    delays = start * DAY + delays[delays < (window - start) * DAY]
    days = ((rng.uniform(0, DAY, len(delays)) + delays) // DAY).astype(int)
    found = arrivals(goal(window, start), mean_seconds=mean * DAY, days=30)
    drawn = np.bincount(days, minlength=len(found.days)) / len(days)
    # Inside a part of the window delays are taken to lie evenly.
    np.testing.assert_allclose(found.days, drawn, atol=0.015)
    first = int(days.min())
    buckets = np.bincount((delays[days == first] * LAG_BUCKETS // (window * DAY)).astype(int), minlength=LAG_BUCKETS)
    np.testing.assert_allclose(np.cumsum(found.buckets[first]), np.cumsum(buckets) / buckets.sum(), atol=0.03)


def test_what_comes_after_the_last_day_is_late() -> None:
    found = arrivals(goal(60.0), mean_seconds=10 * DAY, days=5)
    assert found.days.sum() + found.late == pytest.approx(1)
    assert found.days[0] == pytest.approx(observed_fraction(10, 1), rel=0.01)


def test_without_a_delay_everything_comes_at_once() -> None:
    found = arrivals(goal(), mean_seconds=0, days=30)
    assert found.days.tolist() == [1]
    assert found.late == 0
