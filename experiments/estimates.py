"""The estimates behind a report: for each segment and arm, every metric's sums and its mean per visitor."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

from experiments.columns import Columns
from experiments.columns import Table
from experiments.counting import EXPOSURES
from experiments.counting import PROFIT
from experiments.inputs import metric_columns
from experiments.model import Experiment
from experiments.readings import Readings
from experiments.strata import Sums
from experiments.strata import add
from experiments.strata import segment_strata
from stats.adaptive import NOTHING
from stats.adaptive import Estimate
from stats.adaptive import Stratum
from stats.adaptive import combine
from stats.adaptive import estimate


class ArmEstimates(NamedTuple):
    """One arm in some segments: by metric, the sums as they stand and the estimate of the mean per visitor."""

    sums: Mapping[str, Sums]
    means: Mapping[str, Estimate]

    @property
    def visitors(self) -> int:
        """How many visitors were exposed."""
        return self.sums[EXPOSURES].n

    @property
    def exposures(self) -> int:
        """How often they were."""
        return round(self.sums[EXPOSURES].total)


#: By segment and arm, for the arms open to the segment.
Book = Mapping[tuple[str, str], ArmEstimates]


def metric_keys(experiment: Experiment) -> list[str]:
    """The declared metrics and the built-in ones."""
    return [*(metric.key for metric in experiment.metrics), EXPOSURES, PROFIT]


def columns_by_metric(readings: Readings) -> dict[str, Columns]:
    """Every metric's cells, in its own unit."""
    experiment = readings.experiment
    return {metric: metric_columns(experiment, readings.columns, metric=metric) for metric in metric_keys(experiment)}


def corrected(readings: Readings, columns: Table) -> Book:
    """Estimates that stay right while weights move: stratified by the runs of epochs with constant propensity."""
    found = {metric: segment_strata(cells, readings.allocations) for metric, cells in columns.items()}
    totals = {metric: one.sums() for metric, one in found.items()}
    means = {metric: one.estimates() for metric, one in found.items()}
    return {
        (segment, arm.key): ArmEstimates(
            {metric: one.get(segment, {}).get(arm.key, Sums()) for metric, one in totals.items()},
            {metric: one.get(segment, {}).get(arm.key, NOTHING) for metric, one in means.items()},
        )
        for segment in readings.experiment.segment_keys
        for arm in readings.experiment.open_arms(segment)
    }


def naive(book: Book) -> Book:
    """Estimates as if all visitors were alike, whenever they came and however likely their arm was."""
    return {
        place: ArmEstimates(found.sums, {metric: _as_one(total) for metric, total in found.sums.items()})
        for place, found in book.items()
    }


def _as_one(sums: Sums) -> Estimate:
    return estimate([Stratum(sums.n, 1.0, *sums)])


def visitors_by_segment(experiment: Experiment, book: Book) -> dict[str, int]:
    """How many visitors each segment has, over all its arms."""
    return {
        segment: sum(book[segment, arm.key].visitors for arm in experiment.open_arms(segment))
        for segment in experiment.segment_keys
    }


def over_segments(
    book: Book, arm: str, *, segments: Sequence[str], visitors: Mapping[str, int]
) -> ArmEstimates:
    """One arm over several segments, each weighing as many visitors as it has, whatever share of them the arm got."""
    parts = [book[segment, arm] for segment in segments]
    return ArmEstimates(
        {metric: _sum(part.sums[metric] for part in parts) for metric in parts[0].sums},
        {
            metric: _combine([part.means[metric] for part in parts], [visitors[segment] for segment in segments])
            for metric in parts[0].means
        },
    )


def _sum(parts: Iterable[Sums]) -> Sums:
    total = Sums()
    for part in parts:
        total = add(total, part)
    return total


def _combine(means: Sequence[Estimate], visitors: Sequence[int]) -> Estimate:
    seen = [(mean, n) for mean, n in zip(means, visitors, strict=True) if n]
    if len(seen) < 2:
        return seen[0][0] if seen else means[0]
    return combine([mean for mean, _ in seen], [n for _, n in seen])
