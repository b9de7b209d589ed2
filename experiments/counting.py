"""What counts: which outcomes fall in a metric's window, and what a visitor's total adds to the cells. Pure."""

from collections.abc import Iterator
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from experiments.currency import to_minor
from experiments.economics import profit_rates
from experiments.model import Experiment
from experiments.model import Metric

#: Metrics that every visitor has besides the declared ones; `$` keeps their names apart from declared keys.
EXPOSURES = "$exposures"
PROFIT = "$profit"

#: Metrics of those only who have reached the goal, each counted once in one of them, by who told of it first.
BY_SERVER = "$by_server"
BY_CLIENT = "$by_client"
AT_ONCE = "$at_once"
TELLERS = (BY_SERVER, BY_CLIENT, AT_ONCE)

#: What a client key tells sooner after the exposure than this came at once.
AT_ONCE_MS = 60_000

#: Lags are kept in this many parts of a metric's window.
LAG_BUCKETS = 256

_UNBOUNDED = 2**62

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


def is_watched(metric: Metric) -> bool:
    """Whether a metric decides and hears client keys, with which anybody can forge."""
    return metric.role == "goal" and metric.source == "any"


def teller(*, trusted: bool, exposed_ms: int, at_ms: int) -> str:
    """The metric of those whose goal was first told of by a server key, by a client key, or by one at once."""
    if trusted:
        return BY_SERVER
    return AT_ONCE if at_ms - exposed_ms < AT_ONCE_MS else BY_CLIENT


def amount_of(metric: Metric, amounts: Mapping[str, int | float], *, currency: str) -> int:
    """What one event adds to a visitor's total: 1, or what stands in the metric's property."""
    return 1 if metric.property is None else _kept(metric, amounts.get(metric.property, 0), currency=currency)


class Measures:
    """What totals of an experiment's visitors count for, its caps and prices worked out once for all of them."""

    def __init__(self, experiment: Experiment) -> None:
        self._goal = experiment.goal.key
        #: The metrics that profit is made of.
        self.profitable = (self._goal, EXPOSURES)
        self._caps = {metric.key: cap_of(metric, currency=experiment.currency) for metric in experiment.metrics}
        self._rates = {arm.key: profit_rates(experiment, arm) for arm in experiment.arms}

    def counted(self, metric: str, total: int) -> int:
        """What a visitor's total counts for: a conversion once, anything else up to its cap."""
        cap = self._caps.get(metric)
        return total if cap is None or total < cap else cap

    def profit(self, arm: str, totals: Mapping[str, int]) -> int:
        """A visitor's profit, value less cost of exposures, in ten-thousandths of a minor unit."""
        goal_total = self.counted(self._goal, totals.get(self._goal, 0))
        return self._rates[arm].units(goal_total, totals.get(EXPOSURES, 0))

    def values(self, arm: str, totals: Mapping[str, int]) -> Iterator[tuple[str, int]]:
        """What a visitor with these totals adds to the sums of each metric, the built-in ones included."""
        for metric in (*self._caps, EXPOSURES):
            yield metric, self.counted(metric, totals.get(metric, 0))
        yield PROFIT, self.profit(arm, totals)


def cap_of(metric: Metric, *, currency: str) -> int | None:
    """The most that a visitor's total counts for; None where it counts as it is."""
    if metric.unit == "rate":
        return 1
    return None if metric.cap is None else _kept(metric, metric.cap, currency=currency)


def most_of(metric: Metric, *, currency: str) -> int:
    """The same as a number, where it counts as it is more than any total that a database can hold."""
    cap = cap_of(metric, currency=currency)
    return _UNBOUNDED if cap is None else cap


def _kept(metric: Metric, amount: int | float | Decimal, *, currency: str) -> int:
    """An amount as cells keep it: money in minor units, anything else whole."""
    return to_minor(amount, currency) if metric.unit == "money" else int(amount)
