"""Contests: a tailored arm against the mass arm in one segment, and the evidence that holds however often one looks."""

from collections.abc import Collection
from collections.abc import Sequence
from math import log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.columns import NO_CELLS
from experiments.columns import Columns
from experiments.columns import Table
from experiments.counting import PROFIT
from experiments.estimates import Book
from experiments.estimates import visitors_by_segment
from experiments.model import Experiment
from experiments.objective import is_rate
from experiments.readings import Readings
from experiments.report_shape import Call
from experiments.strata import arm_strata
from stats import evidence
from stats.adaptive import Estimate
from stats.equality import ceilings_for_mass
from stats.equality import evidence_for_mass

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: A tailored message that converts less than this much better than the mass message is not worth the trouble of a test.
MARGIN = 0.10

#: The chance of any wrong call, over all segments and all looks.
ALPHA = 0.05


#: What may be said of a contest, and of a segment by the first of these that holds for some tailored arm.
CALLS: tuple[Call, ...] = ("tailor", "keep_testing", "mass")


class Contest(NamedTuple):
    """Log evidence that the tailored arm is better, and that it is not better by what matters."""

    segment: str
    arm: str
    better: float
    not_better: float


def contests(readings: Readings, book: Book, columns: Table) -> list[Contest]:
    """Every tailored arm in every segment that it is open to."""
    experiment = readings.experiment
    goal = columns[experiment.goal.key].by_segment()
    return [
        _contest(readings, book, goal.get(segment, NO_CELLS), segment, arm.key)
        for segment in experiment.segment_keys
        for arm in experiment.open_arms(segment)
        if arm.role == "tailored"
    ]


def is_by_conversions(experiment: Experiment) -> bool:
    """Whether conversions alone decide, so that contests need no book."""
    return experiment.objective != "profit" and is_rate(experiment.goal)


def _contest(readings: Readings, book: Book, goal: Columns, segment: str, arm: str) -> Contest:
    experiment = readings.experiment
    if is_by_conversions(experiment):
        return Contest(segment, arm, *_by_conversions(readings, goal, segment, arm))
    metric = PROFIT if experiment.objective == "profit" else experiment.goal.key
    mass = book[segment, experiment.first_mass.key].means[metric]
    visitors = visitors_by_segment(experiment, book)[segment]
    return Contest(segment, arm, *_by_means(book[segment, arm].means[metric], mass, visitors=visitors))


def _by_conversions(readings: Readings, goal: Columns, segment: str, arm: str) -> tuple[float, float]:
    """Given a conversion on either arm, which of the two had it: valid whatever the weights and base rates did."""
    strata = arm_strata(goal, readings.allocations, segment=segment)
    if arm not in strata.arms:
        return 0.0, 0.0
    both = [strata.arms.index(arm), strata.arms.index(readings.experiment.first_mass.key)]
    propensity = strata.strata.propensity[:, both]
    tailored, rival = strata.strata.total[:, both].T
    shares = propensity[:, 0] / propensity.sum(axis=1)
    return (
        evidence.evidence_for_gain(tailored, rival, shares),
        evidence_for_mass(tailored, rival, shares, margin=MARGIN),
    )


def _by_means(arm: Estimate, mass: Estimate, *, visitors: int) -> tuple[float, float]:
    """That the arm's mean is higher, and that it is not higher by what matters."""
    matters = MARGIN * abs(mass.mean)
    return (
        evidence.evidence_for_higher_mean(arm, mass, visitors),
        evidence.evidence_for_higher_mean(mass, arm, visitors, margin=-matters),
    )


def calls(found: Sequence[Contest]) -> dict[tuple[str, str], Call]:
    """What may be said of each contest: `tailor`, `mass` or `keep_testing`."""
    better = evidence.closed_calls([contest.better for contest in found], alpha=ALPHA)
    not_better = evidence.closed_calls([contest.not_better for contest in found], alpha=ALPHA)
    return {
        (contest.segment, contest.arm): "tailor" if better[index] else "mass" if not_better[index] else "keep_testing"
        for index, contest in enumerate(found)
    }


def segment_call(call_of_each: Collection[Call]) -> Call:
    """The call on a segment from those on its tailored arms; `mass` where it has none."""
    return next((call for call in CALLS if call in call_of_each), "mass")


def may_be_called(conversions_tailored: Array, conversions_mass: Array, shares: Array) -> Flags:
    """Which of many contests by conversions could be called, shapes (contests, strata); of the others it is certain."""
    needed = -log(ALPHA)
    strata = conversions_tailored, conversions_mass, shares
    better, not_better = evidence.ceilings_for_gain(*strata), ceilings_for_mass(*strata, margin=MARGIN)
    return np.asarray((better >= needed) | (not_better >= needed))


def unprofitable(readings: Readings, book: Book) -> frozenset[str]:
    """The segments in which sending nothing earns more than every message; only a control arm can show it."""
    experiment = readings.experiment
    control = next((arm.key for arm in experiment.controls()), None)
    if experiment.objective != "profit" or control is None:
        return frozenset()
    segments, visitors = experiment.segment_keys, visitors_by_segment(experiment, book)
    # A segment's weakest contest decides: nothing must beat the best message too.
    weakest = [
        min(
            evidence.evidence_for_higher_mean(
                book[segment, control].means[PROFIT], book[segment, arm.key].means[PROFIT], visitors[segment]
            )
            for arm in experiment.candidates(segment)
        )
        for segment in segments
    ]
    called = evidence.closed_calls(weakest, alpha=ALPHA)
    return frozenset(segment for segment, is_called in zip(segments, called, strict=True) if is_called)
