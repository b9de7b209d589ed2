"""Decide: which arm a visitor gets, with what probability, and why. No clock, no database, no random numbers."""

from collections.abc import Mapping
from copy import copy
from functools import cached_property
from typing import Any
from typing import Literal
from typing import NamedTuple

from experiments.allocation import GRAIN
from experiments.contexts import Contexts
from experiments.hashing import Ranges
from experiments.hashing import choose
from experiments.hashing import position
from experiments.hashing import ranges
from experiments.hashing import seed_state
from experiments.messages.message import compile_message
from experiments.model import Allocation
from experiments.model import EVERYONE_ELSE
from experiments.model import Experiment
from experiments.model import Exposure
from experiments.model import NO_PERSONALISATION
from experiments.model import State
from experiments.rules.columns import ColumnRule
from experiments.rules.columns import compile_column_rule
from experiments.rules.conditions import compile_rule

Cause = Literal["allocated", "sticky", "not_running", "no_consent", "opted_out", "forced", "fallback"]
Consent = Literal["none", "measure", "personalise"]


class Assignment(NamedTuple):
    """An arm for a visitor; `weight` is the propensity in ten-thousandths."""

    arm: str
    segment: str
    weight: int
    epoch: int
    cause: Cause

    @property
    def propensity(self) -> float:
        """The probability with which the arm was given."""
        return self.weight / GRAIN


class Plan:
    """An experiment and one allocation of it, compiled for deciding."""

    def __init__(self, experiment: Experiment, allocation: Allocation) -> None:
        types = experiment.attribute_types
        self.experiment = experiment
        self.allocation = allocation
        self._rules = [(segment.key, compile_rule(segment.rule, types)) for segment in experiment.segments]
        self._state = seed_state(experiment.key)
        self._draws = _draws(allocation)
        self.contexts = Contexts(experiment.attributes)
        self._messages = {arm.key: compile_message(arm.message or {}, arm.channel) for arm in experiment.arms}

    def under(self, allocation: Allocation) -> "Plan":
        """The same experiment under another allocation."""
        plan = copy(self)
        plan.allocation = allocation
        plan._draws = _draws(allocation)
        return plan

    @cached_property
    def column_rules(self) -> list[ColumnRule]:
        """The rules of the segments in order, over columns; compiled when a list is first assigned."""
        types = self.experiment.attribute_types
        return [compile_column_rule(segment.rule, types) for segment in self.experiment.segments]

    def segment_of(self, attributes: Mapping[str, Any]) -> str:
        """The first segment whose rule holds, else everyone else."""
        # A loop, because a generator costs more than most rules do.
        for key, holds in self._rules:
            if holds(attributes):
                return key
        return EVERYONE_ELSE

    def draw(self, visitor: str, segment: str, context: str | None = None) -> Assignment:
        """The arm that the visitor's hash falls on among those open to the segment."""
        assignments, bounds = self._draws.get((segment, context)) or self._draws[segment, None]
        return assignments[choose(position(visitor, state=self._state), bounds)]

    def drawn_context(self, attributes: Mapping[str, Any]) -> str | None:
        """The context by which an arm is drawn; None where it does not matter."""
        return self.contexts.of(attributes) if self.allocation.contexts else None

    def choices(
        self, segment: str, cause: Cause, *, context: str | None = None
    ) -> tuple[list[Assignment], Ranges]:
        """What may be drawn in a segment, and the range of positions on which each falls."""
        assignments, bounds = self._draws.get((segment, context)) or self._draws[segment, None]
        return [assignment._replace(cause=cause) for assignment in assignments], bounds

    def message(self, arm: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """What the arm says to a visitor with these attributes."""
        return self._messages[arm](attributes)

    def attributes_named(self, arm: str) -> frozenset[str]:
        """The attributes that the arm's message looks at."""
        return self._messages[arm].names

    def first_mass(self, segment: str, cause: Cause) -> Assignment:
        """The arm for everybody about whom nothing may be decided: certain, and outside the analysis."""
        return Assignment(self.experiment.first_mass.key, segment, GRAIN, self.allocation.epoch, cause)


#: What may be drawn, and the range of positions on which each falls.
_Draw = tuple[list[Assignment], Ranges]


def _draws(allocation: Allocation) -> dict[tuple[str, str | None], _Draw]:
    """By segment, and of contexts that have weights of their own by both."""
    epoch = allocation.epoch
    return {(segment, None): _draw(segment, weights, epoch) for segment, weights in allocation.weights.items()} | {
        (segment, context): _draw(segment, weights, epoch)
        for segment, by_context in allocation.contexts.items()
        for context, weights in by_context.items()
    }


def _draw(segment: str, weight_by_arm: Mapping[str, int], epoch: int) -> _Draw:
    assignments = [Assignment(arm, segment, weight, epoch, "allocated") for arm, weight in weight_by_arm.items()]
    return assignments, ranges([weight / GRAIN for weight in weight_by_arm.values()])


def decide(
    plan: Plan,
    visitor: str,
    *,
    attributes: Mapping[str, Any],
    state: State = "running",
    consent: Consent = "personalise",
    kept: Exposure | None = None,
    opted_out: bool = False,
) -> Assignment:
    """The arm of a visitor; `kept` is what an exposure or a token of the visitor fixed before."""
    if opted_out or consent == "none":
        return plan.first_mass(NO_PERSONALISATION, "opted_out" if opted_out else "no_consent")
    if kept is not None:
        return _keep(plan, kept, state=state, consent=consent)
    segment = NO_PERSONALISATION if consent == "measure" else plan.segment_of(attributes)
    if state == "paused":
        return plan.first_mass(segment, "not_running")
    context = None if consent == "measure" else plan.drawn_context(attributes)
    drawn = plan.draw(visitor, segment, context)
    return drawn if state == "running" else drawn._replace(cause="not_running")


def _keep(plan: Plan, kept: Exposure, *, state: State, consent: Consent) -> Assignment:
    # Somebody who withdrew consent to personalisation is shown nothing tailored any more.
    if consent == "measure" and plan.experiment.arm_by_key[kept.arm].role == "tailored":
        return plan.first_mass(NO_PERSONALISATION, "no_consent")
    cause: Cause = "sticky" if state == "running" else "not_running"
    return Assignment(kept.arm, kept.segment, kept.weight, kept.epoch, cause)
