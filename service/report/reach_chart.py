"""The chart of reach, cost and conversions: what each arm took and what came of it, side by side."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from service.charts import Spec
from service.charts import base
from service.palette import INK
from service.wording import Unit
from service.wording import written


class Bars(NamedTuple):
    """One measure of every arm, in its unit; None where an arm has no figure."""

    title: str
    unit: Unit
    value_by_arm: Mapping[str, float | None]


def reach_chart(
    measures: Sequence[Bars], *, colour_by_arm: Mapping[str, str], columns: int = 4, width: int = 96
) -> Spec:
    """Bars of each measure, an arm a row; bars of different measures are not to be compared."""
    rows = [row for place, bars in enumerate(measures) for row in _rows(bars, place)]
    return base("Reach, cost and conversions", _words(measures)) | {
        "data": {"values": rows},
        "facet": {
            "field": "measure", "type": "nominal", "sort": {"field": "place", "op": "min"},
            "header": {"title": None, "labelAnchor": "start", "labelPadding": 4},
        },
        "columns": min(columns, len(measures)),
        "spacing": {"row": 18, "column": 14},
        "spec": {
            "width": width + 64, "height": {"step": 26},
            "encoding": {"y": {
                "field": "arm", "type": "nominal", "sort": None, "title": None,
                "axis": {"domain": False, "ticks": False, "labelColor": INK, "labelFontSize": 12, "labelLimit": 150},
            }},
            "layer": [_bars(colour_by_arm, width), _figures()],
        },
    }


def _rows(bars: Bars, place: int) -> Iterator[dict[str, Any]]:
    longest = max((value for value in bars.value_by_arm.values() if value is not None), default=0.0)
    for arm, value in bars.value_by_arm.items():
        if value is not None:
            yield {
                "measure": bars.title, "place": place, "arm": arm, "value": value,
                "length": value / longest if longest else 0.0, "label": written(value, bars.unit),
            }


def _bars(colour_by_arm: Mapping[str, str], width: int) -> Spec:
    # Beside the longest bar its figure has to stand.
    return {"mark": {"type": "bar", "height": 14}, "encoding": {
        "x": {"field": "length", "type": "quantitative", "scale": {"domain": [0, 1 + 64 / width]}, "axis": None},
        "color": {
            "field": "arm", "type": "nominal", "legend": None,
            "scale": {"domain": list(colour_by_arm), "range": list(colour_by_arm.values())},
        },
    }}


def _figures() -> Spec:
    return {"mark": {"type": "text", "align": "left", "baseline": "middle", "dx": 4}, "encoding": {
        "x": {"field": "length", "type": "quantitative"}, "text": {"field": "label", "type": "nominal"},
    }}


def _words(measures: Sequence[Bars]) -> str:
    return " ".join(f"{bars.title}: {', '.join(_told(bars))}." for bars in measures)


def _told(bars: Bars) -> Iterator[str]:
    return (f"{arm} {written(value, bars.unit)}" for arm, value in bars.value_by_arm.items())
