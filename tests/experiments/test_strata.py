"""Strata: what is odd in a campaign's past has an answer."""

import pytest

from experiments.columns import Cell
from experiments.columns import columns_of
from experiments.model import Allocation
from experiments.strata import SegmentStrata
from experiments.strata import Sums
from experiments.strata import segment_strata

_SEGMENT = "late"


def _allocations(shares: list[int]) -> dict[int, Allocation]:
    return {
        epoch: Allocation(epoch, {_SEGMENT: {"a": share, "b": 10_000 - share}})
        for epoch, share in enumerate(shares, start=1)
    }


def _strata(sums: dict[tuple[int, str], Sums], allocations: dict[int, Allocation]) -> SegmentStrata:
    cells = [("goal", epoch, 20_000 + epoch, _SEGMENT, arm, *found) for (epoch, arm), found in sums.items()]
    return segment_strata(columns_of(cells), allocations)


def test_a_segment_that_appears_at_epoch_40_is_estimated_from_there() -> None:
    allocations = _allocations([5000 + 100 * epoch for epoch in range(45)])
    sums = {(40, "a"): Sums(890, 89, 89), (40, "b"): Sums(110, 5, 5)}
    found = _strata(sums, allocations)
    assert found.of(_SEGMENT).epochs.tolist() == [[40, 40]]
    assert found.estimates()[_SEGMENT]["a"].mean == pytest.approx(0.1)
    assert found.estimates()[_SEGMENT]["a"].effective_n == 890


def test_an_epoch_without_traffic_changes_nothing() -> None:
    first = {(1, "a"): Sums(500, 50, 50), (1, "b"): Sums(500, 40, 40)}
    busy = {**first, (3, "a"): Sums(700, 80, 80), (3, "b"): Sums(300, 20, 20)}
    with_gap = _strata(busy, _allocations([5000, 6000, 7000])).estimates()
    without = {(epoch if epoch == 1 else 2, arm): sums for (epoch, arm), sums in busy.items()}
    assert with_gap == _strata(without, _allocations([5000, 7000])).estimates()


def test_epochs_of_the_same_weights_are_one_stratum_even_where_one_lay_between_them_without_traffic() -> None:
    first = {(1, "a"): Sums(500, 50, 50), (1, "b"): Sums(500, 40, 40)}
    sums = {**first, (2, "a"): Sums(100, 9, 9), (2, "b"): Sums(90, 9, 9)}
    found = _strata(sums, _allocations([5000, 5000]))
    assert found.of(_SEGMENT).epochs.tolist() == [[1, 2]]
    assert found.sums()[_SEGMENT] == {"a": Sums(600, 59, 59), "b": Sums(590, 49, 49)}
    assert found.estimates()[_SEGMENT]["a"].mean == 59 / 600


def test_weights_of_exactly_nothing_and_everything_say_what_they_can() -> None:
    sums = {(1, "a"): Sums(1000, 100, 100), (2, "a"): Sums(400, 44, 44), (2, "b"): Sums(600, 30, 30)}
    found = _strata(sums, _allocations([10_000, 4000])).estimates()[_SEGMENT]
    assert found["b"].mean == pytest.approx(30 / 600)
    assert not found["b"].complete and found["a"].complete
    assert found["a"].n == 1400


def test_nobody_at_all_has_no_strata() -> None:
    found = _strata({}, {})
    assert (found.estimates(), found.sums()) == ({}, {})
    assert found.of(_SEGMENT).arms == () and found.of(_SEGMENT).epochs.tolist() == []


def test_segments_are_estimated_as_if_each_was_alone() -> None:
    shares = {"late": [5000, 5000, 8000], "early": [3000, 6000, 6000]}
    allocations = {
        epoch: Allocation(epoch, {
            segment: {"a": of[epoch - 1], "b": 10_000 - of[epoch - 1], **({"c": 0} if segment == "early" else {})}
            for segment, of in shares.items()
        })
        for epoch in (1, 2, 3)
    }
    cells: list[Cell] = [
        ("goal", epoch, day, segment, arm, n, n // 7, n // 7)
        for segment, epoch, day, n in (("late", 2, 9, 70), ("late", 3, 9, 40), ("early", 1, 8, 90), ("early", 3, 9, 21))
        for arm in ("b", "a")
    ]
    together = segment_strata(columns_of(cells), allocations)
    for segment in shares:
        alone = segment_strata(columns_of([cell for cell in cells if cell[3] == segment]), allocations)
        assert alone.estimates() == {segment: together.estimates()[segment]}
        assert alone.of(segment).epochs.tolist() == together.of(segment).epochs.tolist()
    assert together.of("early").arms == ("a", "b", "c")
    assert together.sums()["late"] == {"a": Sums(110, 15, 15), "b": Sums(110, 15, 15)}
