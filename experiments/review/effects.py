"""Effects then and lately: what a tailored arm adds over the mass arm before a day and since, and whether that changed.

Only of visitors whose time is over, so that the young are not taken for a decline. Pure.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace

from experiments.columns import Columns
from experiments.inputs import last_open_day
from experiments.inputs import metric_columns
from experiments.model import Allocation
from experiments.model import Experiment
from experiments.objective import Posterior
from experiments.objective import metric_posteriors
from experiments.readings import Readings
from experiments.strata import segment_strata
from stats.changes import Pair
from stats.changes import change
from stats.ranking import uplift

#: The chance that any effect of an experiment is said to have changed in one look, though none has.
ALPHA = 0.05


@dataclass(frozen=True)
class Span:
    """A figure and its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Effect:
    """What a tailored arm adds over the mass arm to the goal, per visitor of a segment.

    Attributes:
        before, lately: of visitors who came before the day and since; None where too few had either arm.
        change: lately less before; `p_value` of no change, and `changed` whether the chance of that is small for all
            effects of the experiment together.
    """

    arm: str
    against: str
    before: Span | None
    lately: Span | None
    change: Span | None = None
    p_value: float | None = None
    changed: bool = False


def effects(readings: Readings, *, since_day: int, min_cell: int) -> dict[str, list[Effect]]:
    """The effects in each segment that has a tailored arm."""
    experiment = readings.experiment
    open_day = last_open_day(experiment.goal, now_ms=readings.now_ms)
    cells = metric_columns(experiment, readings.columns, metric=experiment.goal.key, before_day=open_day)
    parts = [
        _Part(experiment, readings.allocations, cells.at(which), max(1, min_cell))
        for which in (cells.day < since_day, cells.day >= since_day)
    ]
    found = {segment.key: list(_effects(experiment, segment.key, *parts)) for segment in experiment.segments}
    return _judged(found)


def _judged(found: dict[str, list[Effect]]) -> dict[str, list[Effect]]:
    asked = sum(one.p_value is not None for some in found.values() for one in some)
    return {
        segment: [replace(one, changed=one.p_value is not None and one.p_value < ALPHA / asked) for one in some]
        for segment, some in found.items()
    }


class _Part:
    """The visitors of one stretch of time."""

    def __init__(
        self, experiment: Experiment, allocations: Mapping[int, Allocation], cells: Columns, least: int
    ) -> None:
        self._goal = experiment.goal
        self._estimates = segment_strata(cells, allocations).estimates()
        self._least = least

    def posteriors(self, segment: str) -> dict[str, Posterior]:
        """What is believed of the arms that enough visitors of the segment had."""
        estimates = self._estimates.get(segment, {})
        return metric_posteriors(self._goal, {arm: one for arm, one in estimates.items() if one.n >= self._least})


def _effects(experiment: Experiment, segment: str, before: _Part, lately: _Part) -> Iterator[Effect]:
    mass, then, now = experiment.first_mass.key, before.posteriors(segment), lately.posteriors(segment)
    for arm in experiment.candidates(segment):
        if arm.role == "tailored":
            yield _effect(arm.key, mass, _pair(then, arm.key, mass), _pair(now, arm.key, mass))


def _pair(posteriors: Mapping[str, Posterior], arm: str, mass: str) -> Pair | None:
    return Pair(posteriors[arm], posteriors[mass]) if arm in posteriors and mass in posteriors else None


def _effect(arm: str, mass: str, before: Pair | None, lately: Pair | None) -> Effect:
    found = Effect(arm, mass, _span(before), _span(lately))
    if before is None or lately is None:
        return found
    changed = change(before, lately)
    return replace(found, change=Span(changed.mean, changed.low, changed.high), p_value=changed.p_value)


def _span(pair: Pair | None) -> Span | None:
    if pair is None:
        return None
    found = uplift(pair.treatment, pair.reference)
    return Span(found.mean, found.low, found.high)
