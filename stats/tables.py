"""Arms in segments as arrays: a row for each segment, its open arms from the left, and what each arm is one of."""

from collections import Counter
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

# A role, and an arm that has an effect of its own.
Group = tuple[str | None, str | None]

# With more arms of a role open in several segments than this, their role is all that is pooled: the cost grows with the
# square of the groups.
MOST_SIBLINGS = 40


class Table(NamedTuple):
    """Where the arms stand.

    Attributes:
        arms: for each segment, its arms in the order of the cells.
        present, candidates: whether a cell holds an arm, and one that is ranked; shape (segments, cells).
        members: 1 where a cell is one of a group; shape (segments, cells, groups).
        groups: an arm without a role is a group of its own; an arm of a role is one if it is open in several segments,
            otherwise it is known by its role alone, since what is special to it cannot be told from its segment.
    """

    arms: list[list[str]]
    present: Flags
    candidates: Flags
    members: Array
    groups: list[Group]

    def cells(self, rows: Sequence[Sequence[Sequence[float]]], *, width: int) -> Array:
        """Figures of each arm as an array, 0 where there is none; shape (width, segments, cells)."""
        cells = np.zeros((width, *self.present.shape))
        for segment, row in enumerate(rows):
            if row:
                cells[:, segment, : len(row)] = np.array(row, dtype=np.float64).T
        return cells

    def effect_prior(self, *, effect_sd: float, sibling_sd: float) -> Array:
        """The covariance of the groups' effects: one shared by a role, and one of their own for siblings in it."""
        families = [(role, arm if role is None else None) for role, arm in self.groups]
        place = {family: index for index, family in enumerate(families)}
        family = np.array([place[one] for one in families], dtype=np.int64)
        siblings = np.array([role is not None and arm is not None for role, arm in self.groups], dtype=np.float64)
        return np.asarray(effect_sd**2 * (family[:, None] == family) + sibling_sd**2 * np.diag(siblings))


def table(
    rows: Sequence[Mapping[str, object]], *, roles: Mapping[str, str], candidates: Collection[str] | None
) -> Table:
    """The table of some segments' arms; see `stats.pooling.pool_rates` for roles and candidates."""
    arms = [list(row) for row in rows]
    widths = np.array([len(row) for row in arms], dtype=np.int64)
    present = np.arange(widths.max(initial=1)) < widths[:, None]
    open_in = Counter(arm for row in arms for arm in row)
    siblings = {arm for arm, segments in open_in.items() if segments > 1 and arm in roles}
    siblings = siblings if len(siblings) <= MOST_SIBLINGS else set()
    group = {arm: (roles.get(arm), arm if arm not in roles or arm in siblings else None) for arm in open_in}
    groups = list(dict.fromkeys(group.values()))
    place = {one: index for index, one in enumerate(groups)}
    members = np.zeros((*present.shape, len(groups)))
    ranked = np.zeros_like(present)
    for segment, row in enumerate(arms):
        for cell, arm in enumerate(row):
            members[segment, cell, place[group[arm]]] = 1.0
            ranked[segment, cell] = candidates is None or arm in candidates
    return Table(arms, present, ranked, members, groups)
