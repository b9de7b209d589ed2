"""Cubes as the rest of the house reads them: by which terms they are added up, and what they say. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from operator import attrgetter

from experiments.counting import EXPOSURES
from experiments.counting import PROFIT
from experiments.counting import is_watched
from experiments.counting import most_of
from experiments.economics import profit_rates
from experiments.model import Experiment
from experiments.model import Metric
from experiments.storage.cells import CellKey
from experiments.storage.cells import CellSums
from experiments.storage.cells import added
from experiments.storage.contexts import NO_ATTRIBUTES
from experiments.storage.contexts import ContextRow
from experiments.storage.cubes import ArmTerms
from experiments.storage.cubes import CubeRow
from experiments.storage.cubes import MetricTerms
from experiments.storage.cubes import Terms

_CONTEXT_PLACE = attrgetter(*ContextRow._fields[:5])


def all_terms(experiment: Experiment) -> Terms:
    """To add up every metric, the built-in ones included."""
    metrics = [_terms(experiment, metric, is_watched=is_watched(metric)) for metric in experiment.metrics]
    rates = {arm.key: profit_rates(experiment, arm) for arm in experiment.arms}
    built_in = [MetricTerms(EXPOSURES), MetricTerms(PROFIT)]
    return Terms([*metrics, *built_in], [ArmTerms(arm, each.gain, each.cost) for arm, each in rates.items()])


def goal_terms(experiment: Experiment) -> Terms:
    """To add up the goal alone."""
    everything = all_terms(experiment)
    return everything._replace(metrics=[_terms(experiment, experiment.goal, is_watched=False)])


def _terms(experiment: Experiment, metric: Metric, *, is_watched: bool) -> MetricTerms:
    return MetricTerms(
        metric.key,
        metric.source == "any",
        metric.from_seconds * 1000,
        metric.window_seconds * 1000,
        most_of(metric, currency=experiment.currency),
        metric == experiment.goal,
        is_watched,
    )


def cells_of_cube(experiment: Experiment, cube: Iterable[CubeRow], removed: CellSums) -> CellSums:
    """What the cells must count: what a cube does, and what was `removed` of cells beyond what it still knows of."""
    cells: dict[CellKey, tuple[int, int, int]] = defaultdict(lambda: (0, 0, 0))
    for row in cube:
        context = row.context if experiment.is_contextual else ""
        key = CellKey(
            experiment.key, row.epoch, row.day, row.segment, row.arm, row.asserted, row.metric, context
        )
        n, total, squares = cells[key]
        cells[key] = (
            n + row.n - row.removed_n,
            total + row.total - row.removed_total,
            squares + row.total_squares - row.removed_total_squares,
        )
    return added({key: (n, total, float(squares)) for key, (n, total, squares) in cells.items()}, removed)


def contexts_of_cube(cube: Iterable[CubeRow]) -> list[ContextRow]:
    """The visitors of whom a context is stored, by what they reached in the one metric of a cube."""
    return _by_context(row for row in cube if row.context)


def past_of_cube(cube: Iterable[CubeRow], *, before_day: int) -> list[ContextRow]:
    """The same of all visitors exposed before a day."""
    rows = (row for row in cube if row.day < before_day)
    return _by_context(row if row.context else row._replace(context=NO_ATTRIBUTES) for row in rows)


def _by_context(cube: Iterable[CubeRow]) -> list[ContextRow]:
    """Those to whom another arm was shown than was drawn are left out."""
    sums: dict[tuple[str, str, str, int, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in cube:
        if not row.asserted:
            found = sums[_CONTEXT_PLACE(row)]
            found[:] = found[0] + row.n, found[1] + row.total, found[2] + row.total_squares
    return [ContextRow(*place, n, total, float(squares)) for place, (n, total, squares) in sorted(sums.items())]
