"""What a report believes of the objective: each arm on its own, and all segments together. Pure."""

from collections.abc import Mapping
from typing import NamedTuple
from typing import Self

from experiments.counting import PROFIT
from experiments.estimates import Book
from experiments.figures import INTERVAL
from experiments.model import Experiment
from experiments.objective import Estimates
from experiments.objective import Posterior
from experiments.objective import objective_posteriors
from experiments.pooling import objective_unit
from experiments.pooling import pooled_objective
from experiments.pooling import pooled_unit
from experiments.report_shape import Interval
from stats.ranking import uplift


class Gain(NamedTuple):
    """A difference per visitor in the objective's unit, and the chance that it is above 0."""

    mean: float
    low: float
    high: float
    probability: float

    def interval(self) -> Interval:
        """The figures that a report prints of it."""
        return {"mean": self.mean, "low": self.low, "high": self.high}

    def over(self, visitors: int) -> Self:
        """The same difference over so many visitors."""
        return self._replace(mean=self.mean * visitors, low=self.low * visitors, high=self.high * visitors)


class Beliefs:
    """The objective of every arm in every segment."""

    def __init__(self, experiment: Experiment, book: Book) -> None:
        self._experiment = experiment
        self._evidence = {segment: _evidence(experiment, book, segment) for segment in experiment.segment_keys}
        self._pooled = pooled_objective(experiment, self._evidence)
        self._places = {segment: place for place, segment in enumerate(self._evidence)}

    def alone(self, segment: str) -> dict[str, Posterior]:
        """What a segment's own visitors say of its arms."""
        goal, profit = self._evidence[segment]
        return objective_posteriors(self._experiment, goal=goal, profit=profit)

    def gain(self, segment: str, arm: str, reference: str) -> Gain:
        """An arm against a reference in one segment.

        The mean and the chance are pooled over segments, so that the best of many is not taken for better than it is;
        the interval is the segment's own, because a shrunken one does not cover a segment unlike the others.
        """
        pooled = self._pooled.gain(self._places[segment], arm, reference)
        posteriors = self.alone(segment)
        own = uplift(posteriors[arm], posteriors[reference], mass=INTERVAL)
        unit = objective_unit(self._experiment)
        mean = pooled.mean * pooled_unit(self._experiment)
        return Gain(mean, own.low * unit, own.high * unit, pooled.probability)

    def mix(self, arm_by_segment: Mapping[str, str], reference: str, *, shares: Mapping[str, float]) -> Gain:
        """Some segments on arms of their own against everybody on the reference, per visitor of all segments."""
        coefficients = {
            segment: {arm: shares[segment], reference: -shares[segment]} for segment, arm in arm_by_segment.items()
        }
        return self.combination(coefficients)

    def combination(self, coefficients: Mapping[str, Mapping[str, float]]) -> Gain:
        """Σ coefficient·objective over arms by segment, in the objective's unit, with what their errors share."""
        ordered = [coefficients.get(segment, {}) for segment in self._places]
        found, unit = self._pooled.combination(ordered, mass=INTERVAL), pooled_unit(self._experiment)
        return Gain(found.mean * unit, found.low * unit, found.high * unit, found.probability)


def _evidence(experiment: Experiment, book: Book, segment: str) -> tuple[Estimates, Estimates]:
    means = {arm.key: book[segment, arm.key].means for arm in experiment.open_arms(segment)}
    return (
        {arm: found[experiment.goal.key] for arm, found in means.items()},
        {arm: found[PROFIT] for arm, found in means.items()},
    )
