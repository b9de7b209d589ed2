"""Contests: a tailored arm against the mass arm in one segment, and the evidence that holds however often one looks."""

from collections.abc import Collection
from collections.abc import Sequence
from math import log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.columns import Table
from experiments.counting import PROFIT
from experiments.estimates import Book
from experiments.estimates import visitors_by_segment
from experiments.model import Experiment
from experiments.readings import Readings
from experiments.report_shape import Call
from experiments.strata import ArmStrata
from experiments.strata import segment_strata
from stats import evidence
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


class Conversions(NamedTuple):
    """What contests by conversions rest on, stratum by stratum of constant propensities; shapes (contests, strata).

    Attributes:
        tailored, mass: conversions of the two arms.
        shares: the tailored arm's part of their two propensities; 0 where a contest has no stratum.
    """

    tailored: Array
    mass: Array
    shares: Array

    def at(self, which: Flags) -> "Conversions":
        """Some of the contests."""
        return Conversions(*(part[which] for part in self))


def contests(readings: Readings, book: Book, columns: Table) -> list[Contest]:
    """Every tailored arm in every segment that it is open to."""
    experiment = readings.experiment
    places = contested(experiment)
    if is_by_conversions(experiment):
        strata = segment_strata(columns[experiment.goal.key], readings.allocations)
        rival = experiment.first_mass.key
        return by_conversions(places, joined([_conversions(strata.of(segment), arm, rival) for segment, arm in places]))
    visitors = visitors_by_segment(experiment, book)
    return [
        Contest(segment, arm, *_by_means(experiment, book, segment, arm, visitors=visitors[segment]))
        for segment, arm in places
    ]


def contested(experiment: Experiment) -> list[tuple[str, str]]:
    """Segment and arm of every contest."""
    return [
        (segment, arm.key)
        for segment in experiment.segment_keys
        for arm in experiment.open_arms(segment)
        if arm.role == "tailored"
    ]


def is_by_conversions(experiment: Experiment) -> bool:
    """Whether conversions alone decide, so that contests need no book.

    Where weights differ by context, arms that are better in some contexts and worse in others need the mean over all.
    """
    return experiment.objective != "profit" and experiment.goal.unit == "rate" and not experiment.is_contextual


def by_conversions(places: Sequence[tuple[str, str]], found: Conversions) -> list[Contest]:
    """Given a conversion on either arm, which of the two had it: valid whatever the weights and base rates did."""
    better, not_better = evidence.evidence_for_gain(*found), evidence_for_mass(*found, margin=MARGIN)
    return [Contest(*place, *both) for place, *both in zip(places, better.tolist(), not_better.tolist(), strict=True)]


def joined(parts: Sequence[Conversions]) -> Conversions:
    """Contests one after another; those with fewer strata than others have empty ones at the end."""
    contests = sum(len(part.shares) for part in parts)
    longest = max((part.shares.shape[1] for part in parts), default=0)
    table, first = np.zeros((3, contests, longest)), 0
    for part in parts:
        rows, strata = part.shares.shape
        table[:, first : first + rows, :strata] = part
        first += rows
    return Conversions(*table)


def _conversions(found: ArmStrata, arm: str, rival: str) -> Conversions:
    if arm not in found.arms:
        return Conversions(*np.zeros((3, 1, 0)))
    both = [found.arms.index(arm), found.arms.index(rival)]
    propensity, conversions = found.strata.propensity[:, both], found.strata.total[:, both]
    tailored, mass = conversions.T[:, None]
    return Conversions(tailored, mass, (propensity[:, 0] / propensity.sum(axis=1))[None])


def _by_means(experiment: Experiment, book: Book, segment: str, arm: str, *, visitors: int) -> tuple[float, float]:
    """That the arm's mean is higher, and that it is not higher by what matters."""
    metric = PROFIT if experiment.objective == "profit" else experiment.goal.key
    own, mass = (book[segment, key].means[metric] for key in (arm, experiment.first_mass.key))
    return (
        evidence.evidence_for_higher_mean(own, mass, visitors),
        evidence.evidence_for_higher_mean(mass, own, visitors, margin=-MARGIN * abs(mass.mean)),
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


def may_be_called(found: Conversions) -> Flags:
    """Which of many contests by conversions could be called; of the others that they are not is certain, and cheap."""
    needed = -log(ALPHA)
    better, not_better = evidence.ceilings_for_gain(*found), ceilings_for_mass(*found, margin=MARGIN)
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
