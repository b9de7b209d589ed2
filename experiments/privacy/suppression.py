"""Small cells: figures about fewer visitors than the smallest shown cell are hidden, also from subtraction. Pure."""

from collections import defaultdict
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import TypeVar
from typing import cast

import numpy as np
from numpy.typing import NDArray

K = TypeVar("K")
Row = TypeVar("Row", bound=Mapping[str, Any])

_SHOWN = ("segment", "arm", "role", "weight")
# Not made of the number of visitors, which could be told from it.
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
# What is nothing at all without its figures.
_WHOLE = ("posterior",)


def suppress(rows: Sequence[Row], *, min_cell: int) -> list[Row]:
    """The rows of one table, those of fewer visitors than `min_cell` without their figures.

    The figures of an arm's hidden rows together are its total less the others: see `withheld`.
    """
    hidden = set[int]()
    for indices in _by_arm(rows).values():
        hidden |= withheld({index: rows[index]["visitors"] for index in indices}, min_cell=min_cell)
    return [_hide(row) if index in hidden else row for index, row in enumerate(rows)]


def hidden_counts(counts: NDArray[np.float64], *, min_cell: int) -> NDArray[np.bool_]:
    """Which counts of a table are hidden, if the sums of its rows and of its columns are known: the small ones.

    Those hidden of a row or a column are together its sum less the others: where that is one alone, or too few, the
    next smallest is hidden too, until no count is found that way. None at all hides nobody.
    """
    hidden = (counts > 0) & (counts < min_cell)
    for _ in range(counts.size):
        more = _one_more(counts, hidden, min_cell=min_cell) | _one_more(counts.T, hidden.T, min_cell=min_cell).T
        if not more.any():
            break
        hidden |= more
    return hidden


def _one_more(counts: NDArray[np.float64], hidden: NDArray[np.bool_], *, min_cell: int) -> NDArray[np.bool_]:
    """The smallest that is left of each row of which what is hidden can be found, or is too few together."""
    left, many = np.where(hidden | (counts == 0), np.inf, counts), hidden.sum(axis=1)
    is_found = (many == 1) | ((many > 1) & ((counts * hidden).sum(axis=1) < min_cell))
    rows = is_found & np.isfinite(left).any(axis=1)
    more = np.zeros_like(hidden)
    more[rows, left.argmin(axis=1)[rows]] = True
    return more


def withheld(visitors: Mapping[K, int], *, min_cell: int) -> set[K]:
    """What must not be shown of parts whose sum is known: those that are too small, and others until they hide them.

    One alone would be the sum less the others, and several that are too few together would be too few people. A part
    without visitors hides nobody.
    """
    hidden = {part for part, n in visitors.items() if n < min_cell}
    for part, n in sorted(visitors.items(), key=lambda item: item[1]):
        small = [visitors[each] for each in hidden if visitors[each]]
        if not small or (len(small) > 1 and sum(small) >= min_cell):
            break
        if n >= min_cell:
            hidden.add(part)
    return hidden


def withheld_places(visitors: Mapping[tuple[str, str], int], *, min_cell: int) -> set[tuple[str, str]]:
    """The segments and arms of which a report hides figures, those that nobody was in left out."""
    by_arm: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    for place, n in visitors.items():
        by_arm[place[1]][place] = n
    hidden = set[tuple[str, str]]().union(*(withheld(places, min_cell=min_cell) for places in by_arm.values()))
    return {place for place in hidden if visitors[place]}


def coarse_share(share: float, total: int, *, min_cell: int) -> float:
    """A share that leaves open by at least `min_cell` which number of all these visitors it is."""
    step = next((step for step in _STEPS if step * total >= 2 * min_cell), 1.0)
    return round(round(share / step) * step, 2)


def _by_arm(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
    indices: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        indices[row["arm"]].append(index)
    return indices


def _hide(row: Row) -> Row:
    hidden = {name: value if name in _SHOWN else _blank(value) for name, value in row.items()} | {"suppressed": True}
    return cast(Row, hidden)


def _blank(value: object) -> Any:
    if isinstance(value, dict):
        return {name: None if name in _WHOLE else _blank(inner) for name, inner in value.items()}
    return None
