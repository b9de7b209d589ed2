"""Evidence is what it was before it was made cheaper: figures of cells that are drawn from a fixed seed.

They were computed when every conversion's likelihood, slope and information stood at every ratio of the grid.
"""

from collections.abc import Iterator
from itertools import product
from random import Random

import pytest

from experiments.allocation import to_weights
from experiments.cautions import evidence
from experiments.columns import Cell
from experiments.columns import by_metric
from experiments.counting import AT_ONCE
from experiments.counting import BY_CLIENT
from experiments.counting import EXPOSURES
from experiments.counting import TELLERS
from experiments.diagnostics import sample_ratio
from experiments.document import parse_document
from experiments.forgery import signs
from experiments.model import Allocation
from experiments.model import Experiment
from experiments.model import StoredExperiment
from experiments.readings import Readings
from tests.experiments.documents import tiny

_FIRST_DAY = 20_000
_DAY_MS = 86_400_000
_ARMS = [
    {"key": "quiet", "role": "control"},
    {"key": "letter", "role": "mass"},
    {"key": "card", "role": "mass"},
    {"key": "red-letter", "role": "tailored", "segments": ["red"]},
]
_RAILS = [
    {"key": "complaint", "event": "Complained", "kind": "conversion", "role": "guardrail", "direction": "decrease",
     "limit": 0.02},
    {"key": "visits", "event": "Page Viewed", "kind": "count", "role": "guardrail", "direction": "increase",
     "limit": 1, "cap": 9},
]


def _experiment() -> Experiment:
    document = tiny(
        arms=_ARMS,
        control_share=0.1,
        attributes={"colour": "string"},
        segments=[{"key": name, "kind": "behavioral", "rule": {"colour": name}} for name in ("red", "blue")],
    )
    document["metrics"] += _RAILS
    return parse_document(document)


def _readings(seed: int) -> Readings:
    """Twelve epochs of a day and a half each: of everything that cautions look for there is a little."""
    draw, experiment = Random(seed), _experiment()
    allocations = {epoch: Allocation(epoch, _weights(draw, experiment)) for epoch in range(1, 13)}
    cells = [cell for allocation in allocations.values() for cell in _cells(draw, experiment, allocation)]
    stored = StoredExperiment(experiment, {}, "running", _FIRST_DAY * _DAY_MS)
    return Readings(stored, by_metric(cells), allocations, {}, 0, 0, (_FIRST_DAY + 30) * _DAY_MS)


def _weights(draw: Random, experiment: Experiment) -> dict[str, dict[str, int]]:
    return {segment: _drawn(draw, [arm.key for arm in experiment.open_arms(segment)])
            for segment in experiment.segment_keys}


def _drawn(draw: Random, arms: list[str]) -> dict[str, int]:
    shares = [draw.uniform(0.5, 2) for _ in arms]
    return to_weights({arm: share / sum(shares) for arm, share in zip(arms, shares, strict=True)})


def _cells(draw: Random, experiment: Experiment, allocation: Allocation) -> Iterator[Cell]:
    days = range(_FIRST_DAY + 3 * allocation.epoch // 2, _FIRST_DAY + 3 * allocation.epoch // 2 + 2)
    for day, (segment, weights) in product(days, allocation.weights.items()):
        for arm, weight in weights.items():
            is_card = arm == "card"
            visitors = round(weight / 20 * draw.uniform(0.9, 1.1) * (0.9 if is_card else 1))
            sums = _sums(draw, visitors, favours=20 * (is_card and allocation.epoch > 7))
            for metric, (n, total, squares) in sums.items():
                if n:
                    yield metric, allocation.epoch, day, segment, arm, n, total, squares


def _sums(draw: Random, visitors: int, *, favours: int) -> dict[str, tuple[int, int, float]]:
    """Visitors, sums and sums of squares of each metric; who tells of the goal depends a little on the arm."""
    told = {teller: draw.randrange(6) for teller in TELLERS}
    told[AT_ONCE] += 3 * favours
    told[BY_CLIENT] += favours
    goals, complaints, views = sum(told.values()), draw.randrange(1 + visitors // 20), draw.randrange(2 * visitors + 1)
    return {
        "signup": (visitors, goals, goals),
        EXPOSURES: (visitors, visitors + complaints, visitors + 3 * complaints),
        "complaint": (visitors, complaints, complaints),
        "visits": (visitors, views, 3.0 * views),
        **{teller: (n, n, n) for teller, n in told.items()},
    }


#: Of each sign, and the arm that it says is favoured.
_SIGNS = {
    "at_once red card letter": ("card", -1.1431983712567444),
    "by_client red card letter": ("card", 24.95725935352374),
    "rising red card letter": ("card", 34.46841947699447),
    "at_once blue card letter": ("card", -6.19282490935592),
    "by_client blue card letter": ("card", 25.99185005494246),
    "rising blue card letter": ("card", 50.7763568332153),
    "at_once everyone-else card letter": ("card", -3.4131845007624975),
    "by_client everyone-else card letter": ("card", 24.123682958713005),
    "rising everyone-else card letter": ("card", 55.35094531788713),
    "at_once no-personalisation card letter": ("card", -3.4231459418786017),
    "by_client no-personalisation card letter": ("card", 29.885604489373577),
    "rising no-personalisation card letter": ("card", 33.887028237203616),
}
_OTHERS = {
    "sample_ratio": 55.540186094630535,
    "guardrail complaint quiet": 4.340854903141235,
    "guardrail complaint letter": 4.297571522894032,
    "guardrail complaint card": 3.2992254677828896,
    "guardrail complaint red-letter": 0.310149883945428,
    "guardrail visits quiet": 20.75222053905894,
}


def test_every_sign_is_as_strong_as_it_was() -> None:
    found = {sign.name: sign for sign in signs(_readings(1))}
    for name, (arm, logs) in _SIGNS.items():
        assert (found[name].arm, found[name].evidence) == (arm, pytest.approx(logs, rel=1e-9))
    assert all(abs(found[name].evidence) < 1e-6 for name in found.keys() - _SIGNS.keys())


def test_all_other_evidence_is_what_it_was() -> None:
    found = evidence(_readings(1))
    assert {name: found[name] for name in _OTHERS} == pytest.approx(_OTHERS, rel=1e-9)
    assert found.keys() <= _OTHERS.keys() | _SIGNS.keys()


def test_the_sample_ratio_is_what_it_was() -> None:
    readings = _readings(1)
    found = sample_ratio(readings, readings.columns[EXPOSURES])
    assert found == {"p_value": pytest.approx(1.8860693259571557e-05, rel=1e-9), "alarm": True}
