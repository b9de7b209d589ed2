"""Discovery: the segments that an experiment's own visitors suggest, because arms differ there in effect."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from experiments.discovery.searches import FALSE_RATE
from experiments.discovery.searches import Finding
from experiments.discovery.searches import Record
from experiments.discovery.searches import SMALLEST
from experiments.discovery.searches import Search
from experiments.errors import NothingToDiscover
from experiments.history.sources import DATABASE
from experiments.history.sources import Source
from experiments.metric_kinds import MetricKind
from experiments.model import Arm
from experiments.model import Experiment
from experiments.storage.store import Store
from stats.interactions import Ratio
from stats.interactions import discoveries

_QUANTILE = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Interval:
    """A ratio, with the range that holds the truth with 95 % certainty."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Side:
    """Visitors inside or outside of a proposal, of the half that tested it.

    Attributes:
        mean, against_mean: the goal per visitor by the arm, and by the one that it is held against.
        ratio: the first over the second.
    """

    visitors: int
    mean: float
    against_mean: float
    ratio: Interval


@dataclass(frozen=True)
class Proposal:
    """A segment in which an arm does better, or worse, against another one than it does elsewhere.

    Attributes:
        rule: who belongs, in the language of segments.
        share: of the visitors who had one of the two arms.
        difference: the ratio inside over that outside.
        p_value: the chance of a difference as large if there were none, of the half that tested it.
        segments: of the experiment, those that the rule parts.
    """

    arm: str
    against: str
    rule: Mapping[str, Any]
    share: float
    inside: Side
    outside: Side
    difference: Interval
    p_value: float
    segments: list[str]


@dataclass(frozen=True)
class Sight:
    """How large a difference between two halves of the visitors would have been seen in 4 of 5 experiments like this.

    `ratio` is that of the arms on the better side over that on the worse; None where nothing can be told.
    """

    arm: str
    against: str
    visitors: int
    ratio: float | None


@dataclass(frozen=True)
class Discovery:
    """What was looked for, and found.

    Attributes:
        goal: the metric by which arms are compared; means are in its unit, money in the `currency`.
        attributes: those that are stored.
        visitors: of whom a context is stored, and who count.
        contexts: how many different ones there are.
        tried, tested: rules tried on one half of the visitors, and tested on the other.
    """

    experiment: str
    goal: str
    goal_kind: MetricKind
    currency: str
    attributes: list[str]
    visitors: int
    contexts: int
    tried: int
    tested: int
    false_rate: float
    smallest: int
    sights: list[Sight]
    proposals: list[Proposal]


def discover(store: Store, key: str, *, min_cell: int, source: Source = DATABASE) -> Discovery:
    """Propose segments from what is stored of an experiment's visitors.

    :raises UnknownExperiment: if there is none.
    :raises NothingToDiscover: if no attribute is stored, or too few visitors came for any proposal.
    """
    return discovery_of(source.known(store, key), min_cell=min_cell)


def discovery_of(record: Record, *, min_cell: int) -> Discovery:
    """The same of what was read."""
    experiment, smallest = record.experiment, max(SMALLEST, min_cell)
    attributes = [name for name, attribute in sorted(experiment.attributes.items()) if attribute.store]
    if not attributes:
        raise NothingToDiscover(f'{experiment.key}: no attribute is stored, as one declared with "store": true is')
    visitors = sum(row.n for row in record.rows)
    if visitors < 4 * smallest:
        rule = f"must be those of {4 * smallest}"
        raise NothingToDiscover(f"{experiment.key}: the attributes of {visitors} visitors are stored, {rule}")
    searches = [
        Search(record, arm=arm.key, against=against.key, smallest=smallest) for arm, against in _pairs(experiment)
    ]
    return Discovery(
        experiment=experiment.key,
        goal=experiment.goal.key,
        goal_kind=experiment.goal.kind,
        currency=experiment.currency,
        attributes=attributes,
        visitors=visitors,
        contexts=len({row.context for row in record.rows}),
        tried=sum(len(search.candidates) for search in searches),
        tested=sum(len(search.choices) for search in searches),
        false_rate=FALSE_RATE,
        smallest=smallest,
        sights=[Sight(one.arm, one.against, round(one.visitors.sum()), one.sight()) for one in searches],
        proposals=_proposals(searches, min_cell=min_cell),
    )


def _pairs(experiment: Experiment) -> Iterator[tuple[Arm, Arm]]:
    """Every message against the first one for all; where that is alone, it against the controls."""
    mass = experiment.first_mass
    others = [arm for arm in experiment.drawn_arms if arm.role != "control" and arm != mass]
    yield from ((arm, mass) for arm in others) if others else ((mass, arm) for arm in experiment.controls())


def _proposals(searches: Sequence[Search], *, min_cell: int) -> list[Proposal]:
    """The discoveries among all that was tested, those of most evidence first."""
    tested = [(search, choice) for search in searches for choice in search.choices]
    if not tested:
        return []
    p = np.concatenate([search.p_values() for search in searches])
    found = [
        (search, search.finding(choice, min_cell=min_cell), float(p_value))
        for (search, choice), p_value, is_found in zip(tested, p, discoveries(p, rate=FALSE_RATE), strict=True)
        if is_found
    ]
    proposals = [_proposal(search, finding, p_value) for search, finding, p_value in found if finding is not None]
    return sorted(proposals, key=lambda one: one.p_value)


def _proposal(search: Search, found: Finding, p_value: float) -> Proposal:
    return Proposal(
        arm=search.arm,
        against=search.against,
        rule=found.candidate.rule,
        share=found.share,
        inside=_side(found.inside),
        outside=_side(found.outside),
        difference=_difference(found.inside, found.outside),
        p_value=p_value,
        segments=found.segments,
    )


def _side(found: Ratio) -> Side:
    return Side(round(sum(found.n)), found.arm, found.reference, Interval(found.ratio, found.low, found.high))


def _difference(inside: Ratio, outside: Ratio) -> Interval:
    mean = inside.ratio / outside.ratio
    spread = _QUANTILE * float(np.hypot(inside.log_error, outside.log_error))
    return Interval(mean, mean * float(np.exp(-spread)), mean * float(np.exp(spread)))
