"""The objective pooled over segments: each arm believed in as far as all segments together let one. Pure."""

from collections.abc import Mapping

from experiments.model import Experiment
from experiments.objective import Estimates
from experiments.objective import objective_posteriors
from stats import pooling
from stats.adaptive import Estimate
from stats.pooled import Pooled
from stats.posteriors import NormalPosterior

#: By segment, the estimates of goal and of profit of its open arms.
Evidence = Mapping[str, tuple[Estimates, Estimates]]


def pooled_objective(experiment: Experiment, evidence: Evidence, *, is_ranked: bool = True) -> Pooled:
    """What is believed of the objective of every arm in every segment, in the order of the segments given.

    Where it is not ranked no arm has a chance of being best. Tailored arms share one overall effect of tailoring; in
    the goal's unit, or in money for profit of values.
    """
    roles = {arm.key: arm.role for arm in experiment.arms if arm.role == "tailored"}
    candidates = [arm.key for arm in experiment.arms if is_ranked and arm.role != "control"]
    if experiment.goal.unit == "rate":
        counts = [
            {arm: count(experiment, goal[arm], profit[arm]) for arm in goal} for goal, profit in evidence.values()
        ]
        return pooling.pool_rates(counts, roles=roles, candidates=candidates)
    means = [normals(experiment, goal, profit) for goal, profit in evidence.values()]
    return pooling.pool_means(means, roles=roles, candidates=candidates)


def count(experiment: Experiment, goal: Estimate, profit: Estimate) -> pooling.Count:
    """What is known of an arm whose goal is a rate."""
    rate = min(max(goal.mean, 0.0), 1.0)
    successes = rate * goal.effective_n
    return pooling.Count(successes, goal.effective_n - successes, _cost(experiment, goal, profit))


def _cost(experiment: Experiment, goal: Estimate, profit: Estimate) -> float:
    """What showing the arm to a visitor cost, in conversions: only profit asks."""
    value = float(experiment.goal.worth or 0)
    if experiment.objective != "profit" or not value:
        return 0.0
    return goal.mean - profit.mean / value


def normals(experiment: Experiment, goal: Estimates, profit: Estimates) -> dict[str, NormalPosterior]:
    """What is known of the arms where the objective is a mean."""
    beliefs = objective_posteriors(experiment, goal=goal, profit=profit)
    return {arm: NormalPosterior(belief.mean, belief.sd) for arm, belief in beliefs.items()}


def objective_unit(experiment: Experiment) -> float:
    """What makes an arm's own posterior the objective: the revenue of a rate is not money yet."""
    is_unpriced = experiment.objective == "revenue" and experiment.goal.unit != "money"
    return float(experiment.goal.worth or 1) if is_unpriced else 1.0


def pooled_unit(experiment: Experiment) -> float:
    """The same for the pooled posterior, in which the profit of a rate is counted in conversions too."""
    is_unpriced = experiment.objective == "profit" and experiment.goal.unit == "rate"
    return float(experiment.goal.worth or 1) if is_unpriced else objective_unit(experiment)
