"""Which visitors are settled: those to whom every epoch so far gives one and the same arm, whatever their context is.

Whatever exposed such a visitor, it was to this arm: so it can be given for certain where nobody can be asked. Arms
stand in one order in all epochs, so the positions of an arm are a range in each, and what all have in common is one.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from functools import reduce
from typing import NamedTuple

from experiments.allocation import GRAIN
from experiments.hashing import bucket
from experiments.hashing import ranges
from experiments.model import Allocation

_Range = tuple[float, float]
_RangeByArm = Mapping[str, _Range]


class Settled(NamedTuple):
    """The range of positions that an arm has had in every epoch up to this one, by segment and arm."""

    epoch: int
    ranges: Mapping[str, _RangeByArm]

    def narrowed(self, allocation: Allocation) -> "Settled":
        """What is settled after one epoch more."""
        added = _of(allocation)
        return Settled(allocation.epoch, {
            segment: _common(range_by_arm, added.ranges.get(segment, {}))
            for segment, range_by_arm in self.ranges.items()
        })

    def holds(self, experiment: str, visitor: str, *, segment: str, arm: str) -> bool:
        """Whether every epoch gives the visitor this arm."""
        starts, ends = self.ranges.get(segment, {}).get(arm, (1.0, 0.0))
        return starts <= bucket(experiment, visitor) < ends


def settled(allocations: Iterable[Allocation]) -> Settled:
    """What all of an experiment's allocations, the oldest first, have in common; there is one at least."""
    first, *others = allocations
    return reduce(Settled.narrowed, others, _of(first))


def _of(allocation: Allocation) -> Settled:
    by_segment = {
        segment: reduce(_common, map(_range_by_arm, (weights, *allocation.contexts.get(segment, {}).values())))
        for segment, weights in allocation.weights.items()
    }
    return Settled(allocation.epoch, by_segment)


def _range_by_arm(weight_by_arm: Mapping[str, int]) -> _RangeByArm:
    bounds = ranges([weight / GRAIN for weight in weight_by_arm.values()])
    return dict(zip(weight_by_arm, bounds, strict=True))


def _common(one: _RangeByArm, other: _RangeByArm) -> _RangeByArm:
    return {
        arm: (max(starts, other[arm][0]), min(ends, other[arm][1]))
        for arm, (starts, ends) in one.items()
        if arm in other
    }
