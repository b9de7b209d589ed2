"""Searches: for one pair of arms, the segments of stored attributes in which the two differ in effect. Pure.

What is tried is chosen on one half of the visitors and tested on the other, so that what is found is no luck of many
tries. Arms are compared among visitors of a segment who had the same chances of both at the same time.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.codes import Codes
from experiments.codes import coded
from experiments.discovery.candidates import Attributes
from experiments.discovery.candidates import Candidate
from experiments.discovery.candidates import any_of
from experiments.inputs import unit_of
from experiments.model import Allocation
from experiments.model import Experiment
from experiments.storage.contexts import ContextRow
from stats.interactions import Cells
from stats.interactions import Choice
from stats.interactions import Ratio
from stats.interactions import choose
from stats.interactions import contrasts
from stats.interactions import p_values
from stats.interactions import ratio
from stats.interactions import unions

Array = NDArray[np.float64]

#: A side of a rule has so many visitors at least, of the two arms together and in each half.
SMALLEST = 500
#: What chance alone would find: this share of what is found, or of experiments in which there is nothing.
FALSE_RATE = 0.03
#: So many rules are tested for two arms at most: each one more asks more of the others.
MOST_TESTED = 12
#: A rule has so many alternatives at most: more cannot be read.
MOST_TERMS = 4
_SEEN = NormalDist().inv_cdf(0.8)


class Record(NamedTuple):
    """What is stored of an experiment's visitors, and by which chances they were given their arms."""

    experiment: Experiment
    allocations: Mapping[int, Allocation]
    rows: Sequence[ContextRow]


class Finding(NamedTuple):
    """A rule for which two arms differ in effect from elsewhere; the ratios are those of the half that tested it.

    Attributes:
        share: of the visitors who had one of the two arms.
        segments: those that the rule parts.
    """

    candidate: Candidate
    share: float
    segments: list[str]
    inside: Ratio
    outside: Ratio


class Search:
    """The search for segments in which an arm does better, or worse, against another one than it does elsewhere."""

    def __init__(self, record: Record, *, arm: str, against: str, smallest: int = SMALLEST) -> None:
        self.arm, self.against = arm, against
        self._smallest = smallest
        self._compared = _Compared.of(record, arm, against)
        self.contexts, self.visitors = self._compared.contexts, self._compared.visitors()
        self._first, self._second = self.of_half(0), self.of_half(1)
        attributes = Attributes(record.experiment.attributes, self.contexts, self.visitors)
        self.candidates = [*attributes.candidates(smallest=2 * smallest), *self._sets(attributes)]
        self.candidates += self._unions()
        self._groups = _groups(self.candidates)
        self.choices = self._choices()

    def _choices(self) -> list[Choice]:
        """What stands out in the first half."""
        if not self.candidates:
            return []
        costs = np.array([one.cost for one in self.candidates])
        return choose(self._first, self._groups, costs, most=MOST_TESTED, smallest=self._smallest)

    def of_half(self, half: int) -> Cells:
        """What one half of the visitors brought."""
        return self._compared.of_half(half)

    def _sets(self, attributes: Attributes) -> Iterator[Candidate]:
        """Of each attribute the texts for which the arm does better than elsewhere, by the first half."""
        for name in attributes.declared:
            texts = attributes.values(name)
            if len(texts) > 2:
                together = np.zeros(len(self.visitors), np.intp)
                z = contrasts(self._first, np.array([*texts.values()]), together, smallest=0).z
                better = [text for text, one in zip(texts, z, strict=True) if one > 0]
                if 1 < len(better) < len(texts):
                    yield attributes.one_of(name, better)

    def _unions(self) -> list[Candidate]:
        """Rules that tell more together, by the first half."""
        if not self.candidates:
            return []
        found = unions(self._first, _groups(self.candidates), most=MOST_TERMS, smallest=self._smallest)
        return [any_of([self.candidates[place] for place in places]) for places in found]

    def p_values(self) -> Array:
        """Of each choice, by the second half."""
        return p_values(self._second, self._groups, self.choices, smallest=self._smallest)

    def finding(self, choice: Choice, *, min_cell: int) -> Finding | None:
        """What a choice has found.

        None where all of its visitors together tell something else than their parts, or an arm has fewer than
        `min_cell` of them.
        """
        candidate = self.candidates[choice.group]
        # People look for those with whom a message does well.
        if choice.sign < 0 and candidate.other is not None:
            candidate, choice = candidate.turned(), choice._replace(sign=1.0)
        holds = candidate.holds
        inside, outside = ratio(self._second, holds), ratio(self._second, ~holds)
        is_told = (inside.ratio / outside.ratio - 1) * choice.sign > 0
        if not is_told or min(*inside.n, *outside.n) < min_cell:
            return None
        share = float(self.visitors[holds].sum() / self.visitors.sum())
        return Finding(candidate, share, self._compared.parted_by(holds), inside, outside)

    def sight(self) -> float | None:
        """How large a difference between two even parts of the visitors would be found in 4 of 5 experiments.

        As the ratio of the arms in the better part over that in the worse; None where nothing can be told.
        """
        error = ratio(self._second, np.ones(len(self.visitors), np.bool_)).log_error
        needed = NormalDist().inv_cdf(1 - FALSE_RATE / max(1, len(self.choices))) + _SEEN
        # Each part has twice the variance of all, and their difference that of both.
        return float(np.exp(2 * needed * error)) if np.isfinite(error) else None


