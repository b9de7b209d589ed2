"""The truth of a world: what each arm is worth in each segment, and which calls say so. Pure."""

import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.contests import MARGIN
from experiments.economics import unit_cost
from experiments.model import Experiment
from experiments.simulation.world import World
from experiments.simulation.world import places_of

Array = NDArray[np.float64]


class Truth(NamedTuple):
    """What is expected of a visitor over a whole campaign, by segment and arm.

    Attributes:
        goals: of the goal, in its unit.
        costs: of one exposure.
        worth: of one of the goal in money; None where it has none.
        tailored: the segments that have tailored arms, with these.
        gains: of each of these over the mass arm in the objective, as a share of what the mass arm has.
        barren: the segments in which no message earns more than nothing.
    """

    goals: Array
    costs: Array
    worth: float | None
    tailored: dict[str, tuple[str, ...]]
    gains: dict[tuple[str, str], float]
    barren: frozenset[str]

    def right(self, segment: str) -> tuple[str, ...]:
        """The calls that are true of a segment; of a gain between nothing and what matters two are."""
        if segment in self.barren:
            return ("none",)
        best = max(self.gains[segment, arm] for arm in self.tailored[segment])
        return tuple(call for call, holds in (("tailor", best > 0), ("mass", best < MARGIN)) if holds)

    def holds(self, segment: str, call: str, tailored: Collection[str]) -> bool:
        """Whether a call is true that was made for a segment, `tailor` for these of its arms."""
        if call == "none":
            return segment in self.barren
        if call == "tailor":
            return all(self.gains[segment, arm] > 0 for arm in tailored)
        return all(self.gains[segment, arm] < MARGIN for arm in self.tailored[segment])


def truth_of(experiment: Experiment, world: World, *, days: int) -> Truth:
    """The truth of a campaign of so many days."""
    places, value = places_of(experiment), experiment.goal.worth
    worth = None if value is None else float(value)
    goals = (world.rates * float(world.course(days).mean())) * world.values.mean
    unit_costs = {arm.key: float(unit_cost(arm, experiment.audience)) for arm in experiment.arms}
    costs = places.table({
        segment: {arm.key: unit_costs[arm.key] for arm in experiment.open_arms(segment)}
        for segment in places.segments
    })
    objective = goals * (worth or 0.0) - costs if experiment.objective == "profit" else goals
    tailored = _tailored(experiment)
    gains = {
        (segment, arm): _gain(*(objective[places.place(segment, key)] for key in (arm, experiment.first_mass.key)))
        for segment, arms in tailored.items()
        for arm in arms
    }
    barren = frozenset(segment for segment in tailored if _is_barren(experiment, objective, segment))
    return Truth(goals, costs, worth, tailored, gains, barren)


def _tailored(experiment: Experiment) -> dict[str, tuple[str, ...]]:
    tailored = {
        segment: tuple(arm.key for arm in experiment.open_arms(segment) if arm.role == "tailored")
        for segment in experiment.segment_keys
    }
    return {segment: arms for segment, arms in tailored.items() if arms}


def _gain(own: float, mass: float) -> float:
    if own == mass:
        return 0.0
    return float(own - mass) / abs(float(mass)) if mass else math.copysign(math.inf, own - mass)


def _is_barren(experiment: Experiment, objective: Array, segment: str) -> bool:
    places = places_of(experiment)
    controls = [objective[places.place(segment, arm.key)] for arm in experiment.controls()]
    best = max(objective[places.place(segment, arm.key)] for arm in experiment.candidates(segment))
    return experiment.objective == "profit" and bool(controls) and bool(max(controls) > best)
