"""The pictures of a report's page: each drawn once for wide pages and once for phones, held in the page itself."""

from base64 import b64encode
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from service.charts import MOST_FACETS
from service.charts import Spec
from service.charts import gain_chart
from service.charts import render_svg
from service.charts import traffic_chart
from service.report_units import units_of
from service.traffic import epoch_rows
from service.wording import POINTS
from service.wording import Unit


class Picture(NamedTuple):
    """One chart: `wide` and `narrow` are data addresses, `words` say what it shows to those who cannot see it."""

    title: str
    note: str
    wide: str
    narrow: str
    words: str


def report_pictures(report: Mapping[str, Any], allocations: Sequence[Mapping[str, Any]]) -> list[Picture]:
    """The charts for which there is something to draw: gains first, then traffic.

    `allocations` are the ledger's rows as `GET /v1/experiments/{key}/allocations` answers them, the oldest first.
    """
    pictures = [_gains(report), _traffic(report, allocations)]
    return [picture for picture in pictures if picture is not None]


def _gains(report: Mapping[str, Any]) -> Picture | None:
    segments, unit = report["verdict"]["segments"], units_of(report, symbols=True).gain
    if not any(segment["gain"] for segment in segments):
        return None
    title = f"{_measure(unit)}, against the one message"
    return _picture(
        "What tailoring gains in each segment",
        "The dot is the best estimate, the line its range. Left of zero the one message does better.",
        wide=gain_chart(segments, title=title, scale=unit.scale),
        narrow=gain_chart(segments, title=title, scale=unit.scale, width=140),
    )


def gains_chart(report: Mapping[str, Any]) -> Spec | None:
    """What tailoring gains in each segment; None where nothing can be compared yet."""
    segments, unit = report["verdict"]["segments"], units_of(report, symbols=True).gain
    if not any(segment["gain"] for segment in segments):
        return None
    return gain_chart(segments, title=f"{_measure(unit)}, against the one message", scale=unit.scale)


def _measure(unit: Unit) -> str:
    return "Percentage points" if unit == POINTS else f"{unit.before.strip() or 'Gain'} per visitor"


def _traffic(report: Mapping[str, Any], allocations: Sequence[Mapping[str, Any]]) -> Picture | None:
    role_by_arm = {row["arm"]: row["role"] for row in report["totals"]}
    epochs = epoch_rows(allocations, role_by_arm=role_by_arm)
    if not epochs:
        return None
    share = {row["segment"]: row["share_of_visitors"] or 0.0 for row in report["verdict"]["segments"]}
    drawn: dict[str, Any] = {"share_by_segment": share, "until": report["as_of"]}
    return _picture(
        "Where visitors were sent",
        _traffic_note(len(share)),
        wide=traffic_chart(epochs, **drawn),
        narrow=traffic_chart(epochs, columns=1, width=180, **drawn),
    )


def _traffic_note(segments: int) -> str:
    note = "The share of each segment's visitors that each arm was given. Every step is a reallocation."
    return note if segments <= MOST_FACETS else f"{note} Drawn are the {MOST_FACETS} largest of {segments} segments."


def _picture(title: str, note: str, *, wide: Spec, narrow: Spec) -> Picture:
    return Picture(title, note, _address(wide), _address(narrow), wide["description"])


def _address(spec: Spec) -> str:
    return f"data:image/svg+xml;base64,{b64encode(render_svg(spec).encode()).decode()}"
