"""The figures of a report's rows: what is believed of each metric, and what an arm cost and earned. Pure."""

from collections.abc import Mapping
from collections.abc import Sequence
from decimal import Decimal

from experiments.economics import cost_per_conversion
from experiments.economics import profit_per_visitor
from experiments.economics import roi
from experiments.estimates import ArmEstimates
from experiments.model import Arm
from experiments.model import Metric
from experiments.objective import Posterior
from experiments.objective import metric_posteriors
from experiments.report_shape import Economics
from experiments.report_shape import Interval
from experiments.report_shape import MetricFigures
from experiments.report_shape import PosteriorShape
from experiments.report_shape import Rank
from experiments.report_shape import Uplift
from stats.posteriors import BetaPosterior
from stats.posteriors import NormalPosterior
from stats.ranking import ranking
from stats.ranking import uplift

#: The share of its probability that a printed interval holds.
INTERVAL = 0.95

_UNRANKED: Rank = {"probability_best": None, "expected_loss": None}


class Comparison:
    """One metric of arms that are compared with each other."""

    def __init__(self, metric: Metric, arms: Sequence[Arm], *, book: Mapping[str, ArmEstimates], mass: str) -> None:
        self._metric = metric
        self._book = book
        self._mass = mass
        self._control = next((arm.key for arm in arms if arm.role == "control"), None)
        self._posteriors = metric_posteriors(metric, {arm.key: book[arm.key].means[metric.key] for arm in arms})
        self._ranks = _ranks(metric, [arm.key for arm in arms if arm.role != "control"], self._posteriors)

    def figures(self, arm: str) -> MetricFigures:
        """The metric's figures for one of the arms."""
        sums = self._book[arm].sums[self._metric.key]
        return {
            "visitors": sums.n,
            "sum": sums.total if self._metric.unit == "money" else round(sums.total),
            **believed(self._posteriors[arm]),
            "posterior": shape(self._posteriors[arm]),
            **self._ranks.get(arm, _UNRANKED),
            "uplift_over_mass": gain_over(self._posteriors, arm, self._mass),
            "uplift_over_control": gain_over(self._posteriors, arm, self._control),
        }


def believed(posterior: Posterior) -> Interval:
    """A posterior's mean and interval."""
    low, high = posterior.credible_interval(INTERVAL)
    return {"mean": posterior.mean, "low": low, "high": high}


def shape(posterior: Posterior) -> PosteriorShape:
    """A posterior by its kind and the figures that it is known by."""
    if isinstance(posterior, BetaPosterior):
        return {"kind": "beta", "alpha": posterior.alpha, "beta": posterior.beta}
    return {"kind": "normal", "mean": posterior.mean, "sd": posterior.sd}


def _ranks(
    metric: Metric, candidates: Sequence[str], posteriors: Mapping[str, Posterior]
) -> dict[str, Rank]:
    upright = [_upright(metric, posteriors[arm]) for arm in candidates]
    ranks = ranking(upright)
    return {
        arm: {"probability_best": float(best), "expected_loss": float(loss)}
        for arm, best, loss in zip(candidates, ranks.probability_best, ranks.expected_loss, strict=True)
    }


def _upright(metric: Metric, posterior: Posterior) -> Posterior:
    """The posterior turned so that higher is better."""
    if metric.direction == "increase":
        return posterior
    if isinstance(posterior, BetaPosterior):
        return BetaPosterior(posterior.beta, posterior.alpha)
    return NormalPosterior(-posterior.mean, posterior.sd)


def gain_over(posteriors: Mapping[str, Posterior], arm: str, reference: str | None) -> Uplift | None:
    """An arm against a reference; None where there is no reference, or the arm is it."""
    if reference is None or reference == arm or reference not in posteriors:
        return None
    found = uplift(posteriors[arm], posteriors[reference], mass=INTERVAL)
    return {"mean": found.mean, "low": found.low, "high": found.high, "probability": found.probability}


def economics(
    *, cost: Decimal, value: Decimal | None, conversions: int, visitors: int, exposures: int
) -> Economics:
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
