"""A past to question: who came, what their chances were, what they had and what came of it. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.allocation import GRAIN
from experiments.columns import Columns
from experiments.columns import Table
from experiments.counting import PROFIT
from experiments.inputs import last_open_day
from experiments.inputs import metric_columns
from experiments.model import Allocation
from experiments.model import Experiment
from stats.off_policy import Log

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: Parts of the past that judge what the others suggest.
FOLDS = 5


class Past(NamedTuple):
    """Logged, randomised visitors.

    Attributes:
        contexts, arms: what the log's numbers stand for; a context is a segment, or what stands for one in a table.
        folds: in how many parts the visitors are; what days have brought stays together.
        mass: the number of the arm that gains are counted from.
        is_open: which arms a policy may give to which context; shape (contexts, arms).
        unreachable: how many visitors of a context could not have had an arm; shape (contexts, arms).
        logs: by measure, `goal` and where money is known `profit`; of the same visitors, so that only sums differ.
        fixed_costs: of making each arm's message, in the measure `profit`'s unit.
    """

    contexts: tuple[str, ...]
    arms: tuple[str, ...]
    folds: int
    mass: int
    is_open: Flags
    unreachable: Array
    logs: Mapping[str, Log]
    fixed_costs: Array

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a policy: folds, contexts, arms."""
        return self.folds, len(self.contexts), len(self.arms)

    @property
    def visitors_by_context(self) -> Array:
        """How many visitors each context has."""
        log = self.logs["goal"]
        return np.bincount(log.context, log.n, minlength=len(self.contexts)).astype(np.float64)

    @property
    def visitors(self) -> float:
        """How many there are in all."""
        return float(self.logs["goal"].n.sum())


def past_of(
    experiment: Experiment, columns: Table, *, allocations: Mapping[int, Allocation], now_ms: int
) -> Past | None:
    """An experiment's past up to the last day whose windows are over; None where nobody came before it ended."""
    before_day = last_open_day(experiment.goal, now_ms=now_ms)
    goal = metric_columns(experiment, columns, metric=experiment.goal.key, before_day=before_day)
    if not goal.n.sum():
        return None
    profit = metric_columns(experiment, columns, metric=PROFIT, before_day=before_day)
    contexts = tuple(key for key in experiment.segment_keys if key in goal.segment.groups())
    arms = tuple(arm.key for arm in experiment.drawn_arms)
    places = _Places(contexts, arms, tuple(np.unique(goal.day).tolist()))
    measured = {"goal": goal, "profit": profit} if earns(experiment) else {"goal": goal}
    return Past(
        contexts,
        arms,
        places.folds,
        arms.index(experiment.first_mass.key),
        np.array([[_may_give(experiment, context, arm) for arm in arms] for context in contexts]),
        _unreachable(places, goal, allocations),
        {name: _log(places, cells, allocations) for name, cells in measured.items()},
        np.array([float(experiment.arm_by_key[arm].fixed_cost) for arm in arms]),
    )


def earns(experiment: Experiment) -> bool:
    """Whether the experiment says what its goal is worth, or what its arms cost."""
    is_dear = any(arm.fixed_cost or any(tier.cost for tier in arm.tiers) for arm in experiment.arms)
    return is_dear or experiment.goal.worth is not None


def _may_give(experiment: Experiment, context: str, arm: str) -> bool:
    return arm in {one.key for one in experiment.candidates(context)}


class _Places(NamedTuple):
    """Where contexts, arms and days stand in a log."""

    contexts: tuple[str, ...]
    arms: tuple[str, ...]
    days: tuple[int, ...]

    @property
    def folds(self) -> int:
        return min(FOLDS, len(self.days))


def _log(places: _Places, every: Columns, allocations: Mapping[int, Allocation]) -> Log:
    # What nobody is in may have a weight of 0.
    cells = every.at(every.n > 0)
    weights = (
        allocations[epoch].of(segment, context).get(arm, 0)
        for epoch, segment, context, arm in zip(
            cells.epoch.tolist(), cells.segment, cells.contexts(), cells.arm, strict=True
        )
    )
    return Log(
        np.searchsorted(places.days, cells.day) % places.folds,
        cells.segment.placed(_numbers(places.contexts)),
        cells.arm.placed(_numbers(places.arms)),
        np.fromiter(weights, np.float64, len(cells.n)) / GRAIN,
        cells.n,
        cells.total,
        cells.total_squares,
    )


def _numbers(names: tuple[str, ...]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}


def _unreachable(places: _Places, cells: Columns, allocations: Mapping[int, Allocation]) -> Array:
    found = np.zeros((len(places.contexts), len(places.arms)))
    by_segment = cells.by_segment()
    for row, context in enumerate(places.contexts):
        here = by_segment[context]
        for epoch, of_visitor, n in zip(here.epoch.tolist(), here.contexts(), here.n.tolist(), strict=True):
            weights = allocations[epoch].of(context, of_visitor)
            found[row] += [0 if weights.get(arm, 0) else n for arm in places.arms]
    return found
