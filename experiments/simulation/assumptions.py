"""Assumptions: what a pre-flight takes to be true of a campaign that has not begun. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from math import prod

import numpy as np

from experiments.model import Experiment
from experiments.model import NO_PERSONALISATION
from experiments.simulation.context_world import AssumedAttributes
from experiments.simulation.context_world import ContextWorld
from experiments.simulation.context_world import context_world
from experiments.simulation.world import Values
from experiments.simulation.world import World
from experiments.simulation.world import places_of

#: Where nothing is said: visitors a day without a planned audience, the mass arm's rate, and what arms do to it.
VISITORS_PER_DAY = 1_000
BASE_RATE = 0.05
UPLIFT = {"control": -0.2, "mass": 0.0, "tailored": 0.2}


@dataclass(frozen=True)
class Assumptions:
    """What is assumed, everything filled in.

    Attributes:
        segment_shares: of the visitors who consent, by segment; the visitors of `no-personalisation` are those who
            do not, a share of 1 - `consent_share` of all.
        rates: by segment and open arm, the share of visitors who reach the goal inside its window.
        values: mean and standard deviation of what one of them adds to a goal that counts or sums.
        delay_seconds: how long they take on average.
        drift: the relative change of all rates over the campaign; `weekly` how far they swing within a week.
        attributes: where weights may differ by context, of each stored attribute the share of its kept values, and by
            arm what those who have one gain over the segment; independent of each other and of the segment.
        defaults: the names of those that were not given.
    """

    visitors_per_day: int
    segment_shares: Mapping[str, float]
    consent_share: float
    rates: Mapping[str, Mapping[str, float]]
    values: Values
    delay_seconds: int
    drift: float
    weekly: float
    defaults: tuple[str, ...] = ()
    attributes: AssumedAttributes = field(default_factory=dict)

    def world(self, experiment: Experiment) -> World:
        """The world in which all of this is true."""
        shares = [self.share_of(segment) for segment in experiment.segment_keys]
        contexts = self.contexts(experiment)
        rates = places_of(experiment).table(self.rates) if contexts is None else contexts.mean_rates()
        return World(np.array(shares), rates, self.values, self.delay_seconds, self.drift, self.weekly)

    def contexts(self, experiment: Experiment) -> ContextWorld | None:
        """The contexts in it; None where nothing is assumed of attributes."""
        return context_world(experiment, self.rates, self.attributes) if self.attributes else None

    def highest_lift(self, arm: str) -> float:
        """What an arm's rate in a segment is multiplied by in the context where that is most."""
        return prod(
            max(1 + value.uplift.get(arm, 0.0) for value in by_value.values() if value.share)
            for by_value in self.attributes.values()
        )

    def share_of(self, segment: str) -> float:
        """A segment's share of all visitors."""
        if segment == NO_PERSONALISATION:
            return 1 - self.consent_share
        return self.consent_share * self.segment_shares[segment]
