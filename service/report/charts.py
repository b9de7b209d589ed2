"""The charts of a report: which of them there is something to draw for, each for wide pages and for phones."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from service.charts import MOST_FACETS
from service.charts import Spec
from service.charts import headed
from service.charts import render_png
from service.charts import render_svg
from service.palette import arm_colours
from service.report.densities import densities
from service.report.density_chart import density_chart
from service.report.gain_chart import gain_chart
from service.report.reach_chart import Bars
from service.report.reach_chart import reach_chart
from service.report.savings_chart import savings_chart
from service.report.traffic import epoch_rows
from service.report.traffic_chart import traffic_chart
from service.report.units import units_of
from service.wording import PLAIN
from service.wording import POINTS
from service.wording import Unit
from service.wording import moment

#: The charts that a report may have, by the names of their files, in the order of the page.
NAMES = ("gains", "certainty", "traffic", "savings", "reach")

#: How a drawing becomes a file, by its kind.
_RENDERERS = {"svg": lambda spec: render_svg(spec).encode(), "png": render_png}

Report = Mapping[str, Any]
Allocations = Sequence[Mapping[str, Any]]


class Chart(NamedTuple):
    """One chart: `wide` and `narrow` are its specifications; without them the note says why there is no drawing."""

    name: str
    title: str
    note: str
    wide: Spec | None = None
    narrow: Spec | None = None


def report_charts(report: Report, allocations: Allocations) -> list[Chart]:
    """What there is to draw or to say, in the order of the page.

    `allocations` are the ledger's rows as `GET /v1/experiments/{key}/allocations` answers them, the oldest first.
    """
    charts = [_gains(report), _certainty(report), _traffic(report, allocations), _savings(report), _reach(report)]
    return [chart for chart in charts if chart is not None]


def chart_file(report: Report, allocations: Allocations, name: str, *, kind: str) -> bytes | None:
    """A chart as a file for slides, with its title and its time; None where there is nothing to draw."""
    spec = next((chart for chart in report_charts(report, allocations) if chart.name == name), None)
    if spec is None or spec.wide is None:
        return None
    below = f"{report.get('name') or report['experiment']} · as of {moment(report['as_of'])}"
    return _RENDERERS[kind](headed(spec.wide, spec.title, below))


def _gains(report: Report) -> Chart | None:
    segments, unit = report["verdict"]["segments"], units_of(report, symbols=True).gain
    if not any(segment["gain"] for segment in segments):
        return None
    title = f"{measure_of(unit)}, against the one message"
    return Chart(
        "gains",
        "What tailoring gains in each segment",
        "The dot is the best estimate, the line its range. Left of zero the one message does better.",
        wide=gain_chart(segments, title=title, scale=unit.scale),
        narrow=gain_chart(segments, title=title, scale=unit.scale, width=140),
    )


def measure_of(unit: Unit) -> str:
    """What an axis of gains in this unit is called."""
    return "Percentage points" if unit == POINTS else f"{unit.before.strip() or 'Gain'} per visitor"


def _certainty(report: Report) -> Chart | None:
    units, share = units_of(report, symbols=True), _share_by_segment(report)
    found = densities(report, units)
    if not found.curves and not found.thin:
        return None
    title, note = "How sure are we", " ".join(_certainty_note(report, thin=found.thin, segments=len(share)))
    if not found.curves:
        return Chart("certainty", title, note)
    drawn: dict[str, Any] = {"colour_by_arm": _colours(report), "share_by_segment": share, "unit": units.rate}
    return Chart(
        "certainty", title, note,
        wide=density_chart(found.curves, **drawn),
        narrow=density_chart(found.curves, columns=1, width=230, **drawn),
    )


def _certainty_note(report: Report, *, thin: Sequence[str], segments: int) -> Iterator[str]:
    policy = report["method"]["policy"]
    if len(thin) < segments:
        yield "What each message may truly bring: the higher the curve, the likelier. The less two overlap, the surer."
        if any(segment["call"] == "keep_testing" for segment in report["verdict"]["segments"]):
            yield "Grey curves are not settled yet."
    if thin:
        rest = f" and {len(thin) - 3} more" if len(thin) > 3 else ""
        yield (
            f"Too little has been seen in {', '.join(thin[:3])}{rest}: a segment is drawn once each of its messages has"
            f" {policy['burn_in']} visitors and all together {policy['burn_in_conversions']} conversions."
        )
    if segments - len(thin) > MOST_FACETS:
        yield f"Drawn are the {MOST_FACETS} largest segments."


def _traffic(report: Report, allocations: Allocations) -> Chart | None:
    role_by_arm = {row["arm"]: row["role"] for row in report["totals"]}
    epochs = epoch_rows(allocations, role_by_arm=role_by_arm)
    if not epochs:
        return None
    share = _share_by_segment(report)
    drawn: dict[str, Any] = {"share_by_segment": share, "until": report["as_of"]}
    return Chart(
        "traffic",
        "Where visitors were sent",
        _traffic_note(len(share)),
        wide=traffic_chart(epochs, **drawn),
        narrow=traffic_chart(epochs, columns=1, width=180, **drawn),
    )


def _traffic_note(segments: int) -> str:
    note = "The share of each segment's visitors that each arm was given. Every step is a reallocation."
    return note if segments <= MOST_FACETS else f"{note} Drawn are the {MOST_FACETS} largest of {segments} segments."


def _savings(report: Report) -> Chart | None:
    days, total = report["savings"]["days"], report["savings"]["total"]
    if total is None or not total["mean"]:
        return None
    unit = units_of(report, symbols=True).amount
    note = "What came of sending more visitors to the better message, over dividing them evenly, day by day."
    if not (total["low"] > 0 or total["high"] < 0):
        note += " It is not settled yet: zero fits what was seen."
    if len(days) < 2:
        return Chart("savings", _SAVED, f"{note} A line is drawn from the second day on.")
    title = unit.after.strip().capitalize() or unit.before.strip()
    return Chart(
        "savings", _SAVED, note,
        wide=savings_chart(days, title=title, unit=unit),
        narrow=savings_chart(days, title=title, unit=unit, width=190),
    )


_SAVED = "What moving traffic has earned so far"


def _reach(report: Report) -> Chart | None:
    rows = [row for row in report["totals"] if row["visitors"]]
    if not rows:
        return None
    units = units_of(report, symbols=True)
    measures = [
        Bars("Visitors reached", PLAIN, {row["arm"]: row["economics"]["reach"] for row in rows}),
        Bars("Cost", units.money, {row["arm"]: row["economics"]["cost"] for row in rows}),
        Bars(
            "Conversions" if units.is_rate else f"Total of {units.goal}", units.total,
            {row["arm"]: row["metrics"][units.goal]["sum"] for row in rows},
        ),
        Bars("Cost per conversion", units.money, {row["arm"]: row["economics"]["cost_per_conversion"] for row in rows}),
    ]
    told = [bars for bars in measures if any(bars.value_by_arm.values())]
    drawn: dict[str, Any] = {"colour_by_arm": _colours(report)}
    return Chart(
        "reach",
        "Reach and cost against conversions",
        "What each arm took, and what came of it, over all segments. Cost is that of showing it, without fixed costs.",
        wide=reach_chart(told, **drawn),
        narrow=reach_chart(told, columns=1, **drawn),
    )


def _share_by_segment(report: Report) -> dict[str, float]:
    return {row["segment"]: row["share_of_visitors"] or 0.0 for row in report["verdict"]["segments"]}


def _colours(report: Report) -> dict[str, str]:
    return arm_colours({row["arm"]: row["role"] for row in report["totals"]})
