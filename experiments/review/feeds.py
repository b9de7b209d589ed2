"""Feeds: whether the attributes that rules name still come, by the newest evaluations. Pure.

A rule over an attribute that no longer comes, or is the same for everybody, parts nobody, and nothing else would tell.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Literal

from experiments.fits import declared_of
from experiments.fits import fits_of
from experiments.model import Experiment
from experiments.recent import Context
from experiments.review.examples import operands_of
from experiments.times import iso

#: Fewer evaluations tell nothing of what does not come.
LEAST_EVALUATIONS = 100

Standing = Literal["absent", "constant", "varied", "unknown"]


@dataclass(frozen=True)
class Feed:
    """An attribute that rules name.

    Attributes:
        segments: whose rules name it.
        missing: the share of the newest evaluations that lack it, or have it of another type; None where too few came.
        standing: whether it is absent from all of them, the same in all, varied, or unknown since too few came.
    """

    attribute: str
    segments: tuple[str, ...]
    missing: float | None
    standing: Standing


@dataclass(frozen=True)
class Fit:
    """How a segment fits the newest evaluations: the share for whom its rule holds, and that which is left to it."""

    holds: float | None
    left: float | None
    taker: str | None


@dataclass(frozen=True)
class Recent:
    """What the newest evaluations of one server say; shares that few make up are None."""

    evaluations: int
    since: str
    several: float | None
    none: float | None
    fits: Mapping[str, Fit]


def feeds(experiment: Experiment, contexts: Sequence[Context]) -> list[Feed]:
    """Every attribute that a rule names."""
    people = declared_of(contexts, experiment.attributes)
    return [_feed(name, segments, people) for name, segments in _named(experiment).items()]


def _named(experiment: Experiment) -> dict[str, tuple[str, ...]]:
    """The attributes that rules name, each with the segments."""
    found: dict[str, tuple[str, ...]] = {}
    for segment in experiment.segments:
        for name in dict.fromkeys(name for name, _ in operands_of(segment.rule)):
            found[name] = (*found.get(name, ()), segment.key)
    return {name: found[name] for name in experiment.attributes if name in found}


def _feed(name: str, segments: tuple[str, ...], people: Sequence[Mapping[str, Any]]) -> Feed:
    if len(people) < LEAST_EVALUATIONS:
        return Feed(name, segments, None, "unknown")
    values = [person.get(name) for person in people]
    missing = values.count(None) / len(values)
    is_same = all(value == values[0] for value in values)
    standing: Standing = "absent" if missing == 1 else "constant" if is_same else "varied"
    return Feed(name, segments, missing, standing)


def recent_fits(experiment: Experiment, contexts: Sequence[Context], *, min_cell: int) -> Recent | None:
    """How rules fit the newest evaluations; None where there are too few to tell."""
    if len(contexts) < max(LEAST_EVALUATIONS, min_cell):
        return None
    found = fits_of([segment.rule for segment in experiment.segments], experiment.attributes, contexts)
    assert found is not None, "there are contexts"

    def part(n: int) -> float | None:
        return n / found.contexts if n == 0 or n >= min_cell else None

    def fits() -> Iterator[tuple[str, Fit]]:
        for segment, fit in zip(experiment.segments, found.segments, strict=True):
            assert fit is not None, "the rules of an experiment can all be judged"
            taker = None if fit.taker is None else experiment.segments[fit.taker].key
            yield segment.key, Fit(part(fit.fits), part(fit.left), taker)

    return Recent(found.contexts, iso(found.since_ms), part(found.several), part(found.none), dict(fits()))
