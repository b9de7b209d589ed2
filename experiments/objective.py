"""The objective as posteriors: for each arm, what is believed of its worth per visitor. Pure."""

from collections.abc import Sequence

from experiments.economics import goal_value
from experiments.model import Experiment
from experiments.model import Metric
from stats import adaptive
from stats.adaptive import Estimate
from stats.posteriors import BetaPosterior
from stats.posteriors import NormalPosterior

Posterior = BetaPosterior | NormalPosterior


def is_rate(metric: Metric) -> bool:
    """Whether a visitor's value is 0 or 1."""
    return metric.kind in ("conversion", "retention")


def metric_posterior(metric: Metric, estimate: Estimate) -> Posterior:
    """What is believed of a metric's mean per visitor: Beta(1, 1) before the first for a rate, else Normal."""
    return adaptive.beta(estimate) if is_rate(metric) else adaptive.normal(estimate)


def objective_posterior(experiment: Experiment, *, goal: Estimate, profit: Estimate) -> Posterior:
    """What is believed of an arm's objective per visitor, in the goal's unit or in money.

    A rate's value is fixed, so revenue ranks as the rate does and its posterior stays exact.
    """
    if experiment.objective != "profit":
        return metric_posterior(experiment.goal, goal)
    if not is_rate(experiment.goal):
        return adaptive.normal(profit)
    return _profit_of_rate(float(goal_value(experiment) or 0), goal=goal, profit=profit)


def _profit_of_rate(value: float, *, goal: Estimate, profit: Estimate) -> NormalPosterior:
    """Value times the rate's posterior, less the cost per visitor seen.

    The spread is the rate's own: profits of an arm without conversions do not vary, which proves nothing.
    """
    rate = adaptive.beta(goal)
    cost = value * goal.mean - profit.mean if goal.effective_n else 0.0
    return NormalPosterior(value * rate.mean - cost, value * rate.sd)


def objective_posteriors(
    experiment: Experiment, estimates: Sequence[tuple[Estimate, Estimate]]
) -> list[Posterior]:
    """The posteriors of several arms, each from its (goal, profit) estimates."""
    return [objective_posterior(experiment, goal=goal, profit=profit) for goal, profit in estimates]
