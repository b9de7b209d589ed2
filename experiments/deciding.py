"""Decide for many visitors at once: what `experiments.assignment.decide` gives each of them. Pure.

Visitors of a list share a handful of assignments, so each different one is made once and visitors point to it.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.assignment import Assignment
from experiments.assignment import Cause
from experiments.assignment import Consent
from experiments.assignment import Plan
from experiments.assignment import decide
from experiments.codes import coded
from experiments.codes import gathered
from experiments.model import Exposure
from experiments.model import NO_PERSONALISATION
from experiments.model import State
from experiments.positions import positions
from experiments.rules.columns import Columns

_Places = NDArray[np.intp]


class Decisions(NamedTuple):
    """The different assignments by their places, and for each visitor the place of its own."""

    different: dict[Assignment, int]
    places: _Places

    def column(self, field: str) -> NDArray[Any]:
        """A field of every visitor's assignment: `arm`, `segment`, `propensity`, `epoch` or `cause`."""
        return np.array([getattr(assignment, field) for assignment in self.different])[self.places]

    def groups(self) -> list[tuple[Assignment, _Places]]:
        """Each assignment that somebody gets, and who: places in the list, in order."""
        different = list(self.different)
        return [(different[place], group) for place, group in gathered(self.places)]

    def place_of(self, assignment: Assignment) -> int:
        """The place of an assignment, which gets one if it has none yet."""
        return self.different.setdefault(assignment, len(self.different))


def decide_all(
    plan: Plan,
    visitors: Sequence[str],
    *,
    columns: Columns,
    state: State = "running",
    consents: Sequence[Consent] | None = None,
    kept: Mapping[int, Exposure] | None = None,
    opted_out: Sequence[int] = (),
) -> Decisions:
    """The arms of visitors, who consent to everything unless `consents` says otherwise of each.

    `kept` is what exposures or tokens fixed before, by the visitor's place in the list; `opted_out` are the places of
    those who object, of whom nothing is kept.
    """
    segments, contexts = _segments(plan, columns, len(visitors)), _contexts(plan, columns, len(visitors))
    if consents is not None:
        segments[_where(consents, "measure")] = plan.experiment.segment_keys.index(NO_PERSONALISATION)
    drawn = _given(plan, segments) if state == "paused" else None
    decisions = drawn or _drawn(plan, visitors, segments, contexts, state=state)
    if consents is not None:
        nobodys = plan.first_mass(NO_PERSONALISATION, "no_consent")
        decisions.places[_where(consents, "none")] = decisions.place_of(nobodys)
    keep(plan, decisions, visitors, kept=kept or {}, state=state, consents=consents)
    if opted_out:
        decisions.places[list(opted_out)] = decisions.place_of(plan.first_mass(NO_PERSONALISATION, "opted_out"))
    return decisions


def keep(
    plan: Plan,
    decisions: Decisions,
    visitors: Sequence[str],
    *,
    kept: Mapping[int, Exposure],
    state: State = "running",
    consents: Sequence[Consent] | None = None,
) -> None:
    """Decide again for those visitors of whom something is fixed, by their places."""
    for index, exposure in kept.items():
        consent = consents[index] if consents is not None else "personalise"
        alone = decide(plan, visitors[index], attributes={}, state=state, consent=consent, kept=exposure)
        decisions.places[index] = decisions.place_of(alone)


def _segments(plan: Plan, columns: Columns, size: int) -> _Places:
    """The place of each visitor's segment: the first whose rule holds, else the one behind them all."""
    segments = np.full(size, len(plan.column_rules))
    for place, holds in reversed(list(enumerate(plan.column_rules))):
        segments[holds(columns, size)] = place
    return segments


def _where(consents: Sequence[Consent], wanted: Consent) -> _Places:
    if wanted not in consents:
        return np.empty(0, np.intp)
    return np.flatnonzero(np.fromiter(map(wanted.__eq__, consents), np.bool_, len(consents)))


def _given(plan: Plan, segments: _Places) -> Decisions:
    """Everybody gets the first mass arm."""
    given = [plan.first_mass(segment, "not_running") for segment in plan.experiment.segment_keys]
    return Decisions({assignment: place for place, assignment in enumerate(given)}, segments)


def _contexts(plan: Plan, columns: Columns, size: int) -> tuple[list[str | None], _Places]:
    """The contexts by which arms are drawn, and the place of each visitor's among them."""
    if not plan.allocation.contexts:
        return [None], np.zeros(size, np.intp)
    return coded(plan.contexts.of_all(columns, size))


def _drawn(
    plan: Plan, visitors: Sequence[str], segments: _Places, contexts: tuple[list[str | None], _Places], *, state: State
) -> Decisions:
    """Each visitor's arm is drawn among those open to its segment, by the weights of its context."""
    at = positions(plan.experiment.key, visitors)
    cause: Cause = "allocated" if state == "running" else "not_running"
    decisions = Decisions({}, np.empty(len(visitors), np.intp))
    different, codes = contexts
    for place, within in gathered(segments * len(different) + codes):
        segment = plan.experiment.segment_keys[place // len(different)]
        # Whoever may only be measured has no context.
        context = None if segment == NO_PERSONALISATION else different[place % len(different)]
        choices, bounds = plan.choices(segment, cause, context=context)
        places = np.array([decisions.place_of(assignment) for assignment in choices])
        # Each range begins where the one before it ends.
        chosen = np.searchsorted([end for _, end in bounds], at[within], side="right")
        decisions.places[within] = places[chosen]
    return decisions
