"""The report's charts: that what is drawn are the report's figures, and that thin data draw no winner."""

from typing import Any
from xml.etree import ElementTree

import pytest
from scipy import stats as peer

from service.charts import MOST_FACETS
from service.charts import headed
from service.charts import render_svg
from service.palette import MUTED
from service.palette import SAVED
from service.palette import UNSETTLED
from service.palette import arm_colours
from service.report.charts import Chart
from service.report.charts import NAMES
from service.report.charts import report_charts
from service.report.densities import densities
from service.report.density_chart import density_chart
from service.report.savings_chart import savings_chart
from service.report.units import units_of
from service.wording import PLAIN
from service.wording import RATE
from tests.service.reports import HOSTILE
from tests.service.reports import hostile_allocations
from tests.service.reports import hostile_report
from tests.service.reports import many_segments
from tests.service.reports import sample_allocations
from tests.service.reports import sample_report
from tests.service.reports import thin_report

COLOURS = arm_colours({
    "nothing": "control", "one-letter": "mass", "womens-letter": "tailored", "mens-letter": "tailored",
})


def charts_of(report: dict[str, Any]) -> dict[str, Chart]:
    return {chart.name: chart for chart in report_charts(report, sample_allocations(3))}


def rows_of(chart: Chart) -> list[dict[str, Any]]:
    assert chart.wide is not None
    rows = chart.wide["data"]["values"]
    assert isinstance(rows, list)
    return rows


def row_of(report: dict[str, Any], segment: str, arm: str) -> dict[str, Any]:
    return next(row for row in report["arms"] if (row["segment"], row["arm"]) == (segment, arm))


def inks(chart: Chart, segment: str) -> set[str]:
    return {row["ink"] for row in rows_of(chart) if row["segment"] == segment}


def test_a_curve_is_the_density_of_the_posterior_that_the_report_tells() -> None:
    report = sample_report()
    curves = {(curve.segment, curve.arm): curve for curve in densities(report, units_of(report, symbols=True)).curves}
    posterior = row_of(report, "womens-shoppers", "womens-letter")["metrics"]["purchase"]["posterior"]
    mass = row_of(report, "womens-shoppers", "one-letter")["metrics"]["purchase"]["posterior"]
    curve, other = curves["womens-shoppers", "womens-letter"], curves["womens-shoppers", "one-letter"]
    expected = peer.beta(posterior["alpha"], posterior["beta"]).pdf(curve.values)
    highest = max(peer.beta(mass["alpha"], mass["beta"]).pdf(other.values))
    assert curve.heights == pytest.approx(expected / highest, abs=1e-6)
    assert max(other.heights) == 1


def test_a_value_has_the_curve_of_a_normal() -> None:
    report = sample_report()
    report["goal"]["kind"] = "value"
    for row in report["arms"]:
        if not row["suppressed"]:
            row["metrics"]["purchase"]["posterior"] = {"kind": "normal", "mean": 2.0, "sd": 0.1}
    curve = densities(report, units_of(report, symbols=True)).curves[0]
    expected = peer.norm(2.0, 0.1).pdf(curve.values) / peer.norm(2.0, 0.1).pdf(2.0)
    assert curve.heights == pytest.approx(expected, abs=0.01)


def test_curves_are_of_messages_alone_and_labelled_with_the_reports_means() -> None:
    labels = [row["label"] for row in rows_of(charts_of(sample_report())["certainty"]) if "label" in row]
    assert labels == [
        "one-letter 1.26%", "womens-letter 1.68%", "one-letter 1.17%", "mens-letter 1.12%", "one-letter 1.10%",
    ]


def test_a_segment_that_is_not_settled_is_grey_and_the_others_have_their_arms_colours() -> None:
    chart = charts_of(sample_report())["certainty"]
    assert inks(chart, "mens-shoppers") <= set(UNSETTLED)
    assert inks(chart, "womens-shoppers") == {COLOURS["one-letter"], COLOURS["womens-letter"]}
    assert "Grey curves are not settled yet." in chart.note


@pytest.mark.parametrize(("visitors", "sales"), [(99, 40), (4_470, 0)])
def test_before_the_burn_in_is_over_a_sentence_stands_for_the_curve(visitors: int, sales: int) -> None:
    report = sample_report()
    row = row_of(report, "mens-shoppers", "mens-letter")
    row["visitors"], row["metrics"]["purchase"]["sum"] = visitors, sales
    row_of(report, "mens-shoppers", "one-letter")["metrics"]["purchase"]["sum"] = 9
    chart = charts_of(report)["certainty"]
    assert {row["segment"] for row in rows_of(chart)} == {"womens-shoppers", "everyone-else"}
    assert "Too little has been seen in mens-shoppers: a segment is drawn once" in chart.note
    assert "100 visitors and all together 10 conversions" in chart.note


