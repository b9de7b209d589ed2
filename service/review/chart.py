"""The chart of shares: how large each segment was among the visitors of each day or week."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from experiments.review.shares import Stretch
from service.charts import Spec
from service.charts import base
from service.charts import by_segment
from service.charts import largest
from service.palette import MUTED
from service.palette import SAVED
from service.wording import share


_LINE = {"type": "line", "color": SAVED, "strokeWidth": 2, "invalid": "break-paths-show-domains"}


def share_chart(
    stretches_by_segment: Mapping[str, Sequence[Stretch]],
    *,
    since: str,
    share_by_segment: Mapping[str, float],
    columns: int = 3,
    width: int = 226,
) -> Spec:
    """Each segment's share over time, a small multiple for each of the largest; a line marks where "lately" begins."""
    shown = largest(stretches_by_segment, share=share_by_segment)
    rows = [
        {"segment": segment, "place": shown.index(segment), "day": one.start, "share": one.share}
        for segment in shown for one in stretches_by_segment[segment]
    ]
    marks = [{"segment": segment, "place": place, "since": since} for place, segment in enumerate(shown)]
    days = len({row["day"] for row in rows})
    return base("Shares of the segments over time", _words(stretches_by_segment, shown)) | {
        "data": {"values": [*rows, *marks]},
        "facet": by_segment(width=width),
        "columns": min(columns, max(1, len(shown))),
        "spacing": {"row": 22, "column": 26},
        "spec": {"width": width, "height": 104, "layer": [_since(), *_shares(days)]},
        "resolve": {"scale": {"y": "independent"}, "axis": {"x": "independent"}},
    }


def _day(field: str) -> dict[str, Any]:
    return {
        "field": field, "type": "temporal", "scale": {"type": "utc", "nice": False}, "title": None,
        "axis": {"grid": False, "format": "%-d %b", "tickCount": 3, "labelOverlap": True},
    }


def _since() -> Spec:
    return {
        "transform": [{"filter": "isValid(datum.since)"}],
        "mark": {"type": "rule", "color": MUTED, "strokeDash": [3, 3]},
        "encoding": {"x": _day("since")},
    }


def _shares(days: int) -> list[Spec]:
    """A line with a dot at each stretch that can be told, so that a single one is seen too; none where it is hidden."""
    encoding = {"x": _day("day"), "y": {
        "field": "share", "type": "quantitative", "scale": {"domainMin": 0, "nice": True}, "title": None,
        "axis": {"format": ".0%", "tickCount": 3, "domain": False, "ticks": False},
    }}
    told = [{"filter": "isValid(datum.day)"}]
    dots = {"type": "point", "filled": True, "size": 60 if days < 3 else 14, "color": SAVED, "opacity": 1}
    return [
        {"transform": told, "mark": _LINE, "encoding": encoding},
        {"transform": [*told, {"filter": "isValid(datum.share)"}], "mark": dots, "encoding": encoding},
    ]


def _words(stretches_by_segment: Mapping[str, Sequence[Stretch]], shown: Sequence[str]) -> str:
    return " ".join(_told(segment, stretches_by_segment[segment]) for segment in shown)


def _told(segment: str, stretches: Sequence[Stretch]) -> str:
    known = [one for one in stretches if one.share is not None]
    if not known:
        return f"{segment}: too few visitors to show."
    return f"{segment}: {share(known[0].share)} from {known[0].start}, {share(known[-1].share)} from {known[-1].start}."
