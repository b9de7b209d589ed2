"""What is believed of arms that are compared: posteriors of each metric, and of the objective. Pure."""

from collections.abc import Iterable
from collections.abc import Mapping
from math import sqrt

from experiments.model import Experiment
from experiments.model import Metric
from stats import adaptive
from stats.adaptive import Estimate
from stats.posteriors import BetaPosterior
from stats.posteriors import NormalPosterior

Posterior = BetaPosterior | NormalPosterior

#: The estimates of some arms by key.
Estimates = Mapping[str, Estimate]


def metric_posteriors(metric: Metric, estimates: Estimates) -> dict[str, Posterior]:
    """What is believed of a metric's mean per visitor: from Beta(1, 1) for a rate, else Normal."""
    if metric.unit == "rate":
        return {arm: adaptive.beta(found) for arm, found in estimates.items()}
    return _normals(estimates, widest=_half_cap(metric))


def objective_posteriors(experiment: Experiment, *, goal: Estimates, profit: Estimates) -> dict[str, Posterior]:
    """What is believed of the objective per visitor, in the goal's unit or in money.

    A rate's value is fixed, so revenue ranks as the rate does and its posterior stays exact.
    """
    if experiment.objective != "profit":
        return metric_posteriors(experiment.goal, goal)
    return profit_posteriors(experiment, goal=goal, profit=profit)


def profit_posteriors(experiment: Experiment, *, goal: Estimates, profit: Estimates) -> dict[str, Posterior]:
    """What is believed of the profit per visitor, whatever the objective is."""
    if experiment.goal.unit == "rate":
        value = float(experiment.goal.worth or 0)
        return {arm: _profit_of_rate(value, goal=goal[arm], profit=profit[arm]) for arm in goal}
    return _normals(profit, widest=_half_cap(experiment.goal) * float(experiment.goal.worth or 1))


def _profit_of_rate(value: float, *, goal: Estimate, profit: Estimate) -> NormalPosterior:
    """Value times the rate's posterior, less the cost per visitor seen.

    The spread is the rate's own: profits of an arm without conversions do not vary, which proves nothing.
    """
    rate = adaptive.beta(goal)
    cost = value * goal.mean - profit.mean
    return NormalPosterior(value * rate.mean - cost, value * rate.sd)


def _normals(estimates: Estimates, *, widest: float) -> dict[str, Posterior]:
    """Normal posteriors; where an arm says little, one visitor's value is as in all the arms together."""
    mean, sd = _one_visitor(estimates.values(), widest=widest)
    return {arm: adaptive.normal(found, prior_mean=mean, prior_sd=sd) for arm, found in estimates.items()}


def _one_visitor(estimates: Iterable[Estimate], *, widest: float) -> tuple[float, float]:
    """Mean and standard deviation of one visitor's value over all arms; `widest` where nothing varied yet."""
    seen = [found for found in estimates if found.n > 0]
    visitors = sum(found.n for found in seen)
    if not visitors:
        return 0.0, widest
    mean = sum(found.n * found.mean for found in seen) / visitors
    variance = sum(found.n * found.variance for found in seen) / visitors
    return mean, sqrt(variance) or widest


def _half_cap(metric: Metric) -> float:
    return float(metric.cap) / 2 if metric.cap else 1.0
