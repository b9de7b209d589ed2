"""Guardrails: metrics that no arm may push beyond a limit, judged by bounds that hold however often one looks. Pure."""

from collections.abc import Mapping
from math import log
from typing import NamedTuple

from experiments.estimates import Book
from experiments.estimates import over_segments
from experiments.estimates import visitors_by_segment
from experiments.model import Arm
from experiments.model import Experiment
from experiments.model import Metric
from experiments.report_shape import Guardrail
from experiments.strata import Sums
from stats.adaptive import Estimate
from stats.limits import mean_above
from stats.limits import rate_above
from stats.limits import rate_below

#: The chance that a guardrail is called broken, ever, though no arm breaks it.
ALPHA = 0.05


class Judgement(NamedTuple):
    """A guardrail in an arm, over all segments: log evidence that it is broken, and how much of it says so."""

    metric: Metric
    arm: str
    sums: Sums
    evidence: float
    needed: float

    @property
    def name(self) -> str:
        """What its evidence is known by."""
        return f"guardrail {self.metric.key} {self.arm}"


def judgements(experiment: Experiment, book: Book) -> list[Judgement]:
    """Every guardrail in every arm; a limit is broken once the evidence says so, at any look."""
    metrics = [metric for metric in experiment.metrics if metric.role == "guardrail"]
    visitors = visitors_by_segment(experiment, book)
    needed = log(max(len(metrics) * len(experiment.arms), 1) / ALPHA)
    return [
        _judgement(experiment, book, visitors, metric, arm, needed=needed)
        for metric in metrics
        for arm in experiment.arms
    ]


def _judgement(
    experiment: Experiment, book: Book, visitors: Mapping[str, int], metric: Metric, arm: Arm, *, needed: float
) -> Judgement:
    segments = [segment for segment in experiment.segment_keys if arm.is_open_to(segment)]
    found = over_segments(book, arm.key, segments=segments, visitors=visitors)
    sums = found.sums[metric.key]
    return Judgement(metric, arm.key, sums, _evidence(metric, sums, found.means[metric.key]), needed)


def guardrails(
    experiment: Experiment, book: Book, *, barred: Mapping[str, str], min_cell: int
) -> list[Guardrail]:
    """Every guardrail as a report shows it; `barred` are the arms that have lost their traffic by one."""
    return [
        {
            "metric": rail.metric.key,
            "arm": rail.arm,
            "limit": rail.metric.limit,
            "direction": rail.metric.direction,
            "mean": rail.sums.total / rail.sums.n if rail.sums.n >= max(min_cell, 1) else None,
            "breached": rail.evidence >= rail.needed,
            "barred": barred.get(rail.arm) == rail.metric.key,
        }
        for rail in judgements(experiment, book)
    ]


def _evidence(metric: Metric, sums: Sums, mean: Estimate) -> float:
    """Log evidence that a metric to be kept low is above its limit, or one to be kept high below it."""
    assert metric.limit is not None, "a guardrail has a limit"
    if not sums.n:
        return 0.0
    if metric.unit == "rate" and metric.limit < 1:
        judge = rate_above if metric.direction == "decrease" else rate_below
        return judge(sums.total, sums.n, limit=metric.limit)
    sign = 1 if metric.direction == "decrease" else -1
    return mean_above(sign * sums.total / sums.n, mean.variance, sums.n, limit=sign * metric.limit)
