"""The report: for whom tailoring pays, read from the cells alone, so that its cost does not grow with traffic."""

import msgspec
from collections.abc import Mapping
from collections.abc import Sequence
from decimal import Decimal
from math import hypot

from experiments.allocation import GRAIN
from experiments.beliefs import Beliefs
from experiments.columns import Columns
from experiments.counting import EXPOSURES
from experiments.counting import PROFIT
from experiments.diagnostics import diagnose
from experiments.economics import break_even_visitors
from experiments.economics import exposure_cost
from experiments.economics import total_value
from experiments.estimates import ArmEstimates
from experiments.estimates import Book
from experiments.estimates import columns_by_metric
from experiments.estimates import corrected
from experiments.estimates import naive
from experiments.estimates import over_segments
from experiments.estimates import visitors_by_segment
from experiments.figures import Comparison
from experiments.figures import INTERVAL
from experiments.figures import economics
from experiments.guardrails import guardrails
from experiments.information import information
from experiments.inputs import unit_of
from experiments.model import Arm
from experiments.model import Experiment
from experiments.objective import profit_posteriors
from experiments.privacy.generality import consent_shares
from experiments.privacy.suppression import coarse_share
from experiments.privacy.suppression import suppress
from experiments.readings import Readings
from experiments.readings import read
from experiments.report_shape import AfterFixedCost
from experiments.report_shape import ArmRow
from experiments.report_shape import Economics
from experiments.report_shape import Method
from experiments.report_shape import MetricFigures
from experiments.report_shape import Report
from experiments.report_shape import Savings
from experiments.report_shape import TotalRow
from experiments.report_shape import Verdict
from experiments.savings import savings
from experiments.storage.store import Store
from experiments.times import date_of
from experiments.times import iso
from experiments.verdicts import verdict
from experiments.version import VERSION
from stats.posteriors import NormalPosterior


def build_report(store: Store, key: str, *, now_ms: int, min_cell: int) -> Report:
    """The report of an experiment as the contract shapes it.

    :raises UnknownExperiment: if there is none.
    """
    return report_of(store.read(lambda session: read(session, key, now_ms=now_ms)), min_cell=min_cell)


def report_of(readings: Readings, *, min_cell: int) -> Report:
    """The report of what was read; rows of fewer visitors than `min_cell` without their figures."""
    experiment = readings.experiment
    columns = columns_by_metric(readings)
    book = corrected(readings, columns)
    beliefs = Beliefs(experiment, book)
    rows = _arm_rows(readings, book)
    arms = suppress(rows, min_cell=min_cell)
    found = verdict(readings, book, columns, beliefs=beliefs, min_cell=min_cell)
    if any(shown["suppressed"] and row["visitors"] for shown, row in zip(arms, rows, strict=True)):
        _coarsen_shares(found, sum(row["visitors"] or 0 for row in rows), min_cell=min_cell)
    return {
        "experiment": experiment.key,
        "name": experiment.name,
        "as_of": iso(readings.now_ms),
        "watermark": None if readings.watermark_ms is None else iso(readings.watermark_ms),
        "state": readings.stored.state,
        "epoch": readings.newest.epoch or None,
        "objective": experiment.objective,
        "goal": {"key": experiment.goal.key, "kind": experiment.goal.kind},
        "currency": experiment.currency,
        "audience": experiment.audience,
        "verdict": found,
        "savings": _savings(readings, beliefs, columns[EXPOSURES], arms, min_cell=min_cell),
        "arms": arms,
        "totals": suppress(_total_rows(readings, book), min_cell=min_cell),
        "naive": suppress(_arm_rows(readings, naive(book)), min_cell=min_cell),
        "guardrails": guardrails(
            experiment, book, barred=readings.restraints.barred, min_cell=min_cell
        ),
        "diagnostics": {
            **diagnose(readings, columns),
            "consent": consent_shares(experiment, book, arms, counters=readings.counters, min_cell=min_cell),
        },
        "method": _method(readings, columns[EXPOSURES], arms, min_cell=min_cell),
    }


