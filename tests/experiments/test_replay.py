"""What-if: what other policies would have earned, by an experiment's own cells, and when nobody can tell."""

from typing import Any

import numpy as np
import pytest

from experiments.columns import Cell
from experiments.columns import by_metric
from experiments.counting import PROFIT
from experiments.document import parse_document
from experiments.errors import UnansweredPast
from experiments.model import Allocation
from experiments.model import StoredExperiment
from experiments.readings import Readings
from experiments.replay.alternatives import Alternative
from experiments.replay.alternatives import Unanswered
from experiments.replay.records import Replay
from experiments.replay.records import replay_of
from experiments.times import DAY_MS

ARMS = ["none", "one-letter", "fans-letter"]
#: Of those who buy, by segment and arm; fans like their letter, others get none of their own.
RATES = {
    "fans": {"none": 0.02, "one-letter": 0.05, "fans-letter": 0.08},
    "everyone-else": {"none": 0.02, "one-letter": 0.06},
}
EVEN = {
    "fans": {"none": 1000, "one-letter": 4500, "fans-letter": 4500},
    "everyone-else": {"none": 1000, "one-letter": 9000},
}
TURNED = {**EVEN, "fans": {"none": 1000, "one-letter": 2000, "fans-letter": 7000}}
Weights = dict[str, dict[str, int]]


def document(**changes: Any) -> dict[str, Any]:
    goal = {"key": "order", "event": "Order Completed", "kind": "conversion", "role": "goal", "window": "2d"}
    return {
        "key": "letters",
        "control_share": 0.1,
        "attributes": {"fan": "boolean"},
        "segments": [{"key": "fans", "kind": "behavioral", "rule": {"fan": True}}],
        "arms": [
            {"key": "none", "role": "control"},
            {"key": "one-letter", "role": "mass"},
            {"key": "fans-letter", "role": "tailored", "segments": ["fans"], "fixed_cost": 800},
        ],
        "metrics": [{**goal, "value": 30}],
        **changes,
    }


def asked(epochs: list[Weights], *, daily: int, seed: int = 1, now_day: int | None = None, min_cell: int = 0,
          drawn: Weights | None = None, **changes: Any) -> Replay:
    """The what-if of a campaign of a day an epoch; `drawn` is what visitors get where weights do not tell the truth."""
    rng = np.random.default_rng(seed)
    cells: list[Cell] = []
    for day, weights in enumerate(epochs, start=1):
        for segment, by_arm in weights.items():
            shares = np.array(list((drawn or weights)[segment].values())) / 10_000
            for arm, n in zip(by_arm, rng.multinomial(daily, shares / shares.sum()), strict=True):
                won = int(rng.binomial(n, RATES[segment].get(arm, 0.0)))
                cells.append(("order", day, day, segment, arm, float(n), won, won))
                cells.append((PROFIT, day, day, segment, arm, float(n), won * 30e6, won * 30e6**2))
    found = parse_document(document(**changes))
    allocations = {day: Allocation(day, weights) for day, weights in enumerate(epochs, start=1)}
    now_ms = (len(epochs) + 3 if now_day is None else now_day) * DAY_MS
    readings = Readings(StoredExperiment(found, {}, "running", 0), by_metric(cells), allocations, {}, 0, 0, now_ms)
    return replay_of(readings, min_cell=min_cell)


def of(found: Replay, policy: str, arm: str | None = None) -> Alternative:
    return next(one for one in found.alternatives if one.policy == policy and one.arm in (arm, None))


def test_every_policy_is_worth_what_the_world_says() -> None:
    found = asked([EVEN, EVEN, TURNED, TURNED, EVEN], daily=20_000)
    truths = {
        ("arm", "none"): 0.02,
        ("arm", "one-letter"): 0.055,
        ("tailored", None): 0.07,
        ("uniform", None): 0.0625,
        ("best", None): 0.07,
        ("epsilon_greedy", None): 0.9 * 0.07 + 0.1 * 0.0625,
    }
    for (policy, arm), truth in truths.items():
        worth = of(found, policy, arm).worth["goal"]
        # Within 3.5 standard errors, an interval having 3.92.
        assert abs(worth.mean - truth) < 3.5 / 3.92 * (worth.high - worth.low), policy
        assert worth.high - worth.low < 0.005
        assert abs(worth.self_normalised - worth.mean) < 0.003
        assert worth.gain is not None
        assert abs(worth.gain.mean - (truth - 0.055)) <= 3.5 / 3.92 * (worth.gain.high - worth.gain.low), policy
    assert of(found, "best").choices == {"fans": "fans-letter", "everyone-else": "one-letter"}
    assert (found.visitors, found.reference, found.unit, found.currency) == (200_000, "one-letter", "rate", "EUR")
    assert of(found, "logged").worth["goal"].gain is None


