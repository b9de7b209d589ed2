"""The chart of how sure a report is: the posterior of each arm, one small multiple for each segment."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from service.charts import Spec
from service.charts import base
from service.charts import by_segment
from service.charts import largest
from service.palette import UNSETTLED
from service.report.densities import Curve
from service.wording import Unit
from service.wording import between
from service.wording import decimals_for
from service.wording import written

#: Calls that settle a segment; elsewhere no curve has an arm's colour.
_SETTLED = ("tailor", "mass")

# Heights of 1 are curves; above them stands a line of text for each arm.
_LINE_OF_TEXT = 0.2
_LONGEST_LABEL = 18

_AXIS = {"grid": False, "tickCount": 4, "labelOverlap": True}


def density_chart(
    curves: Sequence[Curve],
    *,
    colour_by_arm: Mapping[str, str],
    share_by_segment: Mapping[str, float],
    unit: Unit,
    columns: int = 3,
    width: int = 226,
) -> Spec:
    """How sure one can be of each arm's mean: where the curves of two arms part, one is better.

    Drawn are the largest segments, all on one scale. In those that are not settled no arm has its colour.
    """
    shown = largest((curve.segment for curve in curves), share=share_by_segment)
    drawn = [curve for curve in curves if curve.segment in shown]
    multiples = {segment: [curve for curve in drawn if curve.segment == segment] for segment in shown}
    most = max(map(len, multiples.values()), default=1)
    marks = [
        mark | {"place": place, "segment": segment}
        for place, (segment, group) in enumerate(multiples.items())
        for mark in _marks(group, colour_by_arm, unit, side=_side(group, drawn))
    ]
    top = 1 + _LINE_OF_TEXT * (most + 0.5)
    return base("How sure this is", _words(drawn, unit)) | {
        "data": {"values": marks},
        "facet": by_segment(width=width),
        "columns": min(columns, max(1, len(shown))),
        "spacing": {"row": 22, "column": 26},
        "spec": {"width": width, "height": 78 + 16 * most, "layer": [_areas(unit, top), _leaders(), *_labels()]},
        "resolve": {"axis": {"x": "independent"}},
    }


def _marks(
    curves: Sequence[Curve], colour_by_arm: Mapping[str, str], unit: Unit, *, side: str
) -> Iterator[dict[str, Any]]:
    """Each curve's points, and where its name stands: in lines that no leader of another crosses."""
    lines = sorted(range(len(curves)), key=lambda index: curves[index].mean, reverse=side == "left")
    for index, curve in enumerate(curves):
        ink = colour_by_arm[curve.arm] if curve.call in _SETTLED else UNSETTLED[index % len(UNSETTLED)]
        mark = {"arm": curve.arm, "ink": ink}
        for value, height in zip(curve.values, curve.heights, strict=True):
            yield mark | {"value": _figure(value, unit), "height": round(height, 3)}
        yield mark | {
            "at": _figure(curve.mean, unit), "peak": round(max(curve.heights), 3), "label": _label(curve, unit),
            "line": round(1 + _LINE_OF_TEXT * (lines.index(index) + 0.7), 3), "side": side,
        }


def _side(curves: Sequence[Curve], drawn: Sequence[Curve]) -> str:
    """The side of its leader on which a name begins: names run to where there is more room."""
    left, right = min(curve.values[0] for curve in drawn), max(curve.values[-1] for curve in drawn)
    middle = sum(curve.mean for curve in curves) / len(curves)
    return "left" if middle <= (left + right) / 2 else "right"


def _figure(value: float, unit: Unit) -> float:
    return float(f"{value * unit.scale:.5g}")


def _label(curve: Curve, unit: Unit) -> str:
    name = curve.arm if len(curve.arm) <= _LONGEST_LABEL else curve.arm[: _LONGEST_LABEL - 1] + "…"
    return f"{name} {written(curve.mean, unit, decimals=decimals_for([_interval(curve)], unit))}"


def _interval(curve: Curve) -> dict[str, float]:
    return {"low": curve.low, "high": curve.high}


def _areas(unit: Unit, top: float) -> Spec:
    return {
        "transform": [{"filter": "isValid(datum.height)"}],
        "mark": {"type": "area", "line": {"strokeWidth": 2}, "fillOpacity": 0.22},
        "encoding": {
            "x": {
                "field": "value", "type": "quantitative", "scale": {"zero": False, "nice": False}, "title": None,
                "axis": _AXIS | {"labelExpr": f"datum.label + '{unit.after}'"},
            },
            "y": {
                "field": "height", "type": "quantitative", "scale": {"domain": [0, top]}, "axis": None, "stack": None,
            },
            **_inks("arm"),
        },
    }


def _inks(detail: str) -> Spec:
    return {
        "color": {"field": "ink", "type": "nominal", "scale": None, "legend": None},
        "detail": {"field": detail, "type": "nominal"},
    }


def _leaders() -> Spec:
    """From a curve's mean up to its name."""
    return {
        "transform": [{"filter": "isValid(datum.label)"}],
        "mark": {"type": "rule", "strokeDash": [2, 2]},
        "encoding": {
            "x": {"field": "at", "type": "quantitative"},
            "y": {"field": "peak", "type": "quantitative"}, "y2": {"field": "line"},
            **_inks("arm"),
        },
    }


def _labels() -> Iterator[Spec]:
    """Names, to the right of their leaders or to the left."""
    for side, dx in (("left", 4), ("right", -4)):
        yield {
            "transform": [{"filter": f"datum.side === '{side}'"}],
            "mark": {"type": "text", "align": side, "baseline": "middle", "dx": dx},
            "encoding": {
                "x": {"field": "at", "type": "quantitative"}, "y": {"field": "line", "type": "quantitative"},
                "text": {"field": "label", "type": "nominal"},
            },
        }


def _words(curves: Sequence[Curve], unit: Unit) -> str:
    return " ".join([
        "What each arm may truly bring per visitor:",
        *(
            f"{segment}: {', '.join(_curve_words(curve, unit) for curve in group)}."
            for segment, group in groupby(curves, key=lambda curve: curve.segment)
        ),
    ])


def _curve_words(curve: Curve, unit: Unit) -> str:
    decimals = decimals_for([_interval(curve)], unit)
    interval = between(_interval(curve), unit, decimals=decimals)
    return f"{curve.arm} {written(curve.mean, unit, decimals=decimals)} ({interval})"