def _coarsen_shares(found: Verdict, total: int, *, min_cell: int) -> None:
    """Say how large segments are no more precisely than hides what is hidden of them."""
    for segment in found["segments"]:
        if segment["share_of_visitors"] is not None:
            segment["share_of_visitors"] = coarse_share(segment["share_of_visitors"], total, min_cell=min_cell)


def _savings(
    readings: Readings, beliefs: Beliefs, exposures: Columns, rows: Sequence[ArmRow], *, min_cell: int
) -> Savings:
    """What moving traffic has saved where that tells nothing of a hidden row."""
    hidden = {row["segment"] for row in rows if row["suppressed"] and row["role"] != "control"}
    segments = [segment for segment in readings.experiment.segment_keys if segment not in hidden]
    saved = savings(
        readings.experiment, beliefs, exposures, readings.allocations, segments=segments, min_cell=min_cell
    )
    return {
        "total": saved[-1].gain.interval() if saved else None,
        "days": [{"day": date_of(one.day), **one.gain.interval()} for one in saved],
        "segments": segments,
    }


class Group:
    """Arms that are compared with each other, in one segment or over several."""

    def __init__(self, experiment: Experiment, arms: Sequence[Arm], book: Mapping[str, ArmEstimates]) -> None:
        self.arms = arms
        self.book = book
        mass = experiment.first_mass.key
        self._comparisons = {
            metric.key: Comparison(metric, arms, book=book, mass=mass) for metric in experiment.metrics
        }

    def figures(self, arm: str) -> dict[str, MetricFigures]:
        """Every metric's figures for one of the arms."""
        return {metric: comparison.figures(arm) for metric, comparison in self._comparisons.items()}


def _arm_rows(readings: Readings, book: Book) -> list[ArmRow]:
    experiment = readings.experiment
    spent = {arm.key: _spent(arm, _everywhere(book, arm.key)) for arm in experiment.arms}
    rows = []
    for segment in experiment.segment_keys:
        arms = experiment.open_arms(segment)
        group = Group(experiment, arms, {arm.key: book[segment, arm.key] for arm in arms})
        for arm in arms:
            weight = _weight(readings, segment, arm)
            rows.append(_row(experiment, group, arm, segment=segment, weight=weight, spent=spent[arm.key]))
    return rows


def _everywhere(book: Book, arm: str) -> int:
    return sum(estimates.exposures for (_, of_arm), estimates in book.items() if of_arm == arm)


def _spent(arm: Arm, exposures: int) -> Decimal:
    """What one exposure of the arm has cost on average: volume tiers are reached by all segments together."""
    return exposure_cost(arm, exposures) / exposures if exposures else Decimal(0)


def _weight(readings: Readings, segment: str, arm: Arm) -> float | None:
    weight = readings.newest.weights.get(segment, {}).get(arm.key)
    return None if weight is None else weight / GRAIN


def _total_rows(readings: Readings, book: Book) -> list[TotalRow]:
    return [_total_row(readings, book, arm) for arm in readings.experiment.arms]


def _total_row(readings: Readings, book: Book, arm: Arm) -> TotalRow:
    """One arm over all segments open to it, beside the arms that are open to all of these too."""
    experiment = readings.experiment
    visitors = visitors_by_segment(experiment, book)
    segments = [segment for segment in experiment.segment_keys if arm.is_open_to(segment)]
    peers = [
        peer for peer in experiment.open_arms(segments[0]) if all(peer.is_open_to(segment) for segment in segments)
    ]
    over = {peer.key: over_segments(book, peer.key, segments=segments, visitors=visitors) for peer in peers}
    group = Group(experiment, peers, over)
    row = _row(
        experiment, group, arm, segment=None, weight=_overall_weight(readings, visitors, arm),
        spent=_spent(arm, over[arm.key].exposures),
    )
    everybody = sum(visitors.values())
    share = sum(visitors[segment] for segment in segments) / everybody if everybody else 0.0
    return {**row, **_after_fixed_cost(experiment, group, arm, row["economics"], share=share)}


