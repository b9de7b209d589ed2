"""Charts: what every one of them shares, and how a Vega-Lite specification, which is plain data, becomes a drawing.

Nothing is fetched and nothing runs in the reader's browser; the same drawing serves page, print and export.
"""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from service.palette import DARK_INKS
from service.palette import INK
from service.palette import LINE
from service.palette import MUTED

Spec = dict[str, Any]

#: More small multiples than this cannot be read.
MOST_FACETS = 12

# Whatever the page is like that the drawing stands on, light or dark.
_PAGE = "transparent"
_SVG = "http://www.w3.org/2000/svg"
_FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif"
_NEEDLESS = ("role", "class", "pointer-events", "font-family")
# The characters of XML 1.0, section 2.2, without ends of lines, and without those beyond 16 bits, which labels that
# are cut short tear in two.
_UNDRAWABLE = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd]")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{2,}")
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


def base(title: str, description: str) -> Spec:
    """What every specification begins with; the description is for those who cannot see the drawing."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "usermeta": {"title": title},
        "description": description,
        "background": _PAGE,
        # The reader's font may be wider than the one that the drawing was laid out with.
        "padding": {"left": 14, "right": 26, "top": 4, "bottom": 4},
        "config": _CONFIG,
    }


def largest(segments: Iterable[str], *, share: Mapping[str, float] | None = None) -> list[str]:
    """The segments that are drawn as small multiples, in their order: the largest of those whose share is given."""
    found = list(dict.fromkeys(segments))
    known = found if share is None else [segment for segment in found if segment in share]
    by_size = known if share is None else sorted(known, key=lambda segment: share[segment], reverse=True)
    kept = by_size[:MOST_FACETS]
    return [segment for segment in known if segment in kept]


def by_segment(*, width: int) -> Spec:
    """One small multiple for each segment, in the order of `place`.

    A place, since a list of names to sort by would be compiled into an expression: names stay data.
    """
    return {
        "field": "segment", "type": "nominal", "sort": {"field": "place", "op": "min"},
        "header": {"title": None, "labelAnchor": "start", "labelLimit": width + 40, "labelPadding": 4},
    }


def headed(spec: Spec, title: str, below: str) -> Spec:
    """The drawing with its title and a line below it on white, for files that leave their page."""
    heading = {"text": title, "subtitle": below, "anchor": "start", "fontSize": 15, "offset": 14, "color": INK,
               "subtitleColor": MUTED, "subtitlePadding": 5}
    return spec | {"title": heading, "background": "#ffffff", "padding": 18}


def render_svg(spec: Spec) -> str:
    """Draw a specification as one SVG image that carries its title and description, and nothing that runs or loads."""
    return _drawn(msgspec.json.encode(drawable(spec)))


# Until something is counted, a page that is read again has the same charts.
@lru_cache(maxsize=128)
def _drawn(text: bytes) -> str:
    # Large and slow to import, and only pages with charts need it.
    import vl_convert

    spec = msgspec.json.decode(text)
    root = ElementTree.fromstring(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]))
    style = _dark_style() if spec["background"] == _PAGE else ""
    return _described(_bare(root), title=spec["usermeta"]["title"], description=spec["description"], style=style)


def render_png(spec: Spec) -> bytes:
    """Draw a specification as a PNG image, sharp enough for slides."""
    import vl_convert

    return bytes(vl_convert.vegalite_to_png(drawable(spec), scale=2, allowed_base_urls=[]))


def drawable(value: Any) -> Any:
    """The specification with every character replaced that is no text: at some of them vl-convert 1.9 aborts."""
    if isinstance(value, str):
        return _UNDRAWABLE.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {name: drawable(inner) for name, inner in value.items()}
    return [drawable(inner) for inner in value] if isinstance(value, Sequence) else value


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


def _described(root: ElementTree.Element, *, title: str, description: str, style: str) -> str:
    root.attrib.update({"font-family": _FONT, "role": "img", "aria-label": f"{title}. {description}"})
    for position, (tag, text) in enumerate([("title", title), ("desc", description), ("style", style)]):
        element = ElementTree.Element(f"{{{_SVG}}}{tag}")
        element.text = text
        root.insert(position, element)
    ElementTree.register_namespace("", _SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _dark_style() -> str:
    """Inks for dark pages: a rule wins over the attributes in which the drawing carries its light ones."""
    rules = (f'[fill="{light}"]{{fill:{dark}}}[stroke="{light}"]{{stroke:{dark}}}' for light, dark in DARK_INKS.items())
    return f"@media screen and (prefers-color-scheme: dark){{{''.join(rules)}}}"
