"""Outcomes: how one simulated campaign goes, with a look at every midnight."""

from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.allocation import GRAIN
from experiments.allocation import first_allocation
from experiments.batches import batched
from experiments.contests import segment_call
from experiments.model import Experiment
from experiments.model import Policy
from experiments.simulation.campaigns import Campaign
from experiments.simulation.context_campaign import ContextCampaign
from experiments.simulation.context_world import ContextWorld
from experiments.simulation.looks import LOOKS
from experiments.simulation.looks import Look
from experiments.simulation.looks import Seen
from experiments.simulation.looks import looks
from experiments.simulation.truth import Truth
from experiments.simulation.world import World
from experiments.simulation.world import places_of

Array = NDArray[np.float64]


class Plan(NamedTuple):
    """What is simulated: an experiment in a world whose truth is known, and how long, with how many visitors a day.

    A policy by context needs `contexts`; to the others visitors of a segment are alike, with the mean of its rates.
    """

    experiment: Experiment
    world: World
    truth: Truth
    days: int
    visitors_per_day: int
    contexts: ContextWorld | None = None


class Called(NamedTuple):
    """What a segment was called, after how many days, and whether that is true."""

    call: str
    day: int
    is_right: bool


class Takings(NamedTuple):
    """What is expected of the visitors who came, and how much more that is than an even split had had of them."""

    total: float
    won: float


class Outcome(NamedTuple):
    """One campaign: the segments with a verdict, what it brought and cost, and how often its weights moved.

    `profit` leaves fixed costs out, and is None where the goal has no worth.
    """

    called: dict[str, Called]
    goals: Takings
    profit: Takings | None
    cost: float
    moves: int


def run(plan: Plan, *, rng: np.random.Generator) -> Outcome:
    """One campaign from its first day to its last.

    A segment's verdict is its first call; `none`, which overrules, whenever it comes.
    """
    campaign = _campaign(plan, rng=rng)
    called: dict[str, Called] = {}
    for seen in batched(_midnights(campaign, plan), size=LOOKS):
        for look in looks(seen, waiting=plan.truth.tailored.keys() - called):
            called |= _verdicts(look, plan.truth, called)
    return _outcome(campaign, plan, called)


def _campaign(plan: Plan, *, rng: np.random.Generator) -> Campaign:
    if not plan.experiment.is_contextual:
        return Campaign(plan.experiment, plan.world, days=plan.days, rng=rng)
    assert plan.contexts is not None, "a policy by context is simulated where contexts are known"
    return ContextCampaign(plan.experiment, plan.world, plan.contexts, days=plan.days, rng=rng)


def _midnights(campaign: Campaign, plan: Plan) -> Iterator[Seen]:
    """What can be seen at each midnight, after which weights may move."""
    every = max(1, -(-plan.experiment.policy.every_seconds // 86_400))
    for day in range(1, plan.days + 1):
        campaign.live(plan.visitors_per_day)
        yield campaign.seen()
        if day % every == 0 and day < plan.days:
            campaign.reallocate()


def _verdicts(look: Look, truth: Truth, called: Mapping[str, Called]) -> dict[str, Called]:
    """The verdicts that a look adds."""
    now = {
        segment: segment_call([look.calls[segment, arm] for arm in arms])
        for segment, arms in truth.tailored.items()
        if segment not in called
    }
    now |= {segment: "none" for segment in look.barren & truth.tailored.keys() if _is_news(called, segment, "none")}
    return {
        segment: Called(call, look.day, truth.holds(segment, call, _called_for(look.calls, segment)))
        for segment, call in now.items()
        if call != "keep_testing"
    }


def _is_news(called: Mapping[str, Called], segment: str, call: str) -> bool:
    return segment not in called or called[segment].call != call


def _called_for(calls: Mapping[tuple[str, str], str], segment: str) -> list[str]:
    return [arm for (of_segment, arm), call in calls.items() if of_segment == segment and call == "tailor"]


def _outcome(campaign: Campaign, plan: Plan, called: dict[str, Called]) -> Outcome:
    arrived = campaign.n.sum(axis=2, keepdims=True)
    own = _Sums.of(campaign.n, campaign, plan)
    even = _Sums.of(arrived * campaign.rows(even_split(plan.experiment)), campaign, plan)
    worth = plan.truth.worth
    return Outcome(
        called,
        Takings(own.goals, own.goals - even.goals),
        None if worth is None else Takings(own.profit(worth), own.profit(worth) - even.profit(worth)),
        own.cost,
        campaign.epoch - 1,
    )


class _Sums(NamedTuple):
    """What visitors of a campaign are expected to bring and cost."""

    goals: float
    cost: float

    @classmethod
    def of(cls, visitors: Array, campaign: Campaign, plan: Plan) -> "_Sums":
        """Of so many by day, segment and arm."""
        brought = np.tensordot(campaign.course, visitors, axes=1) * campaign.world.rates * plan.world.values.mean
        return cls(float(brought.sum()), float((visitors.sum(axis=0) * campaign.rows(plan.truth.costs)).sum()))

    def profit(self, worth: float) -> float:
        """What is left, one of the goal being worth so much."""
        return self.goals * worth - self.cost


def even_split(experiment: Experiment) -> Array:
    """The shares of an even split, by segment and arm."""
    alike = first_allocation(replace(experiment, policy=Policy()))
    return places_of(experiment).table(alike.weights) / GRAIN
