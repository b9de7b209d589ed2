"""Frequency: how often visitors were exposed, what went along with one exposure more, and whether one more is worth it.

Who comes back, or is still written to, differs from who does not: what goes along with the n-th exposure is an
association. Only where each visitor's cap was drawn do the groups of visitors differ by chance alone, and what a higher
cap brings is its effect.
"""

from collections import Counter
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Literal

import numpy as np

from experiments.durations import format_duration
from experiments.frequency.doses import Doses
from experiments.frequency.doses import Group
from experiments.frequency.doses import MOST
from experiments.frequency.doses import Place
from experiments.frequency.doses import doses
from experiments.frequency.doses import has_money
from experiments.frequency.doses import metrics_of
from experiments.frequency.reached import CAPPED
from experiments.inputs import last_open_day
from experiments.lifecycle import find
from experiments.metric_kinds import MetricUnit
from experiments.model import Experiment
from experiments.privacy.suppression import hidden_counts
from experiments.privacy.suppression import withheld_places
from experiments.review.effects import Span
from experiments.storage.parts import Part
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.times import DAY_MS
from experiments.times import iso
from stats.doses import Contrast
from stats.doses import contrast
from stats.moments import Moments

#: Groups of fewer visitors, or with fewer who reached a rate's goal, tell no more than chance does.
LEAST_VISITORS = 100
LEAST_CONVERSIONS = 10
#: The chance that any verdict of one kind, over all messages or on a part, is wrong in one look.
ALPHA = 0.05

#: The segments and arms that a raise is told of, by its own segment and arm; None for all.
Parts = Mapping[tuple[str | None, str | None], list[Place]]

Verdict = Literal["worth_it", "not_worth_it", "not_known_yet"]


@dataclass(frozen=True)
class Dose:
    """Visitors who were exposed so often; the last of a row, so often or more.

    Attributes:
        visitors: None where they are too few to be shown.
        mean: of the goal per visitor whose time is over; None where these are too few to tell.
        association: their mean less that of those who were exposed once less, with its 95 % interval. It is no effect.
    """

    exposures: int
    visitors: int | None
    mean: float | None
    association: Span | None


@dataclass(frozen=True)
class FrequencyRow:
    """How often the visitors of an arm in a segment were exposed; `frequency` is the mean."""

    segment: str
    arm: str
    visitors: int | None
    frequency: float | None
    doses: list[Dose]


@dataclass(frozen=True)
class Raise:
    """A cap raised from `fewer` to `more`, by visitors whose caps were drawn and whose time is over.

    Attributes:
        segment, arm: which part of the visitors; None for all who were given a message that figures are shown of.
        exposures: how many more exposures a visitor had by it.
        goal: what it added to the goal per visitor; `worth` less all costs, in money where the goal has a worth.
        verdict: whether one more send is worth it: by the interval of `worth`, that holds for all parts together.
    """

    segment: str | None
    arm: str | None
    fewer: int
    more: int
    visitors_fewer: int
    visitors_more: int
    exposures: float
    goal: Span
    worth: Span
    verdict: Verdict


@dataclass(frozen=True)
class FrequencyReport:
    """How often visitors are exposed, and what that brings.

    Attributes:
        caps: those of the document; several are drawn from, none is no cap. `per` is their span.
        left_out: how often somebody was left out of a list for a cap, that over all experiments included.
        unit: of the goal; `worth_unit` of worth.
        raises: the whole first; none where caps are not drawn, or too few have had their time.
    """

    experiment: str
    as_of: str
    caps: list[int]
    per: str | None
    left_out: int
    goal: str
    unit: MetricUnit
    worth_unit: MetricUnit
    currency: str
    rows: list[FrequencyRow]
    raises: list[Raise]


def frequency_report(store: Store, key: str, *, now_ms: int, min_cell: int) -> FrequencyReport:
    """What is known of an experiment's frequency.

    :raises UnknownExperiment: if there is none.
    """

    def read(session: Session) -> tuple[Experiment, int]:
        return find(session, key).experiment, session.counters.of(key).get(CAPPED, 0)

    experiment, left_out = store.read(read)
    found = _doses(store, experiment, before_ms=last_open_day(experiment.goal, now_ms=now_ms) * DAY_MS)
    frequency, unit = experiment.frequency, experiment.goal.unit
    return FrequencyReport(
        key,
        iso(now_ms),
        list(frequency.caps) if frequency else [],
        format_duration(frequency.per_seconds) if frequency else None,
        left_out,
        experiment.goal.key,
        unit,
        "money" if has_money(experiment) else unit,
        experiment.currency,
        rows_of(experiment, found, min_cell=min_cell),
        list(raises_of(experiment, found, min_cell=min_cell)),
    )


def _doses(store: Store, experiment: Experiment, *, before_ms: int) -> Doses:
    """All visitors, part by part and one after another, so that sums are the same however many parts there are."""
    metrics = metrics_of(experiment)

    def read(part: Part, so_far: Doses, session: Session) -> Doses:
        visitors = session.exposures.with_totals(part.span, experiment.key, metrics)
        return doses(experiment, visitors, before_ms=before_ms, so_far=so_far)

    return reduce(lambda so_far, part: part.read(partial(read, part, so_far)), store.parts(), Doses())


