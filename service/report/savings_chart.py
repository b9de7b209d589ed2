"""The chart of savings: what moving traffic has earned so far over an even split."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from service.charts import Spec
from service.charts import base
from service.palette import MUTED
from service.palette import SAVED
from service.wording import Unit
from service.wording import between
from service.wording import decimals_for
from service.wording import signed


def savings_chart(days: Sequence[Mapping[str, Any]], *, title: str, unit: Unit, width: int = 640) -> Spec:
    """What was saved up to the end of each day, with its interval; grey as long as that holds zero."""
    rows = [{"day": day["day"]} | {name: day[name] * unit.scale for name in ("low", "mean", "high")} for day in days]
    ink = SAVED if rows and (rows[-1]["low"] > 0 or rows[-1]["high"] < 0) else MUTED
    return base("Saved by moving traffic", _words(days, title, unit)) | {
        "width": width,
        "height": 150,
        "data": {"values": rows},
        "encoding": {"x": {
            "field": "day", "type": "temporal", "scale": {"type": "utc", "nice": False}, "title": None,
            "axis": {"grid": False, "format": "%-d %b", "tickCount": max(2, min(len(rows), width // 90)),
                     "labelOverlap": True},
        }},
        "layer": [_zero(), _band(title, ink), _line(ink), _newest(days[-1:], unit)],
    }


def _zero() -> Spec:
    return {"mark": {"type": "rule", "color": MUTED, "strokeDash": [3, 3]}, "encoding": {"x": None, "y": {"datum": 0}}}


def _band(title: str, ink: str) -> Spec:
    return {"mark": {"type": "area", "color": ink, "opacity": 0.2}, "encoding": {
        "y": {
            "field": "low", "type": "quantitative", "title": title,
            "axis": {
                "labelExpr": "datum.value ? format(datum.value, '+,~g') : '0'", "tickCount": 4, "domain": False,
                "ticks": False,
            },
        },
        "y2": {"field": "high"},
    }}


def _line(ink: str) -> Spec:
    return {"mark": {"type": "line", "color": ink, "strokeWidth": 2.5}, "encoding": {
        "y": {"field": "mean", "type": "quantitative"},
    }}


def _newest(days: Sequence[Mapping[str, Any]], unit: Unit) -> Spec:
    """The newest figure at the end of the line."""
    marks = [{"day": day["day"], "mean": day["mean"] * unit.scale, "label": _figure(day, unit)} for day in days]
    return {
        "data": {"values": marks},
        "mark": {"type": "text", "align": "left", "dx": 6, "fontWeight": 600},
        "encoding": {
            "y": {"field": "mean", "type": "quantitative"}, "text": {"field": "label", "type": "nominal"},
        },
    }


def _figure(day: Mapping[str, Any], unit: Unit) -> str:
    return signed(day["mean"], unit, decimals=decimals_for([day], unit))


def _words(days: Sequence[Mapping[str, Any]], title: str, unit: Unit) -> str:
    if not days:
        return f"{title}: nothing yet."
    newest = days[-1]
    interval = between(newest, unit, decimals=decimals_for([newest], unit))
    return f"{title} from {days[0]['day']} to {newest['day']}: {_figure(newest, unit)} ({interval})."
