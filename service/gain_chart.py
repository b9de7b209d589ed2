"""The chart of gains: what tailoring adds in each segment, against zero (a forest plot)."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from service.charts import Spec
from service.charts import base
from service.palette import CALL_COLOURS
from service.palette import INK
from service.palette import MUTED

_CALL_WORDS = {"tailor": "tailor", "mass": "one message", "keep_testing": "keep testing", "none": "no message pays"}


def gain_chart(
    segments: Sequence[Mapping[str, Any]], *, title: str, scale: float = 1.0, width: int = 640
) -> Spec:
    """What tailoring gains in each segment: mean and interval against zero, coloured by the call.

    `segments` are those of the verdict; ones without a gain are left out. Figures are multiplied by `scale`.
    """
    rows = [_row(segment, scale=scale) for segment in segments if segment["gain"]]
    return base("Gain in each segment", _words(rows, title=title)) | {
        "width": width,
        "height": {"step": 30},
        "data": {"values": rows},
        "encoding": {
            "y": {
                "field": "segment", "type": "nominal", "sort": None, "title": None,
                "axis": {
                    "domain": False, "ticks": False, "labelLimit": max(110, width * 0.36),
                    "labelColor": INK, "labelFontSize": 12,
                },
            },
            "color": {
                "field": "call", "type": "nominal", "legend": None,
                "scale": {"domain": list(CALL_COLOURS), "range": list(CALL_COLOURS.values())},
            },
        },
        "layer": [_zero_line(), _intervals(title=title, ticks=max(3, width // 110)), _means(), _calls(width=width)],
    }


def _row(segment: Mapping[str, Any], *, scale: float) -> Spec:
    figures = {name: segment["gain"][name] * scale for name in ("low", "mean", "high")}
    return {"segment": segment["segment"], "call": segment["call"], "word": _CALL_WORDS[segment["call"]], **figures}


def _zero_line() -> Spec:
    return {"mark": {"type": "rule", "color": MUTED, "strokeDash": [3, 3]}, "encoding": {
        "x": {"datum": 0}, "y": None, "color": None,
    }}


def _intervals(*, title: str, ticks: int) -> Spec:
    return {"mark": {"type": "rule", "strokeWidth": 3, "strokeCap": "round"}, "encoding": {
        "x": {
            "field": "low", "type": "quantitative", "title": title,
            "scale": {"nice": False, "padding": 14},
            "axis": {
                "labelExpr": "datum.value ? format(datum.value, '+~g') : '0'", "tickCount": ticks, "domain": False,
                "ticks": False, "labelOverlap": True,
            },
        },
        "x2": {"field": "high"},
    }}


def _means() -> Spec:
    return {"mark": {"type": "point", "filled": True, "size": 90, "opacity": 1}, "encoding": {
        "x": {"field": "mean", "type": "quantitative"},
    }}


def _calls(*, width: int) -> Spec:
    """The calls in a column beside the drawing."""
    return {"mark": {"type": "text", "align": "left", "baseline": "middle", "dx": 8, "color": MUTED}, "encoding": {
        "x": {"value": width}, "text": {"field": "word", "type": "nominal"}, "color": None,
    }}


def _words(rows: Sequence[Spec], *, title: str) -> str:
    return " ".join([
        f"{title}:",
        *(f"{row['segment']} {row['mean']:+.3g} ({_range(row)}), {row['word']}." for row in rows),
    ])


def _range(row: Spec) -> str:
    return f"{row['low']:.3g} to {row['high']:.3g}"
