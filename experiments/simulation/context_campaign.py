"""A campaign whose visitors differ by context inside segments; its weights may differ by contexts too."""

import numpy as np
from numpy.typing import NDArray

from experiments.allocation import GRAIN
from experiments.columns import Columns
from experiments.columns import Names
from experiments.contextual import by_context
from experiments.model import Allocation
from experiments.model import Experiment
from experiments.model import NO_PERSONALISATION
from experiments.policies import next_weights
from experiments.proposals import Wanted
from experiments.publishing import is_new_allocation
from experiments.simulation.campaigns import Campaign
from experiments.simulation.context_world import ContextWorld
from experiments.simulation.world import Places
from experiments.simulation.world import World
from experiments.simulation.world import places_of

Array = NDArray[np.float64]


class ContextCampaign(Campaign):
    """A campaign under `contextual_thompson`; where one by segment has a row, it has one for each context."""

    def __init__(
        self, experiment: Experiment, world: World, contexts: ContextWorld, *, days: int, rng: np.random.Generator
    ) -> None:
        self._contexts = contexts.contexts
        super().__init__(experiment, contexts.world(world), days=days, rng=rng)

    def rows(self, by_segment: Array) -> Array:
        """A table by segment and arm, each segment's row once for each of its contexts."""
        return np.repeat(by_segment, len(self._contexts), axis=0)

    def _placed(self) -> Places:
        segments, arms, is_open = places_of(self.experiment)
        size = len(self._contexts)
        names = tuple(segment for segment in segments for _ in self._contexts)
        return Places(names, np.repeat(arms, size, axis=0), np.repeat(is_open, size, axis=0))

    def _columns(self, metric: str) -> Columns:
        by_row = super()._columns(metric)
        segment, context = np.divmod(by_row.segment.codes, len(self._contexts))
        # Of who did not consent to personalisation nothing is stored.
        context[segment == self.experiment.segment_keys.index(NO_PERSONALISATION)] = len(self._contexts)
        return by_row._replace(
            segment=Names(self.experiment.segment_keys, segment), context=Names((*self._contexts, ""), context)
        )

    def _conversions_by_segment(self) -> dict[str, int]:
        segments = self.experiment.segment_keys
        by_segment = self.converted.sum(axis=(0, 2)).reshape(len(segments), -1).sum(axis=1)
        return dict(zip(segments, by_segment.tolist(), strict=True))

    def _next(self) -> Allocation | None:
        previous, inputs = self.allocations[self.epoch], self.inputs()
        weights = next_weights(self.experiment, inputs, previous.weights)
        wanted = Wanted(weights, *by_context(self.experiment, inputs, previous))
        if not is_new_allocation(previous, wanted):
            return None
        return Allocation(self.epoch + 1, wanted.weights, wanted.contexts)

    def _table(self) -> Array:
        newest = self.allocations[self.epoch]
        table = np.zeros(self.places.arms.shape)
        places = ((segment, context) for segment in self.experiment.segment_keys for context in self._contexts)
        for row, (segment, context) in zip(table, places, strict=True):
            weights = newest.of(segment, None if segment == NO_PERSONALISATION else context)
            row[: len(weights)] = list(weights.values())
        return table / GRAIN
