"""The chart of how traffic moved: each arm's share of a segment's visitors over time."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

from service.charts import Spec
from service.charts import base
from service.charts import by_segment
from service.charts import largest
from service.palette import arm_colours
from service.report.traffic import Epoch
from service.report.traffic import labels
from service.report.traffic import steps
from service.report.traffic import time_format


def traffic_chart(
    epochs: Sequence[Epoch],
    *,
    share_by_segment: Mapping[str, float] | None = None,
    until: str | None = None,
    columns: int = 3,
    width: int = 226,
) -> Spec:
    """How traffic moved: the weight of each arm over time, one small multiple for each of the largest segments.

    `epochs` has one row for each epoch, segment and arm. `share_by_segment` says how large segments are, and leaves out
    those it does not name. `until` is when the drawing ends (ISO 8601; the newest epoch if left out). `width` is that
    of one small multiple in pixels.
    """
    shown = largest((row["segment"] for row in epochs), share=share_by_segment)
    rows = [row for row in epochs if row["segment"] in shown]
    end = until or max((row["at"] for row in rows), default="")
    role_by_arm = {row["arm"]: row["role"] for row in epochs}
    colour_by_arm = arm_colours(role_by_arm)
    order = {arm: index for index, arm in enumerate(colour_by_arm)}
    marks = [*steps(rows, until=end, order=order), *labels(rows, until=end, order=order)]
    return base("How traffic moved", _words(rows, shown, order)) | {
        "data": {"values": [mark | {"place": shown.index(mark["segment"])} for mark in marks]},
        "facet": by_segment(width=width),
        "columns": min(columns, max(1, len(shown))),
        "spacing": {"row": 22, "column": 26},
        "spec": {
            "width": width, "height": 104,
            "layer": [_areas(colour_by_arm, format=time_format(rows, until=end)), _direct_labels()],
        },
        "resolve": {"axis": {"x": "independent"}},
    }


def _areas(colour_by_arm: Mapping[str, str], *, format: str) -> Spec:
    return {
        "transform": [{"filter": "isValid(datum.arm)"}],
        "mark": {"type": "area", "interpolate": "step-after", "strokeWidth": 0},
        "encoding": {
            "x": {
                "field": "at", "type": "temporal", "scale": {"type": "utc", "nice": False}, "title": None,
                "axis": {"grid": False, "tickCount": 3, "format": format, "labelOverlap": True},
            },
            "y": {
                "field": "weight", "type": "quantitative", "stack": "zero", "scale": {"domain": [0, 1]}, "title": None,
                "axis": {"values": [0, 0.5, 1], "format": ".0%", "domain": False, "ticks": False, "grid": False},
            },
            "order": {"field": "order", "type": "quantitative"},
            "color": {
                "field": "arm", "type": "nominal", "legend": None,
                "scale": {"domain": list(colour_by_arm), "range": list(colour_by_arm.values())},
            },
        },
    }


def _direct_labels() -> Spec:
    """Each arm's name and weight now, beside its area: no legend to look up."""
    return {
        "transform": [{"filter": "isValid(datum.label)"}],
        "mark": {"type": "text", "align": "left", "baseline": "middle", "dx": 6},
        "encoding": {
            "x": {"field": "at", "type": "temporal", "scale": {"type": "utc"}},
            "y": {"field": "middle", "type": "quantitative"},
            "text": {"field": "label", "type": "nominal"},
        },
    }


def _words(rows: Sequence[Epoch], shown: Sequence[str], order: Mapping[str, int]) -> str:
    newest = max((row["epoch"] for row in rows), default=0)
    return " ".join([
        f"The share of visitors that each arm was given over time, up to epoch {newest}; now:",
        *(f"{segment}: {', '.join(_weights_now(rows, segment, order))}." for segment in shown),
    ])


def _weights_now(rows: Sequence[Epoch], segment: str, order: Mapping[str, int]) -> Iterator[str]:
    weight_by_arm = {row["arm"]: row["weight"] for row in rows if row["segment"] == segment}
    return (f"{arm} {weight_by_arm[arm]:.0%}" for arm in order if arm in weight_by_arm)