def _overall_weight(readings: Readings, visitors: Mapping[str, int], arm: Arm) -> float | None:
    total = sum(visitors.values())
    if not total or not readings.newest.weights:
        return None
    return sum((_weight(readings, segment, arm) or 0.0) * n for segment, n in visitors.items()) / total


def _row(
    experiment: Experiment, group: Group, arm: Arm, *, segment: str | None, weight: float | None, spent: Decimal
) -> ArmRow:
    estimates = group.book[arm.key]
    return {
        "segment": segment,
        "arm": arm.key,
        "role": arm.role,
        "visitors": estimates.visitors,
        "exposures": estimates.exposures,
        "weight": weight,
        "metrics": group.figures(arm.key),
        "economics": _economics(experiment, estimates, spent=spent),
        "suppressed": False,
    }


def _economics(experiment: Experiment, estimates: ArmEstimates, *, spent: Decimal) -> Economics:
    goal = experiment.goal
    total = round(estimates.sums[goal.key].total / unit_of(experiment, goal.key))
    return economics(
        cost=spent * estimates.exposures,
        value=total_value(experiment, total),
        conversions=total if goal.unit != "money" else 0,
        visitors=estimates.visitors,
        exposures=estimates.exposures,
    )


def _after_fixed_cost(
    experiment: Experiment, group: Group, arm: Arm, figures: Economics, *, share: float
) -> AfterFixedCost:
    """What fixed costs leave of an arm's return, and the reach that pays for a dearer arm than the mass arm."""
    mass = experiment.first_mass
    gain = group.book[arm.key].means[PROFIT].mean - group.book[mass.key].means[PROFIT].mean
    spent = Decimal(repr(figures["cost"])) + arm.fixed_cost
    value = figures["value"]
    return {
        "fixed_cost": float(arm.fixed_cost),
        "roi_after_fixed": None if value is None or not spent else (value - float(spent)) / float(spent),
        "break_even_visitors": break_even_visitors(arm.fixed_cost - mass.fixed_cost, gain),
        "break_even_probability": _break_even_probability(experiment, group, arm, share=share),
    }


def _break_even_probability(experiment: Experiment, group: Group, arm: Arm, *, share: float) -> float | None:
    """The chance that the planned audience repays what the arm costs to make beyond the mass arm.

    `share` of the audience is in the arm's segments. None without an audience, a worth of the goal, or a difference.
    """
    mass, reach = experiment.first_mass, (experiment.audience or 0) * share
    dearer = float(arm.fixed_cost - mass.fixed_cost)
    if dearer <= 0 or not reach or experiment.goal.worth is None:
        return None
    beliefs = profit_posteriors(
        experiment,
        goal={key: found.means[experiment.goal.key] for key, found in group.book.items()},
        profit={key: found.means[PROFIT] for key, found in group.book.items()},
    )
    gain = beliefs[arm.key].mean - beliefs[mass.key].mean
    spread = hypot(beliefs[arm.key].sd, beliefs[mass.key].sd)
    return 1 - NormalPosterior(gain, spread).cdf(dearer / reach)


def _method(readings: Readings, exposures: Columns, rows: Sequence[ArmRow], *, min_cell: int) -> Method:
    experiment = readings.experiment
    shown = {(row["segment"], row["arm"]) for row in rows if not row["suppressed"]}
    known = information(experiment, exposures, readings.allocations)
    return {
        "interval": INTERVAL,
        "prior": "Beta(1, 1)",
        "maturity": _maturity(readings),
        "code": VERSION,
        "policy": msgspec.to_builtins(experiment.policy),
        "epochs": len(readings.allocations),
        "information": [each for each in known if (each["segment"], each["arm"]) in shown],
        "strata": "runs of epochs with constant propensity, per segment",
        "estimator": "doubly robust per stratum, posterior from effective counts",
        "min_cell": min_cell,
    }


def _maturity(readings: Readings) -> str:
    """How the policy treats young visitors now: a correction waits until enough conversions have matured."""
    wanted = readings.experiment.policy.maturity
    if wanted in (None, "corrected"):
        return "corrected" if readings.is_corrected else "observed"
    return str(wanted)
