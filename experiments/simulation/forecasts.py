"""Forecasts: what many simulated campaigns of one policy say together. Pure."""

import math
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.simulation.outcomes import Called
from experiments.simulation.outcomes import Outcome
from experiments.simulation.outcomes import Takings
from experiments.simulation.truth import Truth

Array = NDArray[np.float64]

#: The part of the campaigns that a range leaves out at each end.
_TAIL = 0.1


@dataclass(frozen=True)
class Days:
    """Days to a verdict: the median, and the range of the middle 80 % of campaigns; None where the end comes first."""

    median: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class SegmentForecast:
    """A segment: the calls that are true of it, the chances of a true, a false and no verdict, and the days to one."""

    segment: str
    right_calls: tuple[str, ...]
    right: float
    wrong: float
    undecided: float
    days: Days


@dataclass(frozen=True)
class TakingsForecast:
    """Conversions, a goal's total, or profit: the mean, how much an even split has less, and the error of that."""

    mean: float
    won: float
    error: float


@dataclass(frozen=True)
class Forecast:
    """A policy.

    Attributes:
        days: until every segment has a verdict.
        right: the chance that every segment has a true one.
        wrong: that some segment has a false one.
        goals, profit: of the visitors who came; profit without fixed costs, None where the goal has no worth.
        cost: of the exposures.
        moved: the chance that weights move at all.
    """

    policy: str
    days: Days
    right: float
    wrong: float
    segments: tuple[SegmentForecast, ...]
    goals: TakingsForecast
    profit: TakingsForecast | None
    cost: float
    moved: float


def forecast(policy: str, outcomes: Sequence[Outcome], truth: Truth) -> Forecast:
    """The forecast of a policy from its campaigns."""
    called = [[outcome.called.get(segment) for segment in truth.tailored] for outcome in outcomes]
    profits = [outcome.profit for outcome in outcomes if outcome.profit is not None]
    return Forecast(
        policy,
        _days([max((_day(call) for call in row), default=math.inf) for row in called]),
        right=_share(bool(row) and all(call is not None and call.is_right for call in row) for row in called),
        wrong=_share(any(call is not None and not call.is_right for call in row) for row in called),
        segments=tuple(
            _segment(segment, [outcome.called.get(segment) for outcome in outcomes], truth)
            for segment in truth.tailored
        ),
        goals=_takings([outcome.goals for outcome in outcomes]),
        profit=_takings(profits) if profits else None,
        cost=float(np.mean([outcome.cost for outcome in outcomes])),
        moved=_share(outcome.moves > 0 for outcome in outcomes),
    )


def _segment(segment: str, called: Sequence[Called | None], truth: Truth) -> SegmentForecast:
    return SegmentForecast(
        segment,
        truth.right(segment),
        right=_share(call is not None and call.is_right for call in called),
        wrong=_share(call is not None and not call.is_right for call in called),
        undecided=_share(call is None for call in called),
        days=_days([_day(call) for call in called]),
    )


def _day(call: Called | None) -> float:
    return math.inf if call is None else call.day


def _days(days: Sequence[float]) -> Days:
    # Of two days with nothing between them the later: a verdict that does not come has no day to average.
    found = np.quantile(np.array(days), [0.5, _TAIL, 1 - _TAIL], method="higher").tolist()
    return Days(*(day if math.isfinite(day) else None for day in found))


def _share(flags: Iterable[bool]) -> float:
    return float(np.mean(list(flags)))


def _takings(takings: Sequence[Takings]) -> TakingsForecast:
    total, won = np.array(takings, np.float64).T
    return TakingsForecast(float(total.mean()), float(won.mean()), float(won.std() / math.sqrt(len(won))))