def _groups(candidates: Sequence[Candidate]) -> NDArray[np.bool_]:
    return np.array([one.holds for one in candidates], np.bool_)


class _Strata:
    """In which visitors of a segment had the same chances of two arms, as long as none of its weights changed."""

    def __init__(self, record: Record, arm: str, against: str) -> None:
        self._arms = (arm, against)
        self._allocations = record.allocations
        self._runs = {segment: _runs(record.allocations, segment) for segment in record.experiment.segment_keys}
        self._numbers: dict[tuple[object, ...], int] = {}

    def of(self, row: ContextRow) -> int | None:
        """The number of a row's stratum; None where one of the arms could not be had."""
        allocation = self._allocations.get(row.epoch)
        weights = allocation.of(row.segment, row.context) if allocation else {}
        if not all(arm in weights for arm in self._arms):
            return None
        stratum = (row.segment, self._runs[row.segment][row.epoch], *(weights[arm] for arm in self._arms))
        return self._numbers.setdefault(stratum, len(self._numbers))


def _runs(allocations: Mapping[int, Allocation], segment: str) -> dict[int, int]:
    """Which epochs have the same weights in a segment and its contexts, one after another."""
    runs: dict[int, int] = {}
    before: object = None
    newest = 0
    for epoch, allocation in sorted(allocations.items()):
        weights = (allocation.weights.get(segment), allocation.contexts.get(segment))
        newest += weights != before
        runs[epoch], before = newest, weights
    return runs


class _Compared(NamedTuple):
    """The visitors who could have had either of two arms; `places` are context, stratum and segment of each row."""

    rows: Sequence[ContextRow]
    contexts: Sequence[str]
    segments: Sequence[str]
    places: Codes
    arm: str
    unit: float

    @classmethod
    def of(cls, record: Record, arm: str, against: str) -> "_Compared":
        """Those of a record."""
        strata = _Strata(record, arm, against)
        numbered = [(row, strata.of(row)) for row in record.rows if row.arm in (arm, against)]
        rows = [row for row, stratum in numbered if stratum is not None]
        contexts, context = coded([row.context for row in rows])
        segments, segment = coded([row.segment for row in rows])
        stratum = np.array([stratum for _, stratum in numbered if stratum is not None], np.intp)
        unit = unit_of(record.experiment, record.experiment.goal.key)
        return cls(rows, contexts, segments, np.stack([context, stratum, segment]), arm, unit)

    def visitors(self) -> NDArray[np.intp]:
        """How many each context has."""
        return np.bincount(self.places[0], [row.n for row in self.rows], minlength=len(self.contexts)).astype(np.intp)

    def parted_by(self, holds: NDArray[np.bool_]) -> list[str]:
        """The segments with visitors on both sides of a rule."""
        sides = {(int(segment), bool(holds[context])) for context, _, segment in self.places.T}
        return [name for place, name in enumerate(self.segments) if {(place, True), (place, False)} <= sides]

    def of_half(self, half: int) -> Cells:
        """What one half of the visitors brought."""
        within = [index for index, row in enumerate(self.rows) if row.half == half]
        some = [self.rows[index] for index in within]
        different, cell = np.unique(self.places[:, within], axis=1, return_inverse=True)
        of_arm = np.array([row.arm == self.arm for row in some], np.intp)
        size = different.shape[1]
        values = np.array([row[-3:] for row in some], np.float64).reshape(-1, 3).T
        place = of_arm * size + cell.ravel()
        sums: Array = np.stack([np.bincount(place, column, minlength=2 * size) for column in values])
        n, total, total_squares = sums.reshape(3, 2, size)
        context, stratum, part = different
        return Cells(context, stratum, part, n, total * self.unit, total_squares * self.unit**2)
