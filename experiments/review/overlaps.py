"""Overlaps: which rules hold for the same visitors, and which can never win behind others, by examples. Pure.

The visitors are made up of values at which rules turn, so that a segment that wins none of them can hardly win any. How
many people they stand for they do not say.
"""

from collections import Counter
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.model import AttributeType
from experiments.model import Experiment
from experiments.review.examples import Visitors
from experiments.review.examples import asks_for_pattern
from experiments.review.examples import example_values
from experiments.review.examples import example_visitors
from experiments.rules.attribute_columns import AttributeColumn
from experiments.rules.columns import compile_column_rule

Flags = NDArray[np.bool_]
Rule = Mapping[str, Any]
Types = Mapping[str, AttributeType]

#: Further segments are not judged: each costs all the others a look.
MOST_SEGMENTS = 500
#: Visitors that a segment's own rule holds for, besides those of all combinations.
_OWN = 16


@dataclass(frozen=True)
class Overlap:
    """How a segment's rule stands behind those before it.

    Attributes:
        examples: made-up visitors for whom it holds; `left` are those whom no segment before it takes.
        takers: the segments that take the others, those that take most first.
        are_all: whether the examples are every combination of the values at which rules turn.
    """

    examples: int
    left: int
    takers: tuple[str, ...]
    are_all: bool

    @property
    def is_shadowed(self) -> bool:
        """Whether others take everybody for whom it holds."""
        return self.examples > 0 and self.left == 0

    @property
    def never_holds(self) -> bool:
        """Whether it holds for nobody, whoever comes before it."""
        return self.examples == 0


def overlaps(experiment: Experiment) -> dict[str, Overlap]:
    """How segments stand behind one another; those that ask for a pattern, or come very late, are left out."""
    segments, types = experiment.segments[:MOST_SEGMENTS], experiment.attribute_types
    rules = [segment.rule for segment in segments]
    if not rules:
        return {}
    visitors = _visitors(rules, types)
    holds = np.array([compile_column_rule(rule, types)(visitors.columns, visitors.size) for rule in rules], np.bool_)
    return {
        segment.key: _overlap(holds, place, keys=experiment.segment_keys, are_all=visitors.are_all)
        for place, segment in enumerate(segments) if not asks_for_pattern(segment.rule)
    }


def _overlap(holds: Flags, place: int, *, keys: Sequence[str], are_all: bool) -> Overlap:
    mine, before = holds[place], holds[:place]
    taken = mine & before.any(axis=0)
    takers = Counter(before[:, taken].argmax(axis=0).tolist()) if taken.any() else Counter[int]()
    left = int((mine & ~taken).sum())
    return Overlap(int(mine.sum()), left, tuple(keys[taker] for taker, _ in takers.most_common()), are_all)


def _visitors(rules: Sequence[Rule], types: Types) -> Visitors:
    values = example_values(rules, types)
    found = example_visitors(values, types)
    if found.are_all:
        return found
    # Among few of many combinations a rule that asks for much at once would hold for none.
    own = [one for rule in rules for one in _own(rule, types)]
    columns = {
        name: AttributeColumn(
            [*found.columns[name].values, *_chosen(name, own, values[name])], is_list=types[name] == "list"
        )
        for name in values
    }
    return Visitors(columns, found.size + len(own), False)


def _own(rule: Rule, types: Types) -> list[dict[str, Any]]:
    """Some of the combinations of a rule's own values for which it holds."""
    alone = example_visitors(example_values([rule], types), types)
    places = np.flatnonzero(compile_column_rule(rule, types)(alone.columns, alone.size))
    chosen = places[np.unique(np.linspace(0, len(places) - 1, _OWN).astype(int))] if len(places) else places
    return [{name: column.values[place] for name, column in alone.columns.items()} for place in chosen.tolist()]


def _chosen(name: str, own: Sequence[Mapping[str, Any]], values: Sequence[Any]) -> list[Any]:
    """What these visitors have; where a rule does not name the attribute, any of the values in turn."""
    return [one[name] if name in one else values[place % len(values)] for place, one in enumerate(own)]
