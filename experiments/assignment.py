"""Decide: which arm a visitor gets, with what probability, and why. No clock, no database, no random numbers."""

from collections.abc import Mapping
from copy import copy
from functools import cached_property
from typing import Any
from typing import Literal
from typing import NamedTuple

from experiments.allocation import GRAIN
from experiments.hashing import Ranges
from experiments.hashing import bucket
from experiments.hashing import choose
from experiments.hashing import ranges
from experiments.messages import compile_message
from experiments.model import EVERYONE_ELSE
from experiments.model import NO_PERSONALISATION
from experiments.model import Allocation
from experiments.model import Experiment
from experiments.model import Exposure
from experiments.model import State
from experiments.rule_columns import ColumnRule
from experiments.rule_columns import compile_column_rule
from experiments.rules import compile_rule

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
        self._draws = _draw_tables(allocation)
        self._messages = {arm.key: compile_message(arm.message or {}, arm.channel) for arm in experiment.arms}

    def under(self, allocation: Allocation) -> "Plan":
        """The same experiment under another allocation."""
        plan = copy(self)
        plan.allocation = allocation
        plan._draws = _draw_tables(allocation)
        return plan

    @cached_property
    def column_rules(self) -> list[ColumnRule]:
        """The rules of the segments in order, over columns; compiled when a list is first assigned."""
        types = self.experiment.attribute_types
        return [compile_column_rule(segment.rule, types) for segment in self.experiment.segments]

    def segment_of(self, attributes: Mapping[str, Any]) -> str:
        """The first segment whose rule holds, else everyone else."""
        return next((key for key, holds in self._rules if holds(attributes)), EVERYONE_ELSE)

    def draw(self, visitor: str, segment: str) -> Assignment:
        """The arm that the visitor's hash falls on among those open to the segment."""
        arms, weights, bounds = self._draws[segment]
        index = choose(bucket(self.experiment.key, visitor), bounds)
        return Assignment(arms[index], segment, weights[index], self.allocation.epoch, "allocated")

    def choices(self, segment: str, cause: Cause) -> tuple[list[Assignment], Ranges]:
        """What may be drawn in a segment, and the range of positions on which each falls."""
        arms, weights, bounds = self._draws[segment]
        pairs, epoch = zip(arms, weights, strict=True), self.allocation.epoch
        return [Assignment(arm, segment, weight, epoch, cause) for arm, weight in pairs], bounds

    def message(self, arm: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """What the arm says to a visitor with these attributes."""
        return self._messages[arm](attributes)

    def attributes_named(self, arm: str) -> frozenset[str]:
        """The attributes that the arm's message looks at."""
        return self._messages[arm].names

    def first_mass(self, segment: str, cause: Cause) -> Assignment:
        """The arm for everybody about whom nothing may be decided: certain, and outside the analysis."""
        return Assignment(self.experiment.first_mass.key, segment, GRAIN, self.allocation.epoch, cause)


def _draw_tables(allocation: Allocation) -> dict[str, tuple[list[str], list[int], Ranges]]:
    return {segment: _draw_table(arms) for segment, arms in allocation.weights.items()}


def _draw_table(weight_by_arm: Mapping[str, int]) -> tuple[list[str], list[int], Ranges]:
    weights = list(weight_by_arm.values())
    return list(weight_by_arm), weights, ranges([weight / GRAIN for weight in weights])


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
    drawn = plan.draw(visitor, segment)
    return drawn if state == "running" else drawn._replace(cause="not_running")


def _keep(plan: Plan, kept: Exposure, *, state: State, consent: Consent) -> Assignment:
    # Somebody who withdrew consent to personalisation is shown nothing tailored any more.
    if consent == "measure" and plan.experiment.arm_by_key[kept.arm].role == "tailored":
        return plan.first_mass(NO_PERSONALISATION, "no_consent")
    cause: Cause = "sticky" if state == "running" else "not_running"
    return Assignment(kept.arm, kept.segment, kept.weight, kept.epoch, cause)
