"""The verdict: for each segment tailor, mass or keep testing, and what that mix is worth against one message."""

from collections.abc import Mapping
from collections.abc import Sequence
from math import sqrt
from typing import Any

from experiments.contests import calls
from experiments.contests import contests
from experiments.contests import unprofitable
from experiments.counting import PROFIT
from experiments.economics import goal_value
from experiments.estimates import Book
from experiments.estimates import visitors_by_segment
from experiments.figures import believed
from experiments.figures import gain_over
from experiments.headlines import headline
from experiments.model import NO_PERSONALISATION
from experiments.model import Experiment
from experiments.objective import Posterior
from experiments.objective import is_rate
from experiments.objective import objective_posteriors
from experiments.readings import Readings
from experiments.strata import EpochSums
from stats.posteriors import NormalPosterior

Row = dict[str, Any]


def verdict(readings: Readings, book: Book, sums: Mapping[str, EpochSums], *, min_cell: int) -> Row:
    """The report's verdict; of arms that fewer visitors than `min_cell` saw it gives the call alone."""
    experiment = readings.experiment
    called = calls(contests(readings, book, sums))
    loses = unprofitable(readings, book)
    visitors = visitors_by_segment(experiment, book)
    total = sum(visitors.values())
    segments = [
        _segment(experiment, book, segment, called, min_cell=min_cell)
        | ({"call": "none"} if segment in loses else {})
        | {"share_of_visitors": visitors[segment] / total if total else None}
        for segment in experiment.segment_keys if segment != NO_PERSONALISATION
    ]
    return {
        "headline": headline(experiment, segments),
        "segments": segments,
        "tailoring": _tailoring(experiment, book, segments),
    }


def posteriors_of(experiment: Experiment, book: Book, segment: str) -> dict[str, Posterior]:
    """What is believed of the objective of each arm open to a segment."""
    means = {arm.key: book[segment, arm.key].means for arm in experiment.open_arms(segment)}
    return objective_posteriors(
        experiment,
        goal={arm: found[experiment.goal.key] for arm, found in means.items()},
        profit={arm: found[PROFIT] for arm, found in means.items()},
    )


def _segment(
    experiment: Experiment, book: Book, segment: str, called: Mapping[tuple[str, str], str], *, min_cell: int
) -> Row:
    posteriors = posteriors_of(experiment, book, segment)
    mass = experiment.first_mass.key
    tailored = [arm.key for arm in experiment.open_arms(segment) if arm.role == "tailored"]
    arm, call = _choose(tailored, posteriors, {key: called[segment, key] for key in tailored}, mass)
    is_shown = min(book[segment, shown].visitors for shown in (arm, mass)) >= min_cell
    gain = gain_over(posteriors, arm, mass) if is_shown else None
    return {
        "segment": segment,
        "call": call,
        "arm": arm,
        "against": mass if arm != mass else None,
        "probability": gain["probability"] if gain else None,
        "gain": _in_objective(experiment, gain),
    }


def _choose(
    tailored: Sequence[str], posteriors: Mapping[str, Posterior], call_by_arm: Mapping[str, str], mass: str
) -> tuple[str, str]:
    """The arm that the segment's line is about, and the call on it."""
    if not tailored:
        return mass, "mass"
    best_first = sorted(tailored, key=lambda arm: posteriors[arm].mean, reverse=True)
    for call in ("tailor", "keep_testing", "mass"):
        for arm in best_first:
            if call_by_arm[arm] == call:
                return arm, call
    raise AssertionError("every contest has a call")


def _in_objective(experiment: Experiment, gain: Row | None) -> Row | None:
    """A gain in the objective's unit: revenue of a rate is its value times the rate."""
    if gain is None:
        return None
    scale = _scale(experiment)
    return {name: gain[name] * scale for name in ("mean", "low", "high")}


def _scale(experiment: Experiment) -> float:
    if experiment.objective == "revenue" and is_rate(experiment.goal):
        return float(goal_value(experiment) or 1)
    return 1.0


def _tailoring(experiment: Experiment, book: Book, segments: Sequence[Row]) -> Row:
    """What tailoring adds per visitor wherever it was not ruled out, with the rest on the one message."""
    mass = experiment.first_mass.key
    kept = [row for row in segments if row["call"] in ("tailor", "keep_testing") and row["share_of_visitors"]]
    if not kept:
        return {"gain_per_visitor": None, "probability": None}
    scale, mean, variance = _scale(experiment), 0.0, 0.0
    for row in kept:
        posteriors, share = posteriors_of(experiment, book, row["segment"]), row["share_of_visitors"] * scale
        mean += share * (posteriors[row["arm"]].mean - posteriors[mass].mean)
        variance += share**2 * (posteriors[row["arm"]].sd ** 2 + posteriors[mass].sd ** 2)
    gain = NormalPosterior(mean, sqrt(variance))
    return {"gain_per_visitor": believed(gain), "probability": 1 - gain.cdf(0.0)}
