"""The simulated visitors of a ready campaign: what is known of each, and what each would do under any arm."""

from collections.abc import Iterator
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.model import Metric
from experiments.simulation.world import Values
from service.gallery.entries import Attributes
from service.gallery.entries import Entry

Array = NDArray[np.float64]


class Visitor(NamedTuple):
    """A visitor, before it is known which arm they get.

    Attributes:
        segment: to which they belong in truth.
        luck: below an arm's rate, they reach the goal under it; the course of the rates over the days is in it.
        delay_ms: how long that takes.
        worth: what it adds to the goal.
    """

    id: str
    segment: str
    attributes: Mapping[str, str | int | bool]
    luck: float
    delay_ms: int
    worth: float


def crowd(entry: Entry, *, seed: int) -> Iterator[list[Visitor]]:
    """The visitors of each day, drawn from a seed."""
    experiment, assumptions, rng = entry.experiment, entry.assumptions, np.random.default_rng(seed)
    segments, course = list(assumptions.segment_shares), assumptions.world(experiment).course(entry.days).tolist()
    for day, factor in enumerate(course):
        n = assumptions.visitors_per_day
        chosen = rng.choice(len(segments), n, p=list(assumptions.segment_shares.values()))
        luck, delays = rng.random(n), _delays(rng, n, experiment.goal, mean_seconds=assumptions.delay_seconds)
        worths = _worths(rng, n, assumptions.values, experiment.goal)
        yield [
            Visitor(
                f"{entry.name}-{day}-{number}",
                segments[place],
                _drawn(rng, entry.attributes[segments[place]]),
                float(luck[number]) / factor,
                int(delays[number]),
                float(worths[number]),
            )
            for number, place in enumerate(chosen.tolist())
        ]


def _drawn(rng: np.random.Generator, attributes: Attributes) -> dict[str, str | int | bool]:
    return {name: values[int(rng.integers(len(values)))] for name, values in attributes.items()}


def _delays(rng: np.random.Generator, n: int, goal: Metric, *, mean_seconds: float) -> Array:
    """Exponential inside the goal's window, by the inverse of what has come by each age."""
    if not mean_seconds:
        return np.zeros(n)
    within = -np.expm1(-goal.window_seconds / mean_seconds)
    return np.asarray(-mean_seconds * np.log1p(-rng.random(n) * within) * 1000)


def _worths(rng: np.random.Generator, n: int, values: Values, goal: Metric) -> Array:
    if goal.property is None:
        return np.ones(n)
    drawn = rng.gamma((values.mean / values.sd) ** 2, values.sd**2 / values.mean, n)
    return np.asarray(np.minimum(drawn.round(2), float(goal.cap or np.inf)))
