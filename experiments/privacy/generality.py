"""Generality: how many come without consent to tailoring, and how far the report may hold for them too. Pure."""

from collections.abc import Mapping
from collections.abc import Sequence
from math import sqrt

from experiments.estimates import Book
from experiments.estimates import over_segments
from experiments.estimates import visitors_by_segment
from experiments.model import Experiment
from experiments.model import NO_PERSONALISATION
from experiments.privacy.consent_counts import counts_of
from experiments.report_shape import ArmRow
from experiments.report_shape import ConsentShares
from experiments.report_shape import Interval

#: Two-sided 95 % of a normal distribution.
_WIDTH = 1.959964


def consent_shares(
    experiment: Experiment, book: Book, rows: Sequence[ArmRow], *, counters: Mapping[str, int], min_cell: int
) -> ConsentShares:
    """The shares of evaluations by consent, and what is known of those who are measured only.

    `rows` are the arms as they are shown.
    """
    counts = counts_of(counters)
    total = sum(counts.values())
    shares = {level: n / total if total >= max(min_cell, 1) else None for level, n in counts.items()}
    return {
        "personalise": shares["personalise"],
        "measure": shares["measure"],
        "none": shares["none"],
        "mass_when_measured": _gap(experiment, book) if _is_shown(experiment, rows) else None,
    }


def _is_shown(experiment: Experiment, rows: Sequence[ArmRow]) -> bool:
    place = NO_PERSONALISATION, experiment.first_mass.key
    return any((row["segment"], row["arm"]) == place and not row["suppressed"] for row in rows)


def _gap(experiment: Experiment, book: Book) -> Interval | None:
    """By how much the mass arm's goal differs between those who are measured only and those who may be tailored for."""
    mass, goal, visitors = experiment.first_mass.key, experiment.goal.key, visitors_by_segment(experiment, book)
    others = [segment for segment in experiment.segment_keys if segment != NO_PERSONALISATION and visitors[segment]]
    if not others:
        return None
    own = book[NO_PERSONALISATION, mass].means[goal]
    rest = over_segments(book, mass, segments=others, visitors=visitors).means[goal]
    if not own.effective_n or not rest.effective_n:
        return None
    error = sqrt(own.variance / own.effective_n + rest.variance / rest.effective_n)
    mean = own.mean - rest.mean
    return {"mean": mean, "low": mean - _WIDTH * error, "high": mean + _WIDTH * error}
