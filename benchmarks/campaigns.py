"""The campaigns of the benchmarks: a letter for all and one for each segment, simulated as a pre-flight simulates them.

A batch of visitors takes the place of a day.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.counting import EXPOSURES
from experiments.diagnostics import ALARM
from experiments.diagnostics import sample_ratio_evidence
from experiments.document import parse_document
from experiments.model import Experiment
from experiments.simulation import campaigns as simulation
from experiments.simulation import world

MASS = "one-letter"
GOAL = "purchase"


class World(NamedTuple):
    """What is true of segments of equal size.

    Attributes:
        gains: of the tailored arm over the mass arm in each segment, as a share of the mass arm's rate.
        base: the mass arm's rate at the start.
        growth: by which the base has been multiplied at the end, in even steps.
    """

    gains: tuple[float, ...]
    base: float = 0.05
    growth: float = 1.0

    def of(self, experiment: Experiment) -> world.World:
        """The same, with nobody in the reserved segments."""
        size, segments = len(self.gains), experiment.segment_keys
        rates = np.zeros((len(segments), 2))
        rates[:size] = self.base * np.stack([np.ones(size), 1 + np.array(self.gains)], axis=1)
        shares = np.array([1 / size if place < size else 0.0 for place in range(len(segments))])
        return world.World(shares, rates, drift=self.growth - 1)


def tailor_for(segments: int, *, policy: str) -> Experiment:
    """An experiment with one letter for all and one for each segment, on the contract's defaults."""
    keys = [_segment(index) for index in range(segments)]
    return parse_document({
        "key": "campaign",
        # A batch is no day, so nothing can be said of how long conversions take.
        "policy": {"kind": policy, "maturity": "observed"},
        "attributes": {"taste": "string"},
        "segments": [
            {"key": key, "name": key, "kind": "behavioral", "rule": {"taste": key}} for key in keys
        ],
        "arms": [
            {"key": MASS, "role": "mass", "message": {"text": "for all"}},
            *({"key": letter(key), "role": "tailored", "segments": [key], "message": {"text": key}} for key in keys),
        ],
        "metrics": [{"key": GOAL, "event": "Order Completed", "kind": "conversion", "role": "goal"}],
    })


def _segment(index: int) -> str:
    return f"segment-{index}"


def letter(segment: str) -> str:
    """The arm made for a segment."""
    return f"letter-for-{segment}"


class Campaign(simulation.Campaign):
    """One campaign of so many batches."""

    def __init__(self, of: World, *, policy: str, batches: int, rng: np.random.Generator) -> None:
        experiment = tailor_for(len(of.gains), policy=policy)
        super().__init__(experiment, of.of(experiment), days=batches, rng=rng)
        self.segments = [segment.key for segment in experiment.segments]

    def called(self) -> NDArray[np.str_]:
        """Each segment's call."""
        found, _ = self.calls()
        return np.array([found[segment, letter(segment)] for segment in self.segments])

    def alarm(self) -> bool:
        """Whether visitors seem not to match the weights."""
        return sample_ratio_evidence(self.readings, self.columns(EXPOSURES)[EXPOSURES]) >= ALARM
