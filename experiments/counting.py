"""What counts: which outcomes fall in a metric's window, and what a visitor's total adds to the cells. Pure."""

from collections.abc import Iterator
from collections.abc import Mapping
from typing import Literal

from experiments.currency import to_minor
from experiments.economics import profit_units
from experiments.model import Experiment
from experiments.model import Metric

#: Metrics that every visitor has besides the declared ones; `$` keeps their names apart from declared keys.
EXPOSURES = "$exposures"
PROFIT = "$profit"

#: Lags are kept in this many parts of a metric's window.
LAG_BUCKETS = 256

Timing = Literal["counts", "before_exposure", "before_window", "after_window"]


def timing(metric: Metric, *, exposed_ms: int, at_ms: int) -> Timing:
    """Whether an outcome falls in the metric's part of the window after the exposure, or where else."""
    if at_ms < exposed_ms:
        return "before_exposure"
    if at_ms < exposed_ms + metric.from_seconds * 1000:
        return "before_window"
    return "counts" if at_ms < exposed_ms + metric.window_seconds * 1000 else "after_window"


def lag_bucket(metric: Metric, *, exposed_ms: int, at_ms: int) -> int:
    """Which part of the window an outcome fell in."""
    return (at_ms - exposed_ms) * LAG_BUCKETS // (metric.window_seconds * 1000)


def amount_of(metric: Metric, amounts: Mapping[str, int | float], *, currency: str) -> int:
    """What one event adds to a visitor's total: 1, or the money in the metric's property in minor units."""
    if metric.kind != "value":
        return 1
    assert metric.property is not None, "a value metric has a property"
    return to_minor(amounts.get(metric.property, 0), currency)


def counted(metric: Metric, total: int, *, currency: str) -> int:
    """What a visitor's total counts for: a conversion once, anything else up to its cap."""
    if metric.kind in ("conversion", "retention"):
        return min(total, 1)
    if metric.cap is None:
        return total
    return min(total, to_minor(metric.cap, currency) if metric.kind == "value" else int(metric.cap))


def visitor_values(
    experiment: Experiment, arm: str, totals: Mapping[str, int]
) -> Iterator[tuple[str, int]]:
    """What a visitor with these totals adds to the sums of each metric, the built-in ones included."""
    for metric in experiment.metrics:
        yield metric.key, counted(metric, totals.get(metric.key, 0), currency=experiment.currency)
    yield EXPOSURES, totals.get(EXPOSURES, 0)
    yield PROFIT, profit_of(experiment, arm, totals)


def profit_of(experiment: Experiment, arm: str, totals: Mapping[str, int]) -> int:
    """A visitor's profit, value less cost of exposures, in ten-thousandths of a minor unit."""
    goal = counted(experiment.goal, totals.get(experiment.goal.key, 0), currency=experiment.currency)
    return profit_units(experiment, experiment.arm_by_key[arm], goal, totals.get(EXPOSURES, 0))
