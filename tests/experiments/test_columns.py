"""Columns: the cells of a metric as arrays; taking them apart loses nothing."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from experiments.columns import NO_CELLS
from experiments.columns import Cell
from experiments.columns import by_metric
from experiments.columns import columns_of

_CELL = st.tuples(
    st.just("goal"), st.integers(1, 5), st.integers(0, 3), st.sampled_from("xyz"), st.sampled_from("ab"),
    st.integers(0, 9), st.integers(0, 9), st.integers(0, 9),
)


@given(st.lists(_CELL))
def test_segments_hold_every_cell_once_in_the_order_it_came(cells: list[Cell]) -> None:
    parts = columns_of(cells).by_segment()
    assert sorted(parts) == sorted({cell[3] for cell in cells})
    for segment, part in parts.items():
        rows = list(zip(*part[:-1], strict=True))
        assert rows == [cell[1:] for cell in cells if cell[3] == segment]


@given(st.lists(_CELL))
def test_visitors_of_the_arms_are_those_of_all_cells(cells: list[Cell]) -> None:
    visitors = columns_of(cells).visitors()
    places = {(cell[3], cell[4]) for cell in cells}
    assert visitors == {place: sum(cell[5] for cell in cells if cell[3:5] == place) for place in places}


def test_metrics_are_told_apart() -> None:
    cells = [("goal", 1, 2, "s", "a", 3, 4, 5), ("profit", 1, 2, "s", "a", 3, 40, 50)]
    found = by_metric(cells)
    assert {metric: columns.total.tolist() for metric, columns in found.items()} == {"goal": [4], "profit": [40]}


def test_another_unit_changes_sums_and_squares_alone() -> None:
    cents = columns_of([("goal", 1, 2, "s", "a", 3, 400, 50_000)])
    euros = cents.in_unit(0.01)
    assert (euros.n[0], euros.total[0]) == (3, 4)
    assert np.isclose(euros.total_squares[0], 5)
    assert cents.in_unit(1.0) is cents


def test_no_cells_have_neither_segments_nor_visitors() -> None:
    assert NO_CELLS.by_segment() == {}
    assert NO_CELLS.visitors() == {}


@given(st.lists(_CELL, max_size=3), st.lists(_CELL, max_size=3))
def test_cells_are_the_same_where_nothing_of_them_differs(cells: list[Cell], others: list[Cell]) -> None:
    assert columns_of(cells).is_same(columns_of(others)) == (cells == others)
    assert columns_of(cells).is_same(columns_of([*cells]))
