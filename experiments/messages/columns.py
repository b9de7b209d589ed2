"""The messages of many visitors at once: one is written for all who have the same assignment and are alike to it. Pure.

Writing a message costs more than all the rest of an assignment, and those of a list differ by a first name or nothing.
"""

from collections.abc import Sequence
from collections.abc import Set
from typing import Any
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.assignment import Assignment
from experiments.assignment import Plan
from experiments.codes import coded
from experiments.deciding import Decisions
from experiments.rules.columns import Columns

_Places = NDArray[np.intp]


class Messages(NamedTuple):
    """The different assignments with what they say, and for each visitor the place of its own."""

    different: list[tuple[Assignment, dict[str, Any]]]
    places: _Places


def write_all(plan: Plan, decisions: Decisions, columns: Columns) -> Messages:
    """What each visitor's arm says to a visitor with these attributes."""
    assignments = list(decisions.different)
    names = [plan.attributes_named(assignment.arm) & columns.keys() for assignment in assignments]
    places = _alike(decisions.places, columns, names)
    different = []
    for first in _firsts(places).tolist():
        place = decisions.places[first]
        attributes = {name: columns[name].values[first] for name in names[place]}
        different.append((assignments[place], plan.message(assignments[place].arm, attributes)))
    return Messages(different, places)


def _alike(assigned: _Places, columns: Columns, names: Sequence[Set[str]]) -> _Places:
    """Numbers from 0, the same for visitors with one assignment and the same values of what its message looks at."""
    _, places = coded(assigned.tolist())
    for name in sorted(set().union(*names)):
        values = columns[name].places + 1
        looks = np.array([name in looked_at for looked_at in names])[assigned]
        _, places = coded((places * (1 + values.max(initial=0)) + values * looks).tolist())
    return places


def _firsts(places: _Places) -> _Places:
    """The first visitor at each place."""
    firsts = np.empty(places.max(initial=-1) + 1, np.intp)
    # Of several that are written to one place the last one stays.
    firsts[places[::-1]] = np.arange(len(places))[::-1]
    return firsts
