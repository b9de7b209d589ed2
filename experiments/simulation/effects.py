"""Effects worth testing: the smallest uplift that a campaign would find, and the one that repays what an arm costs."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.arrivals import arrivals
from experiments.contests import ALPHA
from experiments.contests import is_by_conversions
from experiments.simulation.outcomes import Plan
from experiments.simulation.outcomes import even_split
from experiments.simulation.world import places_of
from stats.power import detectable_difference
from stats.power import detectable_ratio

Array = NDArray[np.float64]

#: The chance with which the smallest effect is found.
POWER = 0.8

# An effect that is short of the smallest by less is found nearly as often.
_NEARLY = 0.95


@dataclass(frozen=True)
class Effect:
    """Uplifts of a tailored arm over the mass arm, as shares of the mass arm's goal.

    Attributes:
        assumed: what the simulation takes to be true.
        detectable: the smallest that an even split finds within the days with a chance of 80 %; None where none is.
        break_even: the one that repays what the arm costs more; None where the goal has no worth or nobody converts.
    """

    segment: str
    arm: str
    assumed: float | None
    detectable: float | None
    break_even: float | None

    @property
    def is_found(self) -> bool:
        """Whether most campaigns would find the arm to be better if it works as assumed."""
        found, assumed = self.detectable, self.assumed
        return found is not None and assumed is not None and assumed >= _NEARLY * found

    @property
    def pays(self) -> bool:
        """Whether the arm repays its cost if it works as assumed."""
        return self.break_even is None or self.assumed is None or self.assumed > self.break_even


def effects(plan: Plan) -> list[Effect]:
    """Every tailored arm in every segment."""
    return [_effect(plan, segment, arm) for segment, arms in plan.truth.tailored.items() for arm in arms]


def _effect(plan: Plan, segment: str, arm: str) -> Effect:
    places, truth = places_of(plan.experiment), plan.truth
    own, mass = (places.place(segment, key) for key in (arm, plan.experiment.first_mass.key))
    base = float(truth.goals[mass])
    if not base:
        return Effect(segment, arm, None, None, None)
    return Effect(
        segment,
        arm,
        assumed=float(truth.goals[own]) / base - 1,
        detectable=_detectable(plan, own, mass),
        break_even=_break_even(plan, arm, own=own, mass=mass),
    )


def _detectable(plan: Plan, own: tuple[int, int], mass: tuple[int, int]) -> float | None:
    """Closed testing calls one contest for certain, whatever the others say, at their number times the evidence."""
    weights = even_split(plan.experiment)
    visitors = plan.days * plan.visitors_per_day * plan.world.shares[own[0]]
    contests = sum(map(len, plan.truth.tailored.values()))
    needed = math.log(contests / ALPHA)
    if not visitors:
        return None
    if is_by_conversions(plan.experiment):
        conversions = visitors * weights[mass] * plan.truth.goals[mass] * seen_share(plan)
        share = float(weights[own] / (weights[own] + weights[mass]))
        found = detectable_ratio(float(conversions), share, needed=needed)
        return found - 1 if math.isfinite(found) else None
    spread = math.sqrt(_variance(plan, mass) * (1 / weights[own] + 1 / weights[mass]) / visitors)
    found = detectable_difference(spread, float(visitors), needed=needed)
    if plan.experiment.objective == "profit":
        # What the arm costs more must be won back before there is a gain to be found.
        found += float(plan.truth.costs[own] - plan.truth.costs[mass]) / (plan.truth.worth or 1.0)
    return found / float(plan.truth.goals[mass])


def _variance(plan: Plan, mass: tuple[int, int]) -> float:
    """Of the goal of one visitor of the mass arm."""
    mean, sd = plan.world.values.mean, plan.world.values.sd
    whole = float(plan.truth.goals[mass])
    return whole / mean * (sd**2 + mean**2) - whole**2


def seen_share(plan: Plan) -> float:
    """The share of all conversions that come before the end."""
    by_day = arrivals(plan.experiment.goal, mean_seconds=plan.world.delay_seconds, days=plan.days).days
    come = np.cumsum(np.pad(by_day, (0, max(plan.days - len(by_day), 0))))[: plan.days]
    course = plan.world.course(plan.days)
    return float(course[::-1] @ come / course.sum())


def _break_even(plan: Plan, arm: str, *, own: tuple[int, int], mass: tuple[int, int]) -> float | None:
    worth, experiment = plan.truth.worth, plan.experiment
    if not worth:
        return None
    dearer = experiment.arm_by_key[arm].fixed_cost - experiment.first_mass.fixed_cost
    extra = float(plan.truth.costs[own] - plan.truth.costs[mass]) + max(float(dearer), 0.0) / _reach(plan, arm)
    return extra / float(plan.truth.goals[mass] * worth)


def _reach(plan: Plan, arm: str) -> float:
    """The visitors over whom an arm's fixed cost is spread: its segments' part of the audience, or of the campaign."""
    everybody = plan.experiment.audience or plan.days * plan.visitors_per_day
    segments = [segment for segment, arms in plan.truth.tailored.items() if arm in arms]
    places = places_of(plan.experiment).segments
    return max(everybody * sum(float(plan.world.shares[places.index(segment)]) for segment in segments), 1.0)
