"""Looks that are computed many at a time call what each alone would."""

from typing import Any

import numpy as np
import pytest

from experiments.document import parse_document
from experiments.reading.assumptions import read_assumptions
from experiments.simulation.campaigns import Campaign
from experiments.simulation.looks import looks
from tests.experiments.flights import flight
from tests.experiments.flights import goal
from tests.experiments.flights import uplift

DAYS = 8
TWO = ["taste-0", "taste-1"]


def campaign(**changes: Any) -> Campaign:
    """Two segments, of which one has a letter that is much better."""
    experiment = parse_document(flight(2, **changes))
    assumed = {"uplift": uplift(0.9, 0.0), "base_rates": {"taste-0": 0.1}}
    world = read_assumptions(assumed, experiment, days=DAYS).world(experiment)
    return Campaign(experiment, world, days=DAYS, rng=np.random.default_rng(4))


@pytest.mark.parametrize(
    ("visitors", "changes"), [(600, {}), (1500, {"metrics": [goal(kind="value", property="revenue", cap=50)]})]
)
def test_every_midnight_is_called_as_it_was_then(visitors: int, changes: dict[str, Any]) -> None:
    passing = campaign(**changes)
    seen, called = [], []
    for _ in range(DAYS):
        passing.live(visitors)
        seen.append(passing.seen())
        called.append(passing.calls()[0])
        passing.reallocate()
    assert [look.calls for look in looks(seen, waiting=TWO)] == called
    assert [look.day for look in looks(seen, waiting=TWO)] == [*range(1, DAYS + 1)]
    assert {calls["taste-0", "letter-taste-0"] for calls in called} == {"keep_testing", "tailor"}


def test_a_segment_that_nobody_waits_for_costs_nothing() -> None:
    passing = campaign()
    for _ in range(DAYS):
        passing.live(600)
    (look,) = looks([passing.seen()], waiting=["taste-1"])
    assert set(look.calls.values()) == {"keep_testing"}
