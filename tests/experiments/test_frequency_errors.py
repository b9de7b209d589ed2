"""How often what is said of one more exposure is true, in made-up campaigns whose truth is known."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest

from experiments.document import parse_document
from experiments.frequency.caps import cap_of
from experiments.frequency.doses import Exposed
from experiments.frequency.doses import doses
from experiments.frequency.sends import raises_of
from experiments.frequency.sends import rows_of
from experiments.storage.visitors import ExposureRow
from tests.experiments.documents import tiny

CAPS = [1, 2, 3]
EXPERIMENT = parse_document(tiny(
    control_share=0.2, frequency={"cap": CAPS, "per": "30d"},
))
#: The chances to be reached once, twice or three times: of the loyal, who buy more anyway, and of the others.
REACHED = {True: (0.0, 0.1, 0.9), False: (0.5, 0.3, 0.2)}
BASE = {True: 0.2, False: 0.06}
VISITORS = 3000


class Told(NamedTuple):
    """Of many campaigns: how often intervals of a raise held its truth, all together too; verdicts; the association."""

    held: list[bool]
    held_together: list[bool]
    verdicts: list[str]
    associations: list[float]


def visitors(rng: np.random.Generator, effects: tuple[float, float]) -> Iterator[Exposed]:
    """Visitors of a campaign in which a second and a third exposure have these effects."""
    frequency = EXPERIMENT.frequency
    assert frequency is not None
    loyal, draws = rng.random(VISITORS) < 0.5, rng.random((VISITORS, 3))
    for number in range(VISITORS):
        stand_in = rng.bytes(16)
        times = 1 + int(np.searchsorted(np.cumsum(REACHED[bool(loyal[number])]), draws[number, 0]))
        n = min(times, cap_of(EXPERIMENT.key, frequency, stand_in).most)
        arm = "everyone" if draws[number, 1] < 0.8 else "nothing"
        rate = BASE[bool(loyal[number])] + (sum(effects[: n - 1]) if arm == "everyone" else 0.0)
        totals = {"signup": 1} if draws[number, 2] < rate else {}
        yield stand_in, ExposureRow(arm, "everyone-else", 1, 5000, 0, False, None, n), totals


def truths(effects: tuple[float, float]) -> list[float]:
    """What each raise of the cap adds per visitor: its effect on those who come to it."""
    comes = [np.mean([sum(REACHED[loyal][times:]) for loyal in REACHED]) for times in (1, 2)]
    return [float(effect * share) for effect, share in zip(effects, comes, strict=True)]


def campaigns(many: int, effects: tuple[float, float], *, seed: int) -> Told:
    rng, told, truth = np.random.default_rng(seed), Told([], [], [], []), truths(effects)
    for _ in range(many):
        found = doses(EXPERIMENT, visitors(rng, effects), before_ms=1)
        whole = [one for one in raises_of(EXPERIMENT, found, min_cell=10) if one.arm is None]
        held = [one.goal.low <= true <= one.goal.high for one, true in zip(whole, truth, strict=True)]
        told.held.extend(held)
        told.held_together.append(all(held))
        told.verdicts.extend(one.verdict for one in whole)
        [row] = [row for row in rows_of(EXPERIMENT, found, min_cell=10) if row.arm == "everyone"]
        association = row.doses[1].association
        assert association is not None
        told.associations.append(association.mean)
    return told


@pytest.mark.parametrize("many", [60, pytest.param(1500, marks=(pytest.mark.long, pytest.mark.timeout(1200)))])
def test_intervals_of_drawn_caps_hold_the_truth_together_as_often_as_promised(many: int) -> None:
    told = campaigns(many, (0.06, 0.0), seed=1)
    print(np.mean(told.held), np.mean(told.held_together), np.mean(told.associations), truths((0.06, 0.0)))
    # Three standard errors below 95 %.
    assert np.mean(told.held_together) >= 0.95 - 3 * (0.05 * 0.95 / many) ** 0.5


@pytest.mark.parametrize("many", [60, pytest.param(1500, marks=(pytest.mark.long, pytest.mark.timeout(1200)))])
def test_where_more_brings_nothing_it_is_seldom_called_worth_it_and_the_association_misleads(many: int) -> None:
    told = campaigns(many, (0.0, 0.0), seed=2)
    wrong = np.mean([verdict != "not_known_yet" for verdict in told.verdicts])
    print(wrong, np.mean(told.held_together), np.mean(told.associations))
    assert wrong <= 0.05 / 2 + 3 * (0.025 / (2 * many)) ** 0.5
    # The loyal are more among those who were exposed twice.
    assert np.mean(told.associations) > 0.02
