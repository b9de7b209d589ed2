"""Doses: visitors by how often they were exposed, and by the cap that was drawn for them. Pure.

A visitor's worth is money where the experiment says what its goal is worth, else the goal itself: worth of the goal,
less the cost of exposures, less what other metrics cost that the visitor reached.
"""

from collections import Counter
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from dataclasses import field

from experiments.counting import EXPOSURES
from experiments.counting import Measures
from experiments.currency import minor_digits
from experiments.economics import PROFIT_SCALE
from experiments.frequency.caps import cap_of
from experiments.inputs import unit_of
from experiments.model import Experiment
from experiments.storage.visitors import ExposureRow
from stats.moments import Moments

#: Whoever was exposed more often counts as this often.
MOST = 6

#: A visitor's stand-in, first exposure and totals.
Exposed = tuple[bytes, ExposureRow, Mapping[str, int]]
#: A segment and an arm.
Place = tuple[str, str]


@dataclass
class Sums:
    """Sums of one value that grow visitor by visitor."""

    n: int = 0
    total: float = 0.0
    total_squares: float = 0.0

    def add(self, value: float) -> None:
        """Count one more visitor."""
        self.n += 1
        self.total += value
        self.total_squares += value * value

    @property
    def moments(self) -> Moments:
        """The sums as statistics take them."""
        return Moments(self.n, self.total, self.total_squares)


@dataclass
class Group:
    """Visitors who have something in common: how often they were exposed, what they reached and what that is worth."""

    exposures: Sums = field(default_factory=Sums)
    goal: Sums = field(default_factory=Sums)
    worth: Sums = field(default_factory=Sums)

    def add(self, exposures: int, goal: float, worth: float) -> None:
        """Count one more visitor."""
        self.exposures.add(exposures)
        self.goal.add(goal)
        self.worth.add(worth)


@dataclass
class Doses:
    """All visitors of an experiment.

    Attributes:
        visitors: by segment, arm and number of exposures, at most `MOST`, those whose time is not over too.
        exposures: how often all of a segment and arm were exposed.
        by_number: of those whose time is over.
        by_cap: of those whose time is over, by segment, arm and cap, where caps are drawn.
    """

    visitors: Counter[tuple[Place, int]] = field(default_factory=Counter)
    exposures: Counter[Place] = field(default_factory=Counter)
    by_number: dict[tuple[Place, int], Group] = field(default_factory=lambda: defaultdict(Group))
    by_cap: dict[tuple[Place, int], Group] = field(default_factory=lambda: defaultdict(Group))


def has_money(experiment: Experiment) -> bool:
    """Whether a visitor's worth is money: a goal without worth cannot be set against any cost."""
    return experiment.goal.worth is not None


def metrics_of(experiment: Experiment) -> list[str]:
    """The metrics that a visitor's worth is made of."""
    costs = experiment.frequency.costs if experiment.frequency else {}
    return list(dict.fromkeys([experiment.goal.key, *costs]))


def doses(
    experiment: Experiment, visitors: Iterable[Exposed], *, before_ms: int, so_far: Doses | None = None
) -> Doses:
    """Count visitors beside those who are counted; who came from `before_ms` on still has time to reach the goal."""
    found = deepcopy(so_far) if so_far else Doses()
    worth, frequency = _Worth(experiment), experiment.frequency
    is_drawn = frequency is not None and len(frequency.caps) > 1
    for stand_in, exposure, totals in visitors:
        place, number = (exposure.segment, exposure.arm), min(exposure.n, MOST)
        found.visitors[place, number] += 1
        found.exposures[place] += exposure.n
        if exposure.at_ms < before_ms:
            figures = exposure.n, *worth.of(exposure, totals)
            found.by_number[place, number].add(*figures)
            if is_drawn and frequency:
                found.by_cap[place, cap_of(experiment.key, frequency, stand_in).most].add(*figures)
    return found


class _Worth:
    """What visitors of an experiment are worth."""

    def __init__(self, experiment: Experiment) -> None:
        self._goal = experiment.goal.key
        self._measures = Measures(experiment)
        self._unit = unit_of(experiment, self._goal)
        self._profit_unit = 10.0 ** -minor_digits(experiment.currency) / PROFIT_SCALE if has_money(experiment) else None
        costs = experiment.frequency.costs if experiment.frequency else {}
        self._costs = {metric: float(cost) for metric, cost in costs.items()}

    def of(self, exposure: ExposureRow, totals: Mapping[str, int]) -> tuple[float, float]:
        """What a visitor reached of the goal, in its unit, and what the visitor is worth."""
        goal = self._measures.counted(self._goal, totals.get(self._goal, 0)) * self._unit
        if self._profit_unit is None:
            return goal, goal
        profit = self._measures.profit(exposure.arm, {**totals, EXPOSURES: exposure.n}) * self._profit_unit
        reached = ((metric, self._measures.counted(metric, totals.get(metric, 0))) for metric in self._costs)
        return goal, profit - sum(n * self._costs[metric] for metric, n in reached)
