"""Weighing: young visitors count as far as they have matured, old ones as far as they are remembered."""

from typing import Any

import numpy as np
import pytest

from experiments.columns import Cell
from experiments.columns import by_metric
from experiments.counting import LAG_BUCKETS
from experiments.counting import PROFIT
from experiments.document import parse_document
from experiments.inputs import Inputs
from experiments.inputs import policy_inputs
from experiments.ledger import ledger_json
from experiments.model import Allocation
from experiments.model import Experiment
from experiments.storage.store import Store
from experiments.verification import verify
from experiments.weighing import Weighing
from experiments.weighing import goal_curve
from stats.delays import DelayCurve
from tests.experiments.documents import tiny
from tests.experiments.house import DAY
from tests.experiments.house import HOUR
from tests.experiments.house import House

_TWO = [{"key": "a", "role": "mass"}, {"key": "b", "role": "mass", "cost_per_exposure": 0.5}]
_SEGMENT = "everyone-else"
_WINDOW_DAYS = 14
# Day 100 begins the tests' time.
_FIRST = 100
_RATES = {"a": 0.05, "b": 0.06}


def _experiment(*, policy: dict[str, Any] | None = None, **changes: Any) -> Experiment:
    metric = {"key": "signup", "event": "Signed Up", "kind": "conversion", "role": "goal", "value": 20}
    return parse_document(tiny(arms=_TWO, metrics=[metric], policy=policy or {"kind": "thompson"}, **changes))


def _cells(arm: str, *, day: int, n: int, converted: int, epoch: int = 1) -> list[Cell]:
    """A cell of the goal and one of profit: 20.00 EUR a conversion, .50 EUR an exposure of b."""
    gain, cost = 20_000_000, 500_000 if arm == "b" else 0
    profit = gain * converted - cost * n
    squares = float(converted * (gain - cost) ** 2 + (n - converted) * cost**2)
    return [
        ("signup", epoch, day, _SEGMENT, arm, n, converted, float(converted)),
        (PROFIT, epoch, day, _SEGMENT, arm, n, profit, squares),
    ]


def _both(*, a: int, b: int, n: int, day: int = _FIRST) -> list[Cell]:
    return [*_cells("a", day=day, n=n, converted=a), *_cells("b", day=day, n=n, converted=b)]


def _inputs(
    experiment: Experiment,
    cells: list[Cell],
    *,
    now_day: int,
    curve: DelayCurve | None = None,
    shares: tuple[int, ...] = (5000,),
) -> Inputs:
    """Inputs when epochs of these shares of `a` have begun week after week."""
    allocations = {
        epoch: Allocation(epoch, {_SEGMENT: {"a": share, "b": 10_000 - share}})
        for epoch, share in enumerate(shares, start=1)
    }
    starts = {epoch: (_FIRST + 7 * (epoch - 1)) * DAY for epoch in allocations}
    half_life, now_ms = experiment.policy.half_life_seconds, now_day * DAY
    weighing = Weighing(starts, experiment.goal.window_seconds, curve, half_life, now_ms)
    return policy_inputs(
        experiment,
        by_metric(cells),
        allocations=allocations,
        conversions={},
        now_ms=now_ms,
        weighing=weighing if curve or half_life else None,
    )


def _delayed(rng: np.random.Generator) -> tuple[list[Cell], dict[tuple[int, int], int]]:
    """Four weeks of 1,000 visitors a day, most of them a's at first and b's at the end.

    Conversions take five days on average, cut off by the window.
    """
    cells: list[Cell] = []
    lags: dict[tuple[int, int], int] = {}
    for day in range(_FIRST, _FIRST + 28):
        epoch = 1 + (day - _FIRST) // 7
        for arm, n in zip("ab", ((800, 200), (500, 500), (300, 700), (100, 900))[epoch - 1], strict=True):
            delays = rng.exponential(5, rng.binomial(n, _RATES[arm] / -np.expm1(-_WINDOW_DAYS / 5)))
            ages = _FIRST + 28 - day - rng.random(len(delays))
            in_time = delays[delays < np.minimum(ages, _WINDOW_DAYS)]
            cells += _cells(arm, day=day, n=n, converted=len(in_time), epoch=epoch)
            for bucket in (in_time * LAG_BUCKETS / _WINDOW_DAYS).astype(int).tolist():
                lags[day, bucket] = lags.get((day, bucket), 0) + 1
    return cells, lags


def test_arms_of_different_ages_show_their_true_rates() -> None:
    experiment = _experiment(policy={"kind": "thompson", "maturity": "corrected"})
    rng = np.random.default_rng(11)
    now_day = _FIRST + 28
    found: dict[bool, list[list[float]]] = {True: [], False: []}
    for _ in range(60):
        cells, lags = _delayed(rng)
        curve = goal_curve(experiment.goal, lags, now_ms=now_day * DAY)
        for is_corrected in found:
            inputs = _inputs(
                experiment, cells, now_day=now_day, curve=curve if is_corrected else None,
                shares=(8000, 5000, 3000, 1000),
            )
            arms = inputs[_SEGMENT].arms
            found[is_corrected].append([arms["a"].goal.mean, arms["b"].goal.mean, arms["b"].profit.mean])
    truth = [_RATES["a"], _RATES["b"], 20 * _RATES["b"] - 0.5]
    corrected = np.array(found[True])
    errors = corrected.std(axis=0, ddof=1) / np.sqrt(len(corrected))
    assert (np.abs(corrected.mean(axis=0) - truth) < 3.5 * errors).all()
    assert (np.mean(found[False], axis=0) < np.array(truth) - 20 * errors).all()


