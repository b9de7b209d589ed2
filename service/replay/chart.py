"""The chart of alternatives: what each policy gains over one message for everybody, against zero (a forest plot)."""

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
from service.palette import MUTED


def alternatives_chart(
    gains: Sequence[tuple[str, float, float, float]], *, title: str, width: int = 560,
    heading: str = "What other policies would have brought",
) -> Spec:
    """The gains of policies: name, low, mean, high of each, from the top down."""
    rows = [dict(zip(("policy", "low", "mean", "high"), gain, strict=True)) for gain in gains]
    return framed(base(heading, _words(rows, title=title)), width=width) | {
        "data": {"values": rows},
        "encoding": {"y": names("policy", width=width), "color": {"value": MUTED}},
        "layer": [zero_line(), intervals(title=title, ticks=ticks(width)), means()],
    }


def _words(rows: Sequence[dict[str, Any]], *, title: str) -> str:
    return " ".join([
        f"{title}:",
        *(f"{row['policy']} {row['mean']:+.3g} ({row['low']:.3g} to {row['high']:.3g})." for row in rows),
    ])
