"""Drifts: whether visitors have other attributes lately than they had before, as far as attributes are stored. Pure."""

from collections import Counter
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import dataclass

from experiments.contexts import Kept
from experiments.contexts import read_context
from experiments.model import Experiment
from stats.drift import drift

#: An index below this is no news, however sure; from `MUCH` on it is much.
LEAST_INDEX = 0.1
MUCH = 0.25
#: The chance that any stored attribute is said to have drifted in one look, though none has.
ALPHA = 0.05
#: Of fewer visitors on either side nothing is said.
LEAST_VISITORS = 100

#: What is kept of an attribute, alone; none where it was not known.
Value = tuple[Kept] | tuple[()]

#: A context, the day (UTC) of first exposure in days since 1970, and how many visitors.
DatedContext = tuple[str, int, int]


@dataclass(frozen=True)
class AttributeDrift:
    """How the values of a stored attribute changed, one that is missing being a value too.

    Attributes:
        index: the population stability index; `p_value` of no change. None where either side has too few.
        missing_before, missing_lately: the shares of visitors of whom it was not known.
        drifted: whether the change is no chance for all attributes together, and not small.
    """

    attribute: str
    index: float | None
    p_value: float | None
    missing_before: float | None
    missing_lately: float | None
    drifted: bool


def drifts(
    experiment: Experiment, contexts: Iterable[DatedContext], *, since_day: int, min_cell: int
) -> list[AttributeDrift]:
    """The drift of every stored attribute."""
    names = [name for name, attribute in experiment.attributes.items() if attribute.store]
    sides: dict[str, tuple[Counter[Value], Counter[Value]]] = {name: (Counter(), Counter()) for name in names}
    for context, day, n in contexts:
        known = read_context(context)
        for name in names:
            # What is one of the others is kept as None: a missing one is told apart.
            sides[name][day >= since_day][(known[name],) if name in known else ()] += n
    least = max(LEAST_VISITORS, min_cell)
    return [_drift(name, *sides[name], least=least, asked=len(names), min_cell=min_cell) for name in names]


def _drift(
    name: str, before: Counter[Value], lately: Counter[Value], *, least: int, asked: int, min_cell: int
) -> AttributeDrift:
    if min(before.total(), lately.total()) < least:
        return AttributeDrift(name, None, None, None, None, False)
    values = list(before | lately)
    found = drift([before[value] for value in values], [lately[value] for value in values])
    drifted = found.index >= LEAST_INDEX and found.p_value < ALPHA / asked
    missing = _missing(before, lately, min_cell=min_cell)
    return AttributeDrift(name, found.index, found.p_value, next(missing), next(missing), drifted)


def _missing(*sides: Counter[Value], min_cell: int) -> Iterator[float | None]:
    for side in sides:
        n = side[()]
        yield n / side.total() if n == 0 or n >= min_cell else None