def rows_of(experiment: Experiment, found: Doses, *, min_cell: int) -> list[FrequencyRow]:
    """How often the visitors of each segment and arm were exposed, and what went along with it."""
    places = [
        (segment, arm.key) for segment in experiment.segment_keys for arm in experiment.open_arms(segment)
        if found.exposures[segment, arm.key]
    ]
    numbers, withheld = range(1, MOST + 1), _withheld(found, min_cell=min_cell)
    counts = np.array([[found.visitors[place, number] for number in numbers] for place in places], np.float64)
    hidden = hidden_counts(counts, min_cell=min_cell) if places else counts.astype(np.bool_)
    return [
        _hidden_row(place) if place in withheld else _row(place, found, hides, unit=experiment.goal.unit)
        for place, hides in zip(places, hidden.tolist(), strict=True)
    ]


def _withheld(found: Doses, *, min_cell: int) -> set[Place]:
    """What a report hides."""
    visitors = Counter[Place]()
    for (place, _), n in found.visitors.items():
        visitors[place] += n
    return withheld_places(visitors, min_cell=min_cell)


def _hidden_row(place: Place) -> FrequencyRow:
    return FrequencyRow(*place, None, None, [Dose(number, None, None, None) for number in range(1, MOST + 1)])


def _row(place: Place, found: Doses, hides: Sequence[bool], *, unit: MetricUnit) -> FrequencyRow:
    visitors = sum(found.visitors[place, number] for number in range(1, MOST + 1))
    told = [found.by_number.get((place, number), Group()).goal.moments for number in range(MOST + 1)]
    known = [moments if _is_enough([moments], unit=unit) else None for moments in told]
    return FrequencyRow(
        *place,
        visitors,
        found.exposures[place] / visitors,
        [
            Dose(
                number,
                None if hides[number - 1] else found.visitors[place, number],
                None if (here := known[number]) is None else here.mean,
                None if here is None or (before := known[number - 1]) is None else _span(contrast(before, here)),
            )
            for number in range(1, MOST + 1)
        ],
    )


def _is_enough(groups: Iterable[Moments], *, unit: MetricUnit) -> bool:
    """Whether groups are large enough for normal intervals."""
    return all(
        group.n >= LEAST_VISITORS
        and (unit != "rate" or LEAST_CONVERSIONS <= group.total <= group.n - LEAST_CONVERSIONS)
        for group in groups
    )


def raises_of(experiment: Experiment, found: Doses, *, min_cell: int) -> Iterator[Raise]:
    """What each higher cap brings, to all who were given a message and to each part of them."""
    caps = experiment.frequency.caps if experiment.frequency else ()
    steps, controls = list(pairwise(caps)), {arm.key for arm in experiment.controls()}
    places = list(dict.fromkeys(place for place, _ in found.by_cap))
    sent = [place for place in places if place[1] not in controls]
    withheld = _withheld(found, min_cell=min_cell)
    # The whole less what is shown would be what is hidden.
    shown = sorted(place for place in sent if place not in withheld)
    whole: Parts = {(None, None): shown}
    each: Parts = {place: [place] for place in shown}
    for parts in (whole, each):
        yield from _of_parts(experiment, found, parts, steps, least=max(LEAST_VISITORS, min_cell))


def _of_parts(
    experiment: Experiment,
    found: Doses,
    parts: Parts,
    steps: Sequence[tuple[int, int]],
    *,
    least: int,
) -> Iterator[Raise]:
    """The raises of each part that has enough visitors; their intervals hold together."""
    asked = [
        (part, step, groups) for part, places in parts.items() for step in steps
        if _can_tell(groups := [_Sides(found, places, cap) for cap in step], experiment, least=least)
    ]
    for (segment, arm), step, (fewer, more) in asked:
        worth = contrast(fewer.worth, more.worth, mass=1 - ALPHA / len(asked))
        yield Raise(
            segment,
            arm,
            *step,
            round(fewer.worth.n),
            round(more.worth.n),
            more.exposures.mean - fewer.exposures.mean,
            _span(contrast(fewer.goal, more.goal, mass=1 - ALPHA / len(asked))),
            _span(worth),
            _verdict(worth),
        )


class _Sides:
    """The visitors of some places for whom one cap was drawn."""

    def __init__(self, found: Doses, places: Sequence[Place], cap: int) -> None:
        groups = [found.by_cap[place, cap] for place in places if (place, cap) in found.by_cap]
        self.exposures = reduce(add, (group.exposures.moments for group in groups), Moments())
        self.goal = reduce(add, (group.goal.moments for group in groups), Moments())
        self.worth = reduce(add, (group.worth.moments for group in groups), Moments())


def _can_tell(groups: Sequence[_Sides], experiment: Experiment, *, least: int) -> bool:
    is_shown = all(group.goal.n >= least for group in groups)
    return is_shown and _is_enough([group.goal for group in groups], unit=experiment.goal.unit)


def _verdict(worth: Contrast) -> Verdict:
    if worth.low > 0:
        return "worth_it"
    return "not_worth_it" if worth.high < 0 else "not_known_yet"


def _span(found: Contrast) -> Span:
    return Span(found.mean, found.low, found.high)