def test_visitors_count_as_far_as_they_have_matured() -> None:
    # Half of the conversions come in the first day evenly, the other half evenly afterwards.
    late = [0.5 + 0.5 * (bucket - 17) / 237 for bucket in range(18, 255)]
    curve = DelayCurve(tuple([0.5 * bucket / 18 for bucket in range(1, 19)] + late + [1.0]))
    arms = _inputs(_experiment(), _both(a=30, b=50, n=1000), now_day=_FIRST + 1, curve=curve)[_SEGMENT].arms
    seen = curve.matured(0, 1 / _WINDOW_DAYS)
    assert seen == pytest.approx(0.25, abs=0.01)
    assert arms["b"].goal.mean == pytest.approx(50 / (1000 * seen))
    assert arms["b"].goal.n == pytest.approx(1000 * seen)
    assert arms["b"].visitors == 1000
    # Value is still to come, cost is not.
    assert arms["b"].profit.mean == pytest.approx(20 * 50 / (1000 * seen) - 0.5)
    assert arms["a"].profit.mean == pytest.approx(20 * 30 / (1000 * seen))


def test_matured_visitors_count_as_they_stand() -> None:
    cells = _both(a=30, b=50, n=500)
    curve = DelayCurve((0.5, 1.0))
    later = _FIRST + 1 + _WINDOW_DAYS
    corrected = _inputs(_experiment(), cells, now_day=later, curve=curve)
    assert corrected == _inputs(_experiment(), cells, now_day=later)


def test_a_visitor_counts_half_after_a_half_life() -> None:
    forgetting = _experiment(policy={"kind": "thompson", "half_life": "7d"})
    cells = [*_both(a=80, b=40, n=800), *_both(a=20, b=40, n=400, day=_FIRST + 7)]
    arms = _inputs(forgetting, cells, now_day=_FIRST + 8)[_SEGMENT].arms
    recent = 0.5 ** (0.5 / 7)
    assert arms["a"].goal.n == pytest.approx(recent * (400 + 800 / 2))
    assert arms["a"].goal.mean == pytest.approx((20 + 80 / 2) / 800)
    assert arms["b"].goal.mean == pytest.approx((40 + 40 / 2) / 800)
    assert arms["b"].profit.mean == pytest.approx(20 * (40 + 40 / 2) / 800 - 0.5)
    assert arms["a"].visitors == 1200


def test_what_is_long_forgotten_leaves_no_arm_without_an_answer() -> None:
    forgetting = _experiment(policy={"kind": "thompson", "half_life": "1h"})
    arms = _inputs(forgetting, _both(a=80, b=40, n=800), now_day=_FIRST + 400)[_SEGMENT].arms
    assert arms["a"].goal.effective_n == arms["b"].profit.effective_n == 0
    assert arms["a"].visitors == 800


def test_an_epoch_tells_ages_more_closely_than_its_day() -> None:
    weighing = Weighing({1: _FIRST * DAY, 2: _FIRST * DAY + 12 * HOUR}, 86_400, DelayCurve((0.5, 1.0)), None,
                        _FIRST * DAY + 24 * HOUR)
    weights = weighing.weights([(1, _FIRST), (2, _FIRST), (1, _FIRST + 1)])
    assert weights[1, _FIRST].matured == pytest.approx(0.75)
    assert weights[2, _FIRST].matured == pytest.approx(weighing.curve.matured(0, 0.5))  # type: ignore[union-attr]
    # With a token of an epoch that has ended: all that is known is the day.
    assert weights[1, _FIRST + 1].matured == 0


def test_too_few_matured_conversions_give_no_curve() -> None:
    goal = _experiment().goal
    lags = {(_FIRST, 0): 50, (_FIRST, 200): 49, (_FIRST + 1, 3): 500}
    closed = (_FIRST + 1 + _WINDOW_DAYS) * DAY
    assert goal_curve(goal, lags, now_ms=closed) is None
    assert goal_curve(goal, {**lags, (_FIRST, 200): 50}, now_ms=closed) is not None
    assert goal_curve(goal, {**lags, (_FIRST, 200): 50}, now_ms=closed - 1) is None
    assert goal_curve(goal, {}, now_ms=closed) is None


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


def _serve(house: House, key: str, *, prefix: str, converting: int, of: int) -> None:
    names = [f"{prefix}{index}" for index in range(of)]
    house.record(*(house.exposure(key, name) for name in names))
    house.now_ms += HOUR
    house.record(*(house.event(name, "Signed Up") for name in names[:converting]))


@pytest.mark.parametrize("asked", [{"maturity": "corrected"}, {}])
def test_a_correction_waits_for_a_hundred_matured_conversions_and_the_report_says_so(
    house: House, asked: dict[str, str]
) -> None:
    policy = {"kind": "thompson", "burn_in": 0, "burn_in_conversions": 0, **asked}
    key = house.start(tiny(arms=_TWO, policy=policy))
    _serve(house, key, prefix="old", converting=100, of=150)
    house.now_ms += 13 * DAY
    _serve(house, key, prefix="new", converting=30, of=40)
    house.reallocate(key)
    method = house.report(key)["method"]
    assert (method["maturity"], method["policy"]["maturity"]) == ("observed", asked.get("maturity"))
    house.now_ms += 2 * DAY
    assert house.report(key)["method"]["maturity"] == "corrected"
    inputs = ledger_json(house.reallocate(key))["inputs"][_SEGMENT]
    assert inputs[0] == 130
    assert sum(arm[0] for arm in inputs[1].values()) == 190
    assert verify(house.store) == []
    # The report counts everybody.
    assert sum(row["visitors"] for row in house.report(key)["arms"] if row["segment"] == _SEGMENT) == 190
