"""The pictures of a report's page: its charts drawn, and held in the page itself."""

from base64 import b64encode
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from service.charts import Spec
from service.charts import render_svg
from service.report.charts import Chart
from service.report.charts import report_charts


class Picture(NamedTuple):
    """One chart: `wide` and `narrow` are data addresses, `words` say what it shows to those who cannot see it.

    Where there is too little to draw, there are no addresses, and the note says why.
    """

    name: str
    title: str
    note: str
    wide: str = ""
    narrow: str = ""
    words: str = ""


def report_pictures(report: Mapping[str, Any], allocations: Sequence[Mapping[str, Any]]) -> list[Picture]:
    """The charts of a report, drawn; `allocations` as `report_charts` takes them."""
    return [drawn(chart) for chart in report_charts(report, allocations)]


def drawn(chart: Chart) -> Picture:
    """One chart, drawn if there is something to draw."""
    if chart.wide is None or chart.narrow is None:
        return Picture(chart.name, chart.title, chart.note)
    wide, narrow = _address(chart.wide), _address(chart.narrow)
    return Picture(chart.name, chart.title, chart.note, wide, narrow, chart.wide["description"])


def _address(spec: Spec) -> str:
    return f"data:image/svg+xml;base64,{b64encode(render_svg(spec).encode()).decode()}"
