"""Settled visitors: whoever is said to be one has had the same arm in every epoch, and most visitors are."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from experiments.allocation import to_weights
from experiments.assignment import Plan
from experiments.document import parse_document
from experiments.model import Allocation
from experiments.settled import settled
from tests.experiments.documents import tiny

_VISITORS = [f"visitor-{number}" for number in range(300)]
_ARMS = ("plain", "warm", "bold")

_shares = st.lists(st.floats(0.05, 1), min_size=2, max_size=3).map(lambda each: [share / sum(each) for share in each])


def _allocation(epoch: int, shares: list[float]) -> Allocation:
    """Arms may come later, never go."""
    return Allocation(epoch, {"everyone-else": to_weights(dict(zip(_ARMS, shares, strict=False)))})


@given(st.lists(_shares, min_size=1, max_size=6))
def test_a_settled_visitor_has_had_the_same_arm_in_every_epoch(history: list[list[float]]) -> None:
    allocations = [_allocation(epoch, shares) for epoch, shares in enumerate(sorted(history, key=len), start=1)]
    experiment = parse_document(tiny())
    plans = [Plan(experiment, allocation) for allocation in allocations]
    known = settled(allocations)
    for visitor in _VISITORS:
        drawn = {plan.draw(visitor, "everyone-else").arm for plan in plans}
        said = {
            arm for arm in _ARMS
            if known.holds(experiment.key, visitor, segment="everyone-else", arm=arm)
        }
        assert said == (drawn if len(drawn) == 1 else set())


def test_a_small_step_of_the_weights_leaves_nearly_everybody_settled() -> None:
    known = settled([_allocation(1, [0.5, 0.5]), _allocation(2, [0.52, 0.48])])
    told = Counter(
        any(known.holds("tiny", visitor, segment="everyone-else", arm=arm) for arm in _ARMS) for visitor in _VISITORS
    )
    assert told[True] > 0.95 * len(_VISITORS)


def test_a_segment_that_nobody_knows_has_no_settled_visitors() -> None:
    known = settled([_allocation(1, [0.5, 0.5])])
    assert not known.holds("tiny", "ann", segment="womens-shoppers", arm="plain")
