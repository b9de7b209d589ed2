"""Savings: what moving traffic has earned over dividing it evenly."""

import pytest

from experiments.beliefs import Beliefs
from experiments.columns import Cell
from experiments.columns import by_metric
from experiments.counting import EXPOSURES
from experiments.counting import PROFIT
from experiments.document import parse_document
from experiments.estimates import columns_by_metric
from experiments.estimates import corrected
from experiments.model import Allocation
from experiments.model import Experiment
from experiments.model import StoredExperiment
from experiments.readings import Readings
from experiments.savings import Saved
from experiments.savings import savings
from tests.experiments.documents import tiny

_SEGMENT = "everyone-else"
_ARMS = [{"key": "none", "role": "control"}, {"key": "a", "role": "mass"}, {"key": "b", "role": "mass"}]


def _experiment(**changes: object) -> Experiment:
    goal = {"key": "signup", "event": "Signed Up", "kind": "conversion", "role": "goal", "value": 20}
    return parse_document(tiny(arms=_ARMS, control_share=0.1, metrics=[goal], **changes))


def _saved(
    experiment: Experiment, epochs: list[tuple[dict[str, int], int]], rates: dict[str, float], *,
    segments: tuple[str, ...] = (_SEGMENT,), min_cell: int = 0,
) -> list[Saved]:
    """Each epoch is a day with weights and visitors, who come and convert exactly as weights and rates say."""
    allocations = {day: Allocation(day, {_SEGMENT: weights}) for day, (weights, _) in enumerate(epochs, start=1)}
    cells: list[Cell] = []
    for day, (weights, visitors) in enumerate(epochs, start=1):
        for arm, weight in weights.items():
            n = visitors * weight / 10_000
            won = n * rates[arm]
            cells.append(("signup", day, day, _SEGMENT, arm, n, won, won))
            cells.append((EXPOSURES, day, day, _SEGMENT, arm, n, n, n))
            cells.append((PROFIT, day, day, _SEGMENT, arm, n, won * 20_000_000, won * 20_000_000**2))
    stored = StoredExperiment(experiment, {}, "running", 0)
    readings = Readings(stored, by_metric(cells), allocations, {}, 0, 0, 0)
    columns = columns_by_metric(readings)
    return savings(
        experiment, Beliefs(experiment, corrected(readings, columns)), columns[EXPOSURES], allocations,
        segments=segments, min_cell=min_cell,
    )


def test_an_even_split_saves_nothing() -> None:
    even = {"none": 1000, "a": 4500, "b": 4500}
    saved = _saved(_experiment(), [(even, 10_000)] * 3, dict(none=0.1, a=0.1, b=0.2))
    assert [one.gain.mean for one in saved] == [0, 0, 0]


def test_traffic_that_went_to_the_better_arm_saved_the_difference_of_rates() -> None:
    even, moved = {"none": 1000, "a": 4500, "b": 4500}, {"none": 1000, "a": 1500, "b": 7500}
    saved = _saved(_experiment(), [(even, 100_000), (moved, 100_000), (moved, 50_000)], dict(none=0.0, a=0.1, b=0.2))
    assert [one.day for one in saved] == [1, 2, 3]
    # 30 % of the visitors, at a tenth more each.
    assert [one.gain.mean for one in saved] == pytest.approx([0, 3000, 4500], rel=0.01)
    assert saved[-1].gain.low < 4500 < saved[-1].gain.high
    assert saved[-1].gain.high - saved[-1].gain.low < 1000


def test_a_control_keeps_its_share_in_both_and_saves_nothing() -> None:
    moved = {"none": 1000, "a": 8900, "b": 100}
    low, high = (_saved(_experiment(), [(moved, 50_000)], dict(none=rate, a=0.1, b=0.1)) for rate in (0.0, 0.9))
    assert low[0].gain.mean == pytest.approx(high[0].gain.mean, abs=1)


def test_savings_are_money_where_the_objective_is() -> None:
    even, moved = {"none": 1000, "a": 4500, "b": 4500}, {"none": 1000, "a": 1500, "b": 7500}
    epochs = [(even, 100_000), (moved, 100_000)]
    conversions = _saved(_experiment(), epochs, dict(none=0.0, a=0.1, b=0.2))[-1].gain.mean
    for objective in ("revenue", "profit"):
        money = _saved(_experiment(objective=objective), epochs, dict(none=0.0, a=0.1, b=0.2))[-1].gain.mean
        assert money == pytest.approx(20 * conversions, rel=0.01)


def test_before_anybody_came_nothing_is_told() -> None:
    assert _saved(_experiment(), [], {}) == []


def test_days_of_few_visitors_are_told_with_the_next() -> None:
    moved = {"none": 1000, "a": 1500, "b": 7500}
    epochs = [(moved, 10_000), (moved, 20), (moved, 20), (moved, 10_000), (moved, 20)]
    rates = dict(none=0.0, a=0.1, b=0.2)
    every, told = _saved(_experiment(), epochs, rates), _saved(_experiment(), epochs, rates, min_cell=50)
    assert [one.day for one in every] == [1, 2, 3, 4, 5]
    assert told == [every[0], every[3]]


def test_segments_that_are_not_asked_for_save_nothing() -> None:
    moved = {"none": 1000, "a": 1500, "b": 7500}
    assert _saved(_experiment(), [(moved, 10_000)], dict(none=0.0, a=0.1, b=0.2), segments=()) == []
