"""The chart of effects: how much more an arm brings than another inside of each proposed segment, and elsewhere."""

from collections.abc import Sequence
from typing import Any

from service.charts import Spec
from service.charts import base
from service.forest import intervals
from service.forest import means
from service.forest import names
from service.forest import ticks
from service.forest import zero_line
from service.palette import INK
from service.palette import MUTED


def effects_chart(effects: Sequence[tuple[str, float, float, float]], *, title: str, width: int = 560) -> Spec:
    """Effects in percent: name, low, mean, high of each, a segment and the rest by turns, from the top down."""
    rows = [
        {**dict(zip(("where", "low", "mean", "high"), effect, strict=True)), "colour": (INK, MUTED)[place % 2]}
        for place, effect in enumerate(effects)
    ]
    colour = {"field": "colour", "type": "nominal", "scale": None}
    return base("What the messages do in each segment and elsewhere", _words(rows, title=title)) | {
        "width": width,
        "height": {"step": 30},
        "data": {"values": rows},
        "encoding": {"y": names("where", width=width), "color": colour},
        "layer": [zero_line(), intervals(title=title, ticks=ticks(width)), means()],
    }


def _words(rows: Sequence[dict[str, Any]], *, title: str) -> str:
    return " ".join([
        f"{title}:",
        *(f"{row['where']} {row['mean']:+.3g} ({row['low']:.3g} to {row['high']:.3g})." for row in rows),
    ])
