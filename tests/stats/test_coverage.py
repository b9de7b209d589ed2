"""Coverage after the default policy, few campaigns of `benchmarks.coverage` with fixed seeds."""

import numpy as np

from benchmarks.coverage import World
from benchmarks.coverage import measure


def test_intervals_hold_and_estimates_are_unbiased_while_rates_double() -> None:
    runs = 150
    line = measure(World(0.05, 0.2, "doubling"), runs=runs, visitors=5_000, seed=5)
    assert line.promised == 1
    # 4 Monte Carlo errors below 95 %; what ignores the drift is far below.
    assert (line.coverage > 0.95 - 4 * np.sqrt(0.95 * 0.05 / runs)).all()
    assert line.naive_coverage[-1] < 0.87
    assert (np.abs(line.bias_in_errors) < 3.5).all()


def test_campaigns_of_rare_conversions_are_not_all_promised_their_intervals() -> None:
    line = measure(World(0.004, 0.0, "none"), runs=20, visitors=4_000, seed=6)
    assert 0 < line.promised < 0.9
