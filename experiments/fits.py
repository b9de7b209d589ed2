"""Fits: how large the segments of a document are in recent traffic, how far they overlap, and who fits none. Pure."""

from collections import Counter
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.model import Attribute
from experiments.recent import Context
from experiments.review.examples import operands_of
from experiments.rules.attributes import is_of_type
from experiments.rules.conditions import compile_rule

Flags = NDArray[np.bool_]
Codes = NDArray[np.int64]

_Attributes = Mapping[str, Attribute]


class SegmentFit(NamedTuple):
    """How many contexts a segment's rule holds for, how many of them no segment before it takes, and who takes most."""

    fits: int
    left: int
    taker: int | None


class Fits(NamedTuple):
    """The contexts, since when, and by segment how it fits; of a rule that cannot be judged yet, None.

    `several` fit more than one segment, `none` fit no segment.
    """

    contexts: int
    since_ms: int
    segments: tuple[SegmentFit | None, ...]
    several: int
    none: int


class Typical(NamedTuple):
    """Attributes that many recent visitors have, and how many they are."""

    attributes: dict[str, Any]
    contexts: int


def declared_of(contexts: Sequence[Context], attributes: _Attributes) -> list[dict[str, Any]]:
    """The declared attributes of each context; one of another type is as good as absent."""
    types = {name: attribute.type for name, attribute in attributes.items()}
    return [
        {name: value for name, value in context.attributes.items()
         if name in types and is_of_type(value, types[name])}
        for context in contexts
    ]


def fits_of(
    rules: Sequence[Mapping[str, Any] | None], attributes: _Attributes, contexts: Sequence[Context]
) -> Fits | None:
    """How rules, in the order of their segments, fit; None without contexts. A rule of None cannot be judged."""
    if not contexts:
        return None
    people = _People(declared_of(contexts, attributes), {name: one.type for name, one in attributes.items()})
    nobody = np.zeros(len(contexts), np.bool_)
    holds = np.array([nobody if rule is None else people.who_fit(rule) for rule in rules], np.bool_)
    holds = holds.reshape(len(rules), len(contexts))
    how_many = holds.sum(axis=0)
    segments = tuple(None if rule is None else _segment_fit(holds, place) for place, rule in enumerate(rules))
    return Fits(len(contexts), contexts[0].at_ms, segments, int((how_many > 1).sum()), int((how_many == 0).sum()))


def _segment_fit(holds: Flags, place: int) -> SegmentFit:
    mine, before = holds[place], holds[:place]
    lost = mine & before.any(axis=0)
    takers = Counter(before[:, lost].argmax(axis=0).tolist()) if lost.any() else Counter[int]()
    taker = takers.most_common(1)[0][0] if takers else None
    return SegmentFit(int(mine.sum()), int((mine & ~lost).sum()), taker)


class _People:
    """Declared attributes of many, numbered by their values, so that a rule is asked once for those that look alike."""

    def __init__(self, people: Sequence[Mapping[str, Any]], types: Mapping[str, str]) -> None:
        self._people = people
        self._types = types
        self._codes: dict[str, Codes] = {}
        self._alike: dict[tuple[str, ...], tuple[Codes, Codes]] = {}

    def who_fit(self, rule: Mapping[str, Any]) -> Flags:
        """Of each whether the rule holds."""
        first, place = self._look_alike(tuple(sorted({name for name, _ in operands_of(rule)} & self._types.keys())))
        holds = compile_rule(rule, self._types)
        return np.array([holds(self._people[index]) for index in first.tolist()], np.bool_)[place]

    def _look_alike(self, names: tuple[str, ...]) -> tuple[Codes, Codes]:
        """The first of each kind by these attributes, and the kind of each."""
        if names not in self._alike:
            kind = np.zeros(len(self._people), np.int64)
            for name in names:
                codes = self._coded(name)
                _, kind = np.unique(kind * (codes.max() + 1) + codes, return_inverse=True)
            _, first, place = np.unique(kind, return_index=True, return_inverse=True)
            self._alike[names] = first, place
        return self._alike[names]

    def _coded(self, name: str) -> Codes:
        if name not in self._codes:
            keys = [_key(person.get(name)) for person in self._people]
            numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
            self._codes[name] = np.array([numbers[key] for key in keys], np.int64)
        return self._codes[name]


def _key(value: Any) -> Any:
    """What tells the values of one attribute apart."""
    return repr(value) if isinstance(value, list) else value


def typical_visitors(
    contexts: Sequence[Context], attributes: _Attributes, *, min_cell: int, most: int
) -> list[Typical]:
    """What visitors mostly bring along; values and visitors that fewer than `min_cell` are like are left out."""
    people, fewest = declared_of(contexts, attributes), max(min_cell, 1)
    values = Counter((name, _key(value)) for person in people for name, value in person.items())
    common = [
        {name: value for name, value in person.items() if values[name, _key(value)] >= fewest} for person in people
    ]
    kinds = Counter(map(_kind, common))
    examples = {_kind(person): person for person in common}
    return [Typical(examples[kind], n) for kind, n in kinds.most_common(most) if n >= fewest and kind]


def _kind(person: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, _key(value)) for name, value in sorted(person.items()))
