"""The report's charts: Vega-Lite specifications as plain data, rendered to SVG on the server.

Nothing is fetched and nothing runs in the reader's browser; the same drawing serves page, print and export.
"""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from service.palette import CALL_COLOURS
from service.palette import DARK_INKS
from service.palette import INK
from service.palette import LINE
from service.palette import MUTED
from service.palette import arm_colours
from service.traffic import Epoch
from service.traffic import labels
from service.traffic import steps
from service.traffic import time_format

Spec = dict[str, Any]

#: More small multiples than this cannot be read.
MOST_FACETS = 12

_SVG = "http://www.w3.org/2000/svg"
_FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif"
_NEEDLESS = ("role", "class", "pointer-events", "font-family")
# The characters of XML 1.0, section 2.2, without ends of lines, and without those beyond 16 bits, which labels that
# are cut short tear in two.
_UNDRAWABLE = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd]")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_CALL_WORDS = {"tailor": "tailor", "mass": "one message", "keep_testing": "keep testing", "none": "no message pays"}
_CONFIG: Spec = {
    "aria": False,
    "font": _FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": MUTED, "titleColor": MUTED, "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal",
        "gridColor": LINE, "domainColor": LINE, "tickColor": LINE, "labelPadding": 6,
    },
    "header": {"labelColor": INK, "labelFontSize": 12, "labelFontWeight": 600},
    "text": {"color": INK, "fontSize": 11},
}


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
    shown = shown_segments(epochs, share_by_segment=share_by_segment)
    rows = [row for row in epochs if row["segment"] in shown]
    end = until or max((row["at"] for row in rows), default="")
    role_by_arm = {row["arm"]: row["role"] for row in epochs}
    colour_by_arm = arm_colours(role_by_arm)
    order = {arm: index for index, arm in enumerate(colour_by_arm)}
    marks = [*steps(rows, until=end, order=order), *labels(rows, until=end, order=order)]
    return _spec("How traffic moved", _traffic_words(rows, shown, order)) | {
        # Places, since a list of names to sort by would be compiled into an expression: names stay data.
        "data": {"values": [mark | {"place": shown.index(mark["segment"])} for mark in marks]},
        "facet": {
            "field": "segment", "type": "nominal", "sort": {"field": "place", "op": "min"},
            "header": {"title": None, "labelAnchor": "start", "labelLimit": width + 40, "labelPadding": 4},
        },
        "columns": min(columns, max(1, len(shown))),
        "spacing": {"row": 22, "column": 26},
        "spec": {
            "width": width, "height": 104,
            "layer": [_areas(colour_by_arm, format=time_format(rows, until=end)), _direct_labels()],
        },
        "resolve": {"axis": {"x": "independent"}},
    }


def shown_segments(epochs: Sequence[Epoch], *, share_by_segment: Mapping[str, float] | None = None) -> list[str]:
    """The segments that are drawn, in the order of the allocation: the largest of those whose share is given."""
    found = dict.fromkeys(row["segment"] for row in epochs)
    share = share_by_segment if share_by_segment is not None else dict.fromkeys(found, 0.0)
    known = [segment for segment in found if segment in share]
    largest = sorted(known, key=lambda segment: share[segment], reverse=True)[:MOST_FACETS]
    return [segment for segment in known if segment in largest]


def gain_chart(
    segments: Sequence[Mapping[str, Any]], *, title: str, scale: float = 1.0, width: int = 640
) -> Spec:
    """What tailoring gains in each segment: mean and interval against zero, coloured by the call.

    `segments` are those of the verdict; ones without a gain are left out. Figures are multiplied by `scale`.
    """
    rows = [_gain_row(segment, scale=scale) for segment in segments if segment["gain"]]
    return _spec("Gain in each segment", _gain_words(rows, title=title)) | {
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


def render_svg(spec: Spec) -> str:
    """Draw a specification as one SVG image that carries its title and description, and nothing that runs or loads."""
    # Large and slow to import, and only pages with charts need it.
    import vl_convert

    spec = drawable(spec)
    root = ElementTree.fromstring(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]))
    return _described(_bare(root), title=spec["usermeta"]["title"], description=spec["description"])


