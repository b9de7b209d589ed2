"""The contexts in a world: how many visitors have each, and what each does to the rates of arms. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from experiments.contexts import Kept
from experiments.contexts import kept_values
from experiments.model import Experiment
from experiments.simulation.world import World
from experiments.simulation.world import places_of

Array = NDArray[np.float64]


@dataclass(frozen=True)
class AssumedValue:
    """A kept value of an attribute: the share of visitors who have it, and by arm what it gains with them."""

    share: float
    uplift: Mapping[str, float]


#: By attribute, and by each kept value as `kept_name` writes it.
AssumedAttributes = Mapping[str, Mapping[str, AssumedValue]]


def kept_name(kept: Kept) -> str:
    """A kept value as the name of a field: a text as it is, all else as in a context."""
    # The text "null" is none of the other texts, which are null.
    return kept if isinstance(kept, str) and kept != "null" else msgspec.json.encode(kept).decode()


class ContextWorld(NamedTuple):
    """The contexts in a world.

    Attributes:
        contexts: each as text; all are whole.
        shares: of the visitors of every segment, by context; sum to 1.
        rates: by segment, context and open arm.
    """

    contexts: tuple[str, ...]
    shares: Array
    rates: Array

    def mean_rates(self) -> Array:
        """The rates of segments, over all of their contexts."""
        return np.asarray(np.einsum("c,sca->sa", self.shares, self.rates))

    def world(self, by_segment: World) -> World:
        """The same world with a row for each context in each segment, the contexts of a segment together."""
        shares = np.outer(by_segment.shares, self.shares).ravel()
        return by_segment._replace(shares=shares, rates=self.rates.reshape(len(shares), -1))


def context_world(
    experiment: Experiment, rates: Mapping[str, Mapping[str, float]], attributes: AssumedAttributes
) -> ContextWorld:
    """The contexts where rates by segment and arm, and what is assumed of attributes, are true."""
    names = sorted(attributes)
    combinations = [*product(*(kept_values(experiment.attributes[name]) for name in names))]
    assumed = [
        [attributes[name][kept_name(kept)] for name, kept in zip(names, combination, strict=True)]
        for combination in combinations
    ]
    contexts = [msgspec.json.encode(dict(zip(names, combination, strict=True))) for combination in combinations]
    shares = np.array([prod(value.share for value in values) for values in assumed])
    tables = [places_of(experiment).table(_lifted(rates, values)) for values in assumed]
    return ContextWorld(tuple(context.decode() for context in contexts), shares, np.stack(tables, axis=1))


def _lifted(
    rates: Mapping[str, Mapping[str, float]], values: list[AssumedValue]
) -> dict[str, dict[str, float]]:
    """The rates of visitors who have all of these values."""
    return {
        segment: {arm: rate * prod(1 + value.uplift.get(arm, 0.0) for value in values) for arm, rate in row.items()}
        for segment, row in rates.items()
    }
