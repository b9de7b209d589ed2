"""A campaign that is drawn per cell goes as one whose visitors come one by one through the real store."""

from collections.abc import Iterator
from operator import itemgetter
from typing import Any
from typing import NamedTuple

import numpy as np
import pytest

from experiments.allocation import GRAIN
from experiments.document import parse_document
from experiments.ledger import allocation_of
from experiments.policies import next_weights
from experiments.reading.assumptions import read_assumptions
from experiments.simulation.campaigns import Campaign
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from stats.weights import by_two_chances
from tests.experiments.flights import flight
from tests.experiments.flights import goal
from tests.experiments.house import DAY
from tests.experiments.house import House

DAYS = 6
VISITORS = 150
BEGIN = 20_000 * DAY
SEGMENTS = ("taste-0", "everyone-else")
ASSUMED: dict[str, Any] = {
    "visitors_per_day": VISITORS,
    "segment_shares": {"taste-0": 0.7, "everyone-else": 0.3},
    "rates": {
        "taste-0": {"nothing": 0.15, "one-letter": 0.2, "letter-taste-0": 0.32},
        "everyone-else": {"nothing": 0.15, "one-letter": 0.25},
    },
    "delay": "1d",
}


def document(key: str) -> dict[str, object]:
    """A control, a letter for all and one for the larger segment; conversions matter for three days."""
    found = flight(key=key, control_share=0.1, metrics=[goal(window="3d", value=10)])
    found["arms"] = [{"key": "nothing", "role": "control"}, *found["arms"]]
    found["policy"] = {"kind": "thompson", "burn_in": 20}
    return found


class Course(NamedTuple):
    """A campaign: the letter's weight each day, visitors and conversions of each arm, and the segment's call."""

    weights: list[float]
    visitors: list[int]
    conversions: list[int]
    call: str


ARMS = (
    ("taste-0", "nothing"), ("taste-0", "one-letter"), ("taste-0", "letter-taste-0"), ("everyone-else", "one-letter"),
)


def per_cell(seed: int) -> Course:
    """Outcomes drawn per cell."""
    experiment = parse_document(document("per-cell"))
    world = read_assumptions(ASSUMED, experiment, days=DAYS).world(experiment)
    campaign = Campaign(experiment, world, days=DAYS, rng=np.random.default_rng(seed))
    weights = []
    for _ in range(DAYS):
        campaign.live(VISITORS)
        campaign.reallocate()
        weights.append(campaign.allocations[campaign.epoch].weights["taste-0"]["letter-taste-0"] / GRAIN)
    places = [campaign.places.place(*arm) for arm in ARMS]
    counts = [[int(part[:, row, column].sum()) for row, column in places] for part in (campaign.n, campaign.converted)]
    return Course(weights, *counts, campaign.calls()[0]["taste-0", "letter-taste-0"])


def visitor_by_visitor(house: House, seed: int) -> Course:
    """Everybody asks when they come, what they do is recorded at midnight, and the weights follow."""
    rng = np.random.default_rng((7, seed))
    house.now_ms = BEGIN
    key = house.start(document(f"campaign-{seed}"))
    weights, waiting = [], []
    for midnight in range(BEGIN + DAY, BEGIN + (DAYS + 1) * DAY, DAY):
        for second in np.sort(rng.integers(0, 86_400, VISITORS)).tolist():
            house.now_ms = midnight - DAY + second * 1000
            waiting += _visitor(house, key, f"{key}-{midnight}-{len(waiting)}", rng)
        house.now_ms = midnight
        due = sorted((item for item in waiting if item[0] < midnight), key=itemgetter(0))
        waiting = [item for item in waiting if item[0] >= midnight]
        assert {receipt.status for receipt in house.record(*(event for _, event in due))} == {"accepted"}
        weights.append(allocation_of(house.reallocate(key)).weights["taste-0"]["letter-taste-0"] / GRAIN)
    report = house.report(key)
    rows = {(row["segment"], row["arm"]): row["metrics"]["purchase"] for row in report["arms"]}
    call = next(row["call"] for row in report["verdict"]["segments"] if row["segment"] == "taste-0")
    return Course(weights, [rows[arm]["visitors"] for arm in ARMS], [rows[arm]["sum"] for arm in ARMS], call)


def _visitor(house: House, key: str, name: str, rng: np.random.Generator) -> Iterator[tuple[int, dict[str, Any]]]:
    """A visitor's events and when they happen: the exposure, and for some a conversion."""
    taste = rng.choice(SEGMENTS, p=list(ASSUMED["segment_shares"].values()))
    given = house.evaluate(key, name, taste=str(taste)).assignment
    yield house.now_ms, house.exposure(key, name, at=house.now_ms, taste=str(taste))
    if rng.random() < ASSUMED["rates"][given.segment][given.arm]:
        delay = DAY * _within_window(rng)
        yield house.now_ms + 1 + round(delay), house.event(name, "Order Completed", at=house.now_ms + 1 + round(delay))


def _within_window(rng: np.random.Generator) -> float:
    """A delay of a day on average, had it not to end within three."""
    return next(delay for delay in iter(rng.standard_exponential, None) if delay < 2.999)


@pytest.fixture(scope="module")
def courses(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Course], list[Course]]:
    """Campaigns per cell, and campaigns through the store."""
    path = tmp_path_factory.mktemp("store") / "bespoke.db"
    migrate_database(path, fingerprint="test")
    store = open_store(path, fingerprint="test", serving=True)
    try:
        house = House(store)
        real = [visitor_by_visitor(house, seed) for seed in range(10)]
    finally:
        store.close()
    return [per_cell(seed) for seed in range(120)], real


@pytest.mark.parametrize("figure", ["weights", "visitors", "conversions"])
def test_weights_visitors_and_conversions_are_those_of_the_real_store(
    courses: tuple[list[Course], list[Course]], figure: str
) -> None:
    simulated, real = (np.array([getattr(one, figure) for one in found]) for found in courses)
    error = simulated.std(axis=0, ddof=1) * np.sqrt(1 / len(simulated) + 1 / len(real))
    # Of ten figures that agree, one would be further off in 1 of 200 tests.
    assert (np.abs(simulated.mean(axis=0) - real.mean(axis=0)) <= 3.5 * error + 1e-9).all()


def test_calls_are_as_frequent_as_those_of_the_real_report(courses: tuple[list[Course], list[Course]]) -> None:
    simulated, real = ([one.call == "tailor" for one in found] for found in courses)
    chance = float(np.mean(simulated))
    assert 0.1 < chance < 0.9
    assert abs(chance - np.mean(real)) <= 2.6 * np.sqrt(chance * (1 - chance) / len(real))


@pytest.mark.parametrize("kind", ["fixed", "top_two_thompson"])
def test_weights_that_nothing_can_move_are_those_that_a_reallocation_would_find(kind: str) -> None:
    experiment = parse_document({**flight(2), "policy": {"kind": kind}})
    world = read_assumptions({}, experiment, days=3).world(experiment)
    campaign = Campaign(experiment, world, days=3, rng=np.random.default_rng(1))
    for _ in range(3):
        campaign.live(3000)
        campaign.reallocate()
    weights = campaign.allocations[1].weights
    assert campaign.epoch == 1
    assert next_weights(experiment, campaign.inputs(), weights) == weights
    assert by_two_chances([0.999, 0.001], floor=0.05) == pytest.approx([0.5, 0.5])
