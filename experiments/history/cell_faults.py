"""Cells that do not count what they must: each with its place, and by how much. Pure."""

from collections.abc import Iterator
from math import isclose

from experiments.storage.cells import NO_SUMS
from experiments.storage.cells import CellKey
from experiments.storage.cells import CellSums
from experiments.times import date_of


def cell_faults(*, counted: CellSums, expected: CellSums) -> Iterator[str]:
    """The cells that differ, and by how much."""
    for key in sorted(expected.keys() | counted.keys()):
        should, does = expected.get(key, NO_SUMS), counted.get(key, NO_SUMS)
        if should[:2] != does[:2] or not isclose(should[2], does[2], rel_tol=1e-9, abs_tol=1e-6):
            yield f"{_cell(key)}: {_sums(does)} are counted, {_sums(should)} are in the events: {_by(does, should)}"


def _cell(key: CellKey) -> str:
    asserted = ", asserted" if key.asserted else ""
    context = f", context {key.context}" if key.context else ""
    return (
        f"cell of {key.experiment}, epoch {key.epoch}, day {date_of(key.day)}, segment {key.segment}, "
        f"arm {key.arm}{asserted}, metric {key.metric}{context}"
    )


def _sums(sums: tuple[int, int, float]) -> str:
    n, total, squares = sums
    return f"{n} visitors with a sum of {total} and of {squares:.15g} squared"


def _by(does: tuple[int, int, float], should: tuple[int, int, float]) -> str:
    n, total, squares = (one - other for one, other in zip(does, should, strict=True))
    return f"{n:+d}, {total:+d}, {squares:+.15g}"
