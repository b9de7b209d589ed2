"""A forest plot's parts: means with their intervals, one below the other, against zero."""

from service.charts import Spec
from service.palette import INK
from service.palette import MUTED

#: How much wider than the font of the layout a reader's own may be.
_WIDER = 0.16


def framed(spec: Spec, *, width: int) -> Spec:
    """The drawing at this width, with room on the left for names in a wider font than it was laid out with."""
    return spec | {
        "width": width, "height": {"step": 30},
        "padding": spec["padding"] | {"left": round(_longest_name(width) * _WIDER)},
    }


def _longest_name(width: int) -> float:
    return max(110, width * 0.36)


def names(field: str, *, width: int) -> Spec:
    """The names on the left, in the order of the rows."""
    return {
        "field": field, "type": "nominal", "sort": None, "title": None,
        "axis": {
            "domain": False, "ticks": False, "labelLimit": _longest_name(width),
            "labelColor": INK, "labelFontSize": 12,
        },
    }


def zero_line() -> Spec:
    """A dashed line at zero."""
    return {"mark": {"type": "rule", "color": MUTED, "strokeDash": [3, 3]}, "encoding": {
        "x": {"datum": 0}, "y": None, "color": None,
    }}


def intervals(*, title: str, ticks: int) -> Spec:
    """A bar from `low` to `high` in each row, over the axis that `title` names."""
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


def means() -> Spec:
    """A dot at `mean` in each row."""
    return {"mark": {"type": "point", "filled": True, "size": 90, "opacity": 1}, "encoding": {
        "x": {"field": "mean", "type": "quantitative"},
    }}


def ticks(width: int) -> int:
    """How many ticks an axis of this width has room for."""
    return max(3, width // 110)
