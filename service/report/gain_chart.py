"""The chart of gains: what tailoring adds in each segment, against zero (a forest plot)."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from service.charts import Spec
from service.charts import base
from service.forest import framed
from service.forest import intervals
from service.forest import means
from service.forest import names
from service.forest import ticks
from service.forest import zero_line
from service.palette import CALL_COLOURS
from service.palette import MUTED

_CALL_WORDS = {"tailor": "tailor", "mass": "one message", "keep_testing": "keep testing", "none": "no message pays"}


def gain_chart(
    segments: Sequence[Mapping[str, Any]], *, title: str, scale: float = 1.0, width: int = 640
) -> Spec:
    """What tailoring gains in each segment: mean and interval against zero, coloured by the call.

    `segments` are those of the verdict; ones without a gain are left out. Figures are multiplied by `scale`.
    """
    rows = [_row(segment, scale=scale) for segment in segments if segment["gain"]]
    return framed(base("Gain in each segment", _words(rows, title=title)), width=width) | {
        "data": {"values": rows},
        "encoding": {
            "y": names("segment", width=width),
            "color": {
                "field": "call", "type": "nominal", "legend": None,
                "scale": {"domain": list(CALL_COLOURS), "range": list(CALL_COLOURS.values())},
            },
        },
        "layer": [zero_line(), intervals(title=title, ticks=ticks(width)), means(), _calls(width=width)],
    }


def _row(segment: Mapping[str, Any], *, scale: float) -> Spec:
    figures = {name: segment["gain"][name] * scale for name in ("low", "mean", "high")}
    return {"segment": segment["segment"], "call": segment["call"], "word": _CALL_WORDS[segment["call"]], **figures}


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