def test_profit_counts_the_value_of_the_goal_and_pays_for_the_messages_that_a_policy_uses() -> None:
    found = asked([EVEN] * 4, daily=10_000)
    tailored, mass = (of(found, *name).worth for name in (("tailored",), ("arm", "one-letter")))
    fixed = 800 / found.visitors
    assert tailored["profit"].mean == pytest.approx(30 * tailored["goal"].mean - fixed)
    assert mass["profit"].mean == pytest.approx(30 * mass["goal"].mean)
    assert tailored["profit"].gain is not None and tailored["goal"].gain is not None
    assert tailored["profit"].gain.mean == pytest.approx(30 * tailored["goal"].gain.mean - fixed)
    assert of(found, "best_by_profit").choices["fans"] == "fans-letter"


def test_without_money_there_is_nothing_about_profit() -> None:
    plain = document()
    del plain["metrics"][0]["value"]
    found = asked([EVEN] * 2, daily=5000, metrics=plain["metrics"], arms=[
        {key: value for key, value in arm.items() if key != "fixed_cost"} for arm in plain["arms"]
    ])
    assert found.currency is None
    assert all(set(one.worth) == {"goal"} for one in found.alternatives)
    assert "best_by_profit" not in {one.policy for one in found.alternatives}


def test_an_arm_that_was_closed_to_some_is_not_guessed_at() -> None:
    closed = {**EVEN, "fans": {"none": 1000, "one-letter": 9000, "fans-letter": 0}}
    found = asked([closed, EVEN, EVEN], daily=2000)
    unanswered = of(found, "tailored").unanswered
    assert unanswered is not None
    assert unanswered == Unanswered("unreachable", "fans-letter in fans: 2,000 of 6,000 visitors cannot have had it")
    assert of(found, "tailored").worth == {} and of(found, "uniform").unanswered is not None
    assert of(found, "arm", "one-letter").worth


def test_weights_that_nobody_drew_by_are_found_out() -> None:
    found = asked([EVEN] * 3, daily=3000, drawn=TURNED)
    unanswered = of(found, "arm", "one-letter").unanswered
    assert unanswered is not None and unanswered.code == "propensities"
    assert unanswered.detail.startswith("one-letter in fans: visitors had it ")
    assert unanswered.detail.endswith("standard errors less often than the propensities say")


def test_a_single_day_cannot_tell_what_is_best_but_what_one_message_brings() -> None:
    found = asked([EVEN], daily=20_000)
    unanswered = of(found, "best").unanswered
    assert unanswered is not None and unanswered.code == "one_day"
    assert of(found, "tailored").worth


def test_few_visitors_and_few_conversions_are_said_to_be_few() -> None:
    codes = [of(asked([EVEN] * 4, daily=daily), "tailored").unanswered for daily in (15, 25)]
    assert [one and one.code for one in codes] == ["too_few_visitors", "too_few_conversions"]


def test_days_whose_windows_are_open_are_left_out() -> None:
    found = asked([EVEN] * 6, daily=2000, now_day=6)
    assert (found.visitors, found.before) == (3 * 4000, "1970-01-05")
    with pytest.raises(UnansweredPast, match="letters: the windows of 0 visitors are over, must be those of 10"):
        asked([EVEN] * 6, daily=2000, now_day=2, min_cell=10)


def test_small_segments_are_not_shown() -> None:
    few = {**EVEN, "fans": EVEN["fans"]}
    found = asked([few] * 2, daily=2000, min_cell=5000)
    assert found.contexts == {} and of(found, "best").choices == {}


@pytest.mark.parametrize("seed", range(3))
def test_what_is_chosen_where_all_are_alike_gains_nothing(seed: int) -> None:
    alike = {"fans": dict.fromkeys(ARMS, 0.05), "everyone-else": dict.fromkeys(ARMS, 0.05)}
    before = dict(RATES)
    RATES.update(alike)
    try:
        gains = [of(asked([EVEN] * 5, daily=1000, seed=100 * seed + one), "best") for one in range(60)]
    finally:
        RATES.update(before)
    by_error = [
        gain.mean / (gain.high - gain.low) * 3.92 for one in gains
        if (gain := one.worth["goal"].gain) is not None and gain.high > gain.low
    ]
    assert abs(np.mean(by_error)) < 4 / np.sqrt(len(by_error))
