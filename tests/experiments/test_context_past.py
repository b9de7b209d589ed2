"""The what-if by context: what attributes inside of segments would have earned, chosen by one half for the other."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from experiments.columns import Cell
from experiments.columns import by_metric
from experiments.counting import PROFIT
from experiments.document import parse_document
from experiments.model import Allocation
from experiments.model import StoredExperiment
from experiments.readings import Readings
from experiments.replay.alternatives import Alternative
from experiments.replay.records import Replay
from experiments.replay.records import replay_of
from experiments.storage.contexts import ContextRow
from experiments.times import DAY_MS
from tests.experiments.documents import tiny

_YOUNG, _OLD, _NOBODY_KNOWS = '{"old":false}', '{"old":true}', "{}"
_EVEN = {"nothing": 2000, "first": 4000, "second": 4000}
#: Of those who sign up: the young like the first message, the old the second, and so many the first
#: that it is the segment's best by any half.
_TASTES = {
    _YOUNG: {"nothing": 0.05, "first": 0.3, "second": 0.1},
    _OLD: {"nothing": 0.05, "first": 0.1, "second": 0.2},
    _NOBODY_KNOWS: {"nothing": 0.05, "first": 0.3, "second": 0.1},
}
_ALIKE = dict.fromkeys(_TASTES, {"nothing": 0.05, "first": 0.15, "second": 0.12})
#: A fifth of the visitors is not known.
_SHARES = {_YOUNG: 0.4, _OLD: 0.4, _NOBODY_KNOWS: 0.2}


def asked(
    rates: Mapping[str, Mapping[str, float]], *, visitors: int = 6000, seed: int = 1, kept: float = 1.0,
    shares: Mapping[str, float] = _SHARES, weights: Mapping[str, dict[str, int]] | None = None, min_cell: int = 0,
) -> Replay:
    """The what-if of a campaign of four days; `weights` are those of contexts, of whose rows a share is still kept."""
    rng = np.random.default_rng(seed)
    allocation = Allocation(1, {"everyone-else": _EVEN}, {"everyone-else": weights or {}})
    cells: list[Cell] = []
    rows: list[ContextRow] = []
    for context, share in shares.items():
        chances = np.array(list(allocation.of("everyone-else", context).values())) / 10_000
        for day in range(4):
            for arm, n in zip(_EVEN, rng.multinomial(round(visitors * share / 4), chances), strict=True):
                halves = [int(n) // 2, int(n) - int(n) // 2]
                for half, size in enumerate(halves):
                    won = int(rng.binomial(size, rates[context][arm]))
                    cells.append(("signup", 1, day, "everyone-else", arm, float(size), won, won, context))
                    cells.append((PROFIT, 1, day, "everyone-else", arm, float(size), 0.0, 0.0, context))
                    if size and rng.random() < kept:
                        rows.append(ContextRow(context, "everyone-else", arm, 1, half, size, won, won))
    found = parse_document(tiny(**document()))
    readings = Readings(
        StoredExperiment(found, {}, "running", 0), by_metric(cells), {1: allocation}, {}, 0, 0, 200 * DAY_MS
    )
    return replay_of(readings, rows=rows, min_cell=min_cell)


def document(**changes: Any) -> dict[str, Any]:
    return {
        "attributes": {"old": {"type": "boolean", "store": True}},
        "control_share": 0.2,
        "arms": [
            {"key": "nothing", "role": "control"},
            {"key": "first", "role": "mass"},
            {"key": "second", "role": "mass"},
        ],
        **changes,
    }


def of(found: Replay, policy: str) -> Alternative:
    return next(one for one in found.alternatives if one.policy == policy)


def test_attributes_that_matter_inside_of_a_segment_are_worth_more_than_the_segment_alone() -> None:
    covered, over, means, truth = [], [], [], 0.4 * 0.3 + 0.4 * 0.2 + 0.2 * 0.3
    for seed in range(40):
        found = asked(_TASTES, seed=seed)
        by_context, best = of(found, "best_by_context"), of(found, "best")
        worth = by_context.worth["goal"]
        covered.append(worth.low <= truth <= worth.high)
        means.append(worth.mean)
        over.append(by_context.over_best)
        assert worth.mean > best.worth["goal"].mean and worth.gain is not None and worth.gain.low > 0
        assert abs(worth.self_normalised - worth.mean) < 0.02
        assert by_context.choices == {f"everyone-else: {_YOUNG}": "first", f"everyone-else: {_OLD}": "second"}
    # Of 40 intervals 38 hold the truth; four standard deviations are 5.5.
    assert sum(covered) >= 33
    assert abs(np.mean(means) - truth) < 4 * np.std(means) / np.sqrt(40)
    assert all(one is not None and one.low > 0 for one in over)
    # The segment's best is the first message, with which 40 % of the visitors fall short by .1.
    assert np.mean([one.mean for one in over if one]) == pytest.approx(0.04, abs=0.004)


def test_attributes_that_do_not_matter_are_not_called_better() -> None:
    over = [of(asked(_ALIKE, seed=seed), "best_by_context").over_best for seed in range(40)]
    assert all(one is not None for one in over)
    assert sum(one.low > 0 for one in over if one) <= 4
    # What is chosen in vain costs something, and gains nothing.
    assert np.mean([one.mean for one in over if one]) < 0.001


def test_visitors_count_by_the_weights_of_their_context() -> None:
    weights = {
        _YOUNG: {"nothing": 2000, "first": 7000, "second": 1000}, _OLD: {"nothing": 2000, "first": 1000, "second": 7000}
    }
    found = of(asked(_TASTES, visitors=20_000, weights=weights), "best_by_context")
    worth = found.worth["goal"]
    assert worth.low < 0.26 < worth.high and worth.high - worth.low < 0.03
    assert found.over_best is not None and found.over_best.low < 0.04 < found.over_best.high


def test_an_arm_that_was_closed_to_a_context_is_not_guessed_at() -> None:
    weights = {_OLD: {"nothing": 2000, "first": 8000, "second": 0}}
    found = asked({**_TASTES, _OLD: _TASTES[_YOUNG], _YOUNG: _TASTES[_OLD]}, weights=weights)
    by_context = of(found, "best_by_context")
    # The best for the old is open to them, and what nobody may have is not asked for.
    assert by_context.unanswered is None
    closed = of(asked({**_TASTES, _NOBODY_KNOWS: _TASTES[_OLD]}, weights={_YOUNG: weights[_OLD]}, shares={
        _YOUNG: 0.02, _OLD: 0.5, _NOBODY_KNOWS: 0.48
    }), "best_by_context")
    assert closed.unanswered is not None and closed.unanswered.code == "unreachable"
    assert "second in everyone-else: all others" in closed.unanswered.detail


def test_rows_that_are_gone_and_contexts_that_are_small_are_not_answered_for() -> None:
    gone = of(asked(_TASTES, kept=0.5), "best_by_context")
    assert gone.unanswered is not None and gone.unanswered.code == "not_stored"
    assert gone.unanswered.detail.endswith("of 6,000 visitors are in this database, must be 90%")
    none = of(asked(_TASTES, kept=0), "best_by_context")
    assert none.unanswered is not None and none.unanswered.detail.startswith("the rows of 0 of 6,000")
    small = of(asked(_TASTES, visitors=400), "best_by_context")
    assert small.unanswered is not None and small.unanswered.code == "too_few_visitors"
    hidden = of(asked(_TASTES, min_cell=3000), "best_by_context")
    assert hidden.unanswered is not None and hidden.choices == {} and hidden.worth == {}
