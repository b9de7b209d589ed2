"""How sure a report is of its arms, as curves that a chart can draw: the posteriors of the goal. Pure."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from itertools import groupby
from typing import Any
from typing import NamedTuple

import numpy as np

from service.report.units import Units
from stats.posteriors import BetaPosterior
from stats.posteriors import NormalPosterior
from stats.posteriors import Posterior

_POINTS = 56
# So many standard deviations from its mean a curve lies on the ground.
_REACH = 3.7


class Curve(NamedTuple):
    """One arm's curve: its mean, its interval, and the height over each value, 1 for the segment's highest peak."""

    segment: str
    arm: str
    role: str
    call: str
    mean: float
    low: float
    high: float
    values: tuple[float, ...]
    heights: tuple[float, ...]


class Densities(NamedTuple):
    """The curves of segments of which enough was seen, and the other segments that were to be drawn."""

    curves: tuple[Curve, ...]
    thin: tuple[str, ...]


def densities(report: Mapping[str, Any], units: Units) -> Densities:
    """The curves of a report's mass and tailored arms in each segment of its verdict.

    Segments that are still dividing evenly, for want of visitors or of conversions, have none.
    """
    call_by_segment = {segment["segment"]: segment["call"] for segment in report["verdict"]["segments"]}
    curves: list[Curve] = []
    thin: list[str] = []
    for segment, rows in groupby(report["arms"], key=lambda row: row["segment"]):
        candidates = [row for row in rows if row["role"] != "control"]
        if segment not in call_by_segment:
            continue
        if _is_thin(report, candidates, units):
            thin.append(segment)
        else:
            curves += _curves(candidates, units.goal, call=call_by_segment[segment])
    return Densities(tuple(curves), tuple(thin))


def _is_thin(report: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], units: Units) -> bool:
    policy = report["method"]["policy"]
    if any(row["suppressed"] or row["visitors"] < policy["burn_in"] for row in rows):
        return True
    conversions = sum(row["metrics"][units.goal]["sum"] for row in rows)
    return bool(units.is_rate and conversions < policy["burn_in_conversions"])


def _curves(rows: Sequence[Mapping[str, Any]], goal: str, *, call: str) -> Iterator[Curve]:
    posteriors = [_posterior(row["metrics"][goal]["posterior"]) for row in rows]
    grids = [_grid(posterior) for posterior in posteriors]
    drawn = [posterior.density(grid) for posterior, grid in zip(posteriors, grids, strict=True)]
    peak = max(float(heights.max()) for heights in drawn)
    for row, grid, heights in zip(rows, grids, drawn, strict=True):
        figures = row["metrics"][goal]
        yield Curve(
            row["segment"], row["arm"], row["role"], call, figures["mean"], figures["low"], figures["high"],
            tuple(grid.tolist()), tuple((heights / peak).tolist()),
        )


def _posterior(shape: Mapping[str, Any]) -> Posterior:
    if shape["kind"] == "beta":
        return BetaPosterior(shape["alpha"], shape["beta"])
    return NormalPosterior(shape["mean"], shape["sd"])


def _grid(posterior: Posterior) -> np.ndarray[Any, np.dtype[np.float64]]:
    low, high = posterior.mean - _REACH * posterior.sd, posterior.mean + _REACH * posterior.sd
    if isinstance(posterior, BetaPosterior):
        low, high = max(low, 0.0), min(high, 1.0)
    return np.linspace(low, high, _POINTS)