def render_png(spec: Spec) -> bytes:
    """Draw a specification as a PNG image, for readers that show no other; its inks are for a light page."""
    import vl_convert

    return vl_convert.vegalite_to_png({**drawable(spec), "background": "white"}, scale=2, allowed_base_urls=[])


def drawable(value: Any) -> Any:
    """The specification with every character replaced that is no text: at some of them vl-convert 1.9 aborts."""
    if isinstance(value, str):
        return _UNDRAWABLE.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {name: drawable(inner) for name, inner in value.items()}
    return [drawable(inner) for inner in value] if isinstance(value, Sequence) else value


def _spec(title: str, description: str) -> Spec:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "usermeta": {"title": title},
        "description": description,
        "background": "transparent",
        # The reader's font may be wider than the one that the drawing was laid out with.
        "padding": {"left": 14, "right": 26, "top": 4, "bottom": 4},
        "config": _CONFIG,
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


def _gain_row(segment: Mapping[str, Any], *, scale: float) -> Spec:
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


def _traffic_words(rows: Sequence[Epoch], shown: Sequence[str], order: Mapping[str, int]) -> str:
    newest = max((row["epoch"] for row in rows), default=0)
    return " ".join([
        f"The share of visitors that each arm was given over time, up to epoch {newest}; now:",
        *(f"{segment}: {', '.join(_weights_now(rows, segment, order))}." for segment in shown),
    ])


def _weights_now(rows: Sequence[Epoch], segment: str, order: Mapping[str, int]) -> Iterator[str]:
    weight_by_arm = {row["arm"]: row["weight"] for row in rows if row["segment"] == segment}
    return (f"{arm} {weight_by_arm[arm]:.0%}" for arm in order if arm in weight_by_arm)


def _gain_words(rows: Sequence[Spec], *, title: str) -> str:
    return " ".join([
        f"{title}:",
        *(f"{row['segment']} {row['mean']:+.3g} ({_range(row)}), {row['word']}." for row in rows),
    ])


def _range(row: Spec) -> str:
    return f"{row['low']:.3g} to {row['high']:.3g}"


def _bare(root: ElementTree.Element) -> ElementTree.Element:
    """The drawing without what a single described image does not need, which is half of its size."""
    for element in root.iter():
        for child in [child for child in element if _is_invisible(child)]:
            element.remove(child)
        for name in [name for name in element.attrib if name in _NEEDLESS or name.startswith("aria-")]:
            del element.attrib[name]
        for name in ("d", "transform"):
            if name in element.attrib:
                element.set(name, _LONG_NUMBER.sub(_rounded, element.attrib[name]))
    return root


def _is_invisible(element: ElementTree.Element) -> bool:
    is_empty = element.tag == f"{{{_SVG}}}path" and "h0v0h0" in element.get("d", "")
    return is_empty or element.get("display") == "none" or element.get("opacity") == "0"


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}"


def _described(root: ElementTree.Element, *, title: str, description: str) -> str:
    root.attrib.update({"font-family": _FONT, "role": "img", "aria-label": f"{title}. {description}"})
    for position, (tag, text) in enumerate([("title", title), ("desc", description), ("style", _dark_style())]):
        element = ElementTree.Element(f"{{{_SVG}}}{tag}")
        element.text = text
        root.insert(position, element)
    ElementTree.register_namespace("", _SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _dark_style() -> str:
    """Inks for dark pages: a rule wins over the attributes in which the drawing carries its light ones."""
    rules = (f'[fill="{light}"]{{fill:{dark}}}[stroke="{light}"]{{stroke:{dark}}}' for light, dark in DARK_INKS.items())
    return f"@media screen and (prefers-color-scheme: dark){{{''.join(rules)}}}"