def test_where_nothing_was_seen_there_are_words_and_no_curves() -> None:
    charts = charts_of(thin_report())
    assert list(charts) == ["certainty", "traffic"]
    assert charts["certainty"].wide is None


def test_at_most_twelve_segments_are_drawn() -> None:
    chart = charts_of(many_segments(50))["certainty"]
    assert len({row["segment"] for row in rows_of(chart)}) == MOST_FACETS
    assert "Drawn are the 12 largest segments." in chart.note
    assert chart.wide is not None and len(render_svg(chart.wide)) < 90_000


def test_no_leader_crosses_a_name() -> None:
    """Names that run to the right begin the higher the further left they are, and the other way round."""
    report = sample_report()
    curves = densities(report, units_of(report, symbols=True)).curves
    spec = density_chart(curves, colour_by_arm=COLOURS, share_by_segment={"womens-shoppers": 0.4}, unit=RATE)
    marks = sorted((row for row in spec["data"]["values"] if "label" in row), key=lambda row: row["at"])
    lines = [mark["line"] for mark in marks]
    assert lines == sorted(lines, reverse=marks[0]["side"] == "left")


def test_savings_are_drawn_as_the_report_tells_them() -> None:
    report = sample_report()
    chart = charts_of(report)["savings"]
    assert rows_of(chart) == report["savings"]["days"]
    assert SAVED in render_svg(savings_chart(report["savings"]["days"], title="", unit=PLAIN))
    assert "not settled" not in chart.note


def test_savings_that_may_be_none_have_no_winners_colour_and_say_so() -> None:
    report = sample_report()
    report["savings"]["days"][-1]["low"] = report["savings"]["total"]["low"] = -1.0
    chart = charts_of(report)["savings"]
    assert chart.wide is not None and SAVED not in render_svg(chart.wide) and MUTED in render_svg(chart.wide)
    assert "zero fits what was seen" in chart.note


def test_savings_of_one_day_are_said_and_not_drawn() -> None:
    report = sample_report()
    report["savings"]["days"] = report["savings"]["days"][-1:]
    chart = charts_of(report)["savings"]
    assert chart.wide is None and "from the second day on" in chart.note


def test_bars_are_the_totals_of_the_report() -> None:
    report = sample_report()
    values = {(row["measure"], row["arm"]): row["value"] for row in rows_of(charts_of(report)["reach"])}
    for total in report["totals"]:
        assert values["Visitors reached", total["arm"]] == total["visitors"]
        assert values["Cost", total["arm"]] == total["economics"]["cost"]
        assert values["Conversions", total["arm"]] == total["metrics"]["purchase"]["sum"]
        assert values["Cost per conversion", total["arm"]] == total["economics"]["cost_per_conversion"]


def test_arms_of_too_few_visitors_have_no_bar() -> None:
    report = sample_report()
    report["totals"][3] = thin_report()["totals"][3]
    assert "mens-letter" not in {row["arm"] for row in rows_of(charts_of(report)["reach"])}


def test_money_is_written_in_money() -> None:
    report = sample_report()
    report["objective"] = "profit"
    words = charts_of(report)["savings"].wide
    assert words is not None and "+€19" in words["description"]


def test_a_chart_that_leaves_its_page_says_what_it_is() -> None:
    chart = charts_of(sample_report())["gains"]
    assert chart.wide is not None
    svg = render_svg(headed(chart.wide, chart.title, "as of today"))
    assert "What tailoring gains in each segment</text>" in svg and "as of today</text>" in svg
    # White as it is, it must not turn its inks light for readers of dark pages.
    assert "prefers-color-scheme" in render_svg(chart.wide) and "prefers-color-scheme" not in svg


def test_every_chart_has_a_name_and_words() -> None:
    charts = charts_of(sample_report())
    assert tuple(charts) == NAMES
    assert all(chart.wide and chart.narrow and chart.wide["description"] for chart in charts.values())


#: All that a chart is made of.
_DRAWN = {"svg", "title", "desc", "style", "g", "rect", "path", "line", "text", "tspan"}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_drawn_as_text(text: str) -> None:
    for chart in report_charts(hostile_report(text), hostile_allocations(text)):
        assert chart.wide is not None and chart.narrow is not None
        for spec in (chart.wide, headed(chart.narrow, text, text)):
            svg = render_svg(spec)
            for element in ElementTree.fromstring(svg).iter():
                assert element.tag.partition("}")[2] in _DRAWN
                assert not [name for name in element.attrib if name.startswith("on") or name.endswith("href")]
