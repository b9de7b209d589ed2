"""The figures of a report's rows: what is believed of each metric, and what an arm cost and earned. Pure."""

from collections.abc import Mapping
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from experiments.economics import cost_per_conversion
from experiments.economics import profit_per_visitor
from experiments.economics import roi
from experiments.model import Arm
from experiments.model import Metric
from experiments.objective import Posterior
from experiments.objective import metric_posterior
from experiments.strata import Sums
from stats.adaptive import Estimate
from stats.posteriors import BetaPosterior
from stats.posteriors import NormalPosterior
from stats.ranking import expected_loss
from stats.ranking import probability_best
from stats.ranking import uplift

#: The share of its probability that a printed interval holds.
INTERVAL = 0.95


def metric_figures(
    metric: Metric, arms: Sequence[Arm], *, sums: Mapping[str, Sums], means: Mapping[str, Estimate], mass: str
) -> dict[str, dict[str, Any]]:
    """One metric's figures for each of the arms that are compared with each other."""
    posteriors = {arm.key: metric_posterior(metric, means[arm.key]) for arm in arms}
    ranks = _ranks(metric, [arm for arm in arms if arm.role != "control"], posteriors)
    control = next((arm.key for arm in arms if arm.role == "control"), None)
    return {
        arm.key: {
            "visitors": sums[arm.key].n,
            "sum": sums[arm.key].total if metric.kind == "value" else round(sums[arm.key].total),
            **believed(posteriors[arm.key]),
            **ranks.get(arm.key, {"probability_best": None, "expected_loss": None}),
            "uplift_over_mass": gain_over(posteriors, arm.key, mass),
            "uplift_over_control": gain_over(posteriors, arm.key, control),
        }
        for arm in arms
    }


def believed(posterior: Posterior) -> dict[str, float]:
    """A posterior's mean and interval."""
    low, high = posterior.credible_interval(INTERVAL)
    return {"mean": posterior.mean, "low": low, "high": high}


def _ranks(
    metric: Metric, candidates: Sequence[Arm], posteriors: Mapping[str, Posterior]
) -> dict[str, dict[str, float]]:
    upright = [_upright(metric, posteriors[arm.key]) for arm in candidates]
    best, loss = probability_best(upright), expected_loss(upright)
    return {
        arm.key: {"probability_best": float(best[index]), "expected_loss": float(loss[index])}
        for index, arm in enumerate(candidates)
    }


def _upright(metric: Metric, posterior: Posterior) -> Posterior:
    """The posterior turned so that higher is better."""
    if metric.direction == "increase":
        return posterior
    if isinstance(posterior, BetaPosterior):
        return BetaPosterior(posterior.beta, posterior.alpha)
    return NormalPosterior(-posterior.mean, posterior.sd)


def gain_over(posteriors: Mapping[str, Posterior], arm: str, reference: str | None) -> dict[str, float] | None:
    """An arm against a reference; None where there is no reference, or the arm is it."""
    if reference is None or reference == arm or reference not in posteriors:
        return None
    found = uplift(posteriors[arm], posteriors[reference], mass=INTERVAL)
    return {"mean": found.mean, "low": found.low, "high": found.high, "probability": found.probability}


def economics(
    *, cost: Decimal, value: Decimal | None, conversions: int, visitors: int, exposures: int
) -> dict[str, Any]:
    """What an arm cost and earned; `value` is None where the goal has no worth in money."""
    return {
        "cost": float(cost),
        "value": None if value is None else float(value),
        "profit_per_visitor": None if value is None else profit_per_visitor(value, cost, visitors),
        "cost_per_conversion": cost_per_conversion(cost, conversions),
        "roi": None if value is None else roi(value, cost),
        "reach": visitors,
        "frequency": exposures / visitors if visitors else None,
    }
