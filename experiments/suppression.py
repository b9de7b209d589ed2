"""Small cells: figures about fewer visitors than the smallest shown cell are hidden, also from subtraction. Pure."""

from collections import defaultdict
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import TypeVar
from typing import cast

import numpy as np
from numpy.typing import NDArray

Row = TypeVar("Row", bound=Mapping[str, Any])

_SHOWN = ("segment", "arm", "role", "weight")
# What is nothing at all without its figures.
_WHOLE = ("posterior",)


def suppress(rows: Sequence[Row], *, min_cell: int) -> list[Row]:
    """The rows of one table, those of fewer visitors than `min_cell` without their figures.

    Where one row of an arm alone were hidden, its figures would be the arm's total less the others: the next smallest
    is hidden too. A row without visitors hides nobody, and asks for no second.
    """
    hidden = {index for index, row in enumerate(rows) if row["visitors"] < min_cell}
    for indices in _by_arm(rows).values():
        small = [index for index in indices if index in hidden and rows[index]["visitors"] > 0]
        others = [index for index in indices if index not in hidden]
        if len(small) == 1 and others:
            hidden.add(min(others, key=lambda index: rows[index]["visitors"]))
    return [_hide(row) if index in hidden else row for index, row in enumerate(rows)]


def hidden_counts(counts: NDArray[np.float64], *, min_cell: int) -> NDArray[np.bool_]:
    """Which counts of a table are hidden, if the sums of its rows and of its columns are known: the small ones.

    Where one of a row or a column alone were hidden, it would be the sum less the others: the next smallest is hidden
    too, until no count is found that way. None at all hides nobody.
    """
    hidden = (counts > 0) & (counts < min_cell)
    for _ in range(counts.size):
        alone = _one_more(counts, hidden) | _one_more(counts.T, hidden.T).T
        if not alone.any():
            break
        hidden |= alone
    return hidden


def _one_more(counts: NDArray[np.float64], hidden: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The smallest that is left of each row of which one alone is hidden."""
    left = np.where(hidden | (counts == 0), np.inf, counts)
    rows = (hidden.sum(axis=1) == 1) & np.isfinite(left).any(axis=1)
    more = np.zeros_like(hidden)
    more[rows, left.argmin(axis=1)[rows]] = True
    return more


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
