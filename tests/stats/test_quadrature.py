"""Panels and cumulative integration."""

import numpy as np
import pytest
from scipy import special

from stats.quadrature import PANEL_WIDTH
from stats.quadrature import panels


def test_a_normal_is_integrated_and_cumulated_to_the_last_digits() -> None:
    grid = panels([(-11.0, 11.0, 1.0)])
    density = np.exp(-0.5 * grid.nodes**2) / np.sqrt(2 * np.pi)
    cumulated = grid.cumulate(density[None, :])
    assert grid.weights @ density == pytest.approx(1, abs=1e-15)
    assert cumulated.up_to[0] == pytest.approx(special.ndtr(grid.nodes), abs=1e-14)
    assert cumulated.beyond[0] == pytest.approx(special.ndtr(-grid.nodes), abs=1e-14)


def test_the_finest_stretch_wins_where_stretches_overlap() -> None:
    grid = panels([(0.0, 100.0, 10.0), (40.0, 41.0, 0.1)])
    width = 2 * grid.halves
    inside = (grid.middles > 40) & (grid.middles < 41)
    assert width[inside].max() <= 0.1 * PANEL_WIDTH + 1e-12
    assert width.max() > 5
    assert width.sum() == pytest.approx(100)
    assert (np.diff(grid.middles) > 0).all()


def test_stretches_of_one_scale_share_their_panels() -> None:
    assert len(panels([(0.0, 10.0, 1.0)] * 1000).halves) == len(panels([(0.0, 10.0, 1.0)]).halves)
