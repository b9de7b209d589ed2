"""The charts: what is drawn, and that a drawing is one described image that neither runs nor loads anything."""

import re
import xml.etree.ElementTree as ElementTree
from datetime import datetime
from datetime import timedelta
from typing import Any

import pytest

from service.charts import MOST_FACETS
from service.charts import largest
from service.charts import render_svg
from service.palette import CALL_COLOURS
from service.palette import arm_colours
from service.report.gain_chart import gain_chart
from service.report.traffic import Epoch
from service.report.traffic import MOST_STEPS
from service.report.traffic import epoch_rows
from service.report.traffic import labels
from service.report.traffic import time_format
from service.report.traffic_chart import traffic_chart
from tests.service.reports import HOSTILE
from tests.service.reports import sample_allocations
from tests.service.reports import sample_report

ROLES = {"nothing": "control", "one-letter": "mass", "womens-letter": "tailored", "mens-letter": "tailored"}


def sample_epochs(epochs: int = 18) -> list[Epoch]:
    return epoch_rows(sample_allocations(epochs), role_by_arm=ROLES)


def long_campaign(epochs: int, segments: int) -> list[Epoch]:
    """A campaign that reallocates every hour, a little differently each time."""
    start = datetime(2026, 1, 1)
    return [
        Epoch(at=f"{start + timedelta(hours=epoch):%Y-%m-%dT%H:%M:%SZ}", epoch=epoch, segment=f"segment-{number}",
              arm=arm, role=ROLES[arm], weight=weight)
        for epoch in range(1, epochs + 1)
        for number in range(segments)
        for arm, weight in (("one-letter", epoch / epochs), ("womens-letter", 1 - epoch / epochs))
    ]


def drawn(spec: dict[str, Any], segment: str, arm: str) -> list[tuple[str, float]]:
    return [
        (row["at"], row["weight"])
        for row in spec["data"]["values"]
        if row["segment"] == segment and row.get("arm") == arm
    ]


def colours_in(svg: str) -> set[str]:
    return set(re.findall(r"#[0-9a-f]{6}", re.sub(r"<style>.*?</style>", "", svg)))


def test_every_step_of_a_short_campaign_is_drawn_and_the_last_reaches_the_end() -> None:
    spec = traffic_chart(sample_epochs(3), until="2026-12-01T14:00:00Z")
    assert drawn(spec, "womens-shoppers", "womens-letter") == [
        ("2026-12-01T00:40:00Z", 0.45),
        ("2026-12-01T01:20:00Z", 0.746),
        ("2026-12-01T02:00:00Z", 0.82),
        ("2026-12-01T14:00:00Z", 0.82),
    ]


def test_moments_at_which_nothing_changed_are_not_drawn() -> None:
    spec = traffic_chart(sample_epochs(), until="2026-12-01T14:00:00Z")
    assert drawn(spec, "everyone-else", "one-letter") == [("2026-12-01T00:40:00Z", 0.9), ("2026-12-01T14:00:00Z", 0.9)]


def test_of_two_epochs_in_one_second_the_later_is_drawn() -> None:
    rows = [
        Epoch(at="2026-12-01T10:00:00Z", epoch=epoch, segment="s", arm=arm, role="mass", weight=weight)
        for epoch, arm, weight in ((1, "a", 0.5), (1, "b", 0.5), (2, "a", 0.3), (2, "b", 0.7))
    ]
    spec = traffic_chart(rows, until="2026-12-01T11:00:00Z")
    assert drawn(spec, "s", "a") == [("2026-12-01T10:00:00Z", 0.3), ("2026-12-01T11:00:00Z", 0.3)]


def test_at_every_moment_drawn_the_weights_of_a_segment_sum_to_one() -> None:
    sums: dict[tuple[str, str], float] = {}
    for row in traffic_chart(long_campaign(500, 4))["data"]["values"]:
        sums[row["segment"], row["at"]] = sums.get((row["segment"], row["at"]), 0.0) + row.get("weight", 0.0)
    assert list(sums.values()) == pytest.approx([1.0] * len(sums))


def test_an_epoch_of_this_moment_is_drawn_once() -> None:
    at = sample_allocations(2)[-1]["at"]
    spec = traffic_chart(sample_epochs(2), until=at)
    assert [moment for moment, _ in drawn(spec, "womens-shoppers", "womens-letter")] == ["2026-12-01T00:40:00Z", at]


def test_a_thousand_epochs_of_fifty_segments_stay_small() -> None:
    epochs = long_campaign(1_000, 50)
    spec = traffic_chart(epochs)
    assert {row["segment"] for row in spec["data"]["values"]} == {f"segment-{number}" for number in range(MOST_FACETS)}
    assert len(spec["data"]["values"]) < 3 * MOST_STEPS
    assert len(render_svg(spec)) < 90_000


def test_the_largest_segments_are_drawn_in_the_order_of_the_allocation() -> None:
    share = {f"segment-{number}": number / 190 for number in range(20)}
    assert largest(share, share=share) == [f"segment-{number}" for number in range(8, 20)]


def test_segments_without_a_share_are_left_out() -> None:
    share = {"womens-shoppers": 0.4, "everyone-else": 0.6}
    assert largest((row["segment"] for row in sample_epochs()), share=share) == ["womens-shoppers", "everyone-else"]


def test_labels_of_small_neighbours_do_not_overlap_and_stay_inside() -> None:
    weights = {"a": 0.01, "b": 0.01, "c": 0.01, "d": 0.97}
    rows = [
        Epoch(at="2026-12-01T10:00:00Z", epoch=1, segment="s", arm=arm, role="mass", weight=weight)
        for arm, weight in weights.items()
    ]
    placed = [label["middle"] for label in labels(rows, until="", order={arm: i for i, arm in enumerate(weights)})]
    assert placed == sorted(placed)
    assert min(high - low for low, high in zip(placed, placed[1:], strict=False)) >= 0.139
    assert 0 <= placed[0] and placed[-1] <= 1


@pytest.mark.parametrize(
    ("until", "expected"),
    [("2026-12-02T00:00:00Z", "%H:%M"), ("2026-12-20T00:00:00Z", "%-d %b"), ("2028-12-01T00:00:00Z", "%b %Y")],
)
def test_the_time_axis_is_written_as_its_span_asks(until: str, expected: str) -> None:
    assert time_format(sample_epochs(2), until=until) == expected


def test_an_unchanged_row_of_the_ledger_is_no_epoch() -> None:
    rows = [row | {"kind": "unchanged"} for row in sample_allocations(2)]
    assert epoch_rows(rows, role_by_arm=ROLES) == []


def test_an_arm_has_the_colour_of_its_role_everywhere() -> None:
    colours = arm_colours(ROLES)
    assert list(colours) == ["nothing", "one-letter", "womens-letter", "mens-letter"]
    assert len(set(colours.values())) == 4
    assert set(colours.values()) <= colours_in(render_svg(traffic_chart(sample_epochs())))
    assert arm_colours({"x": "mass"})["x"] == colours["one-letter"]


def test_a_segment_that_is_not_settled_has_no_winners_colour() -> None:
    segments = sample_report()["verdict"]["segments"]
    undecided = [segment | {"call": "keep_testing"} for segment in segments]
    winners = {CALL_COLOURS["tailor"], CALL_COLOURS["mass"]}
    assert CALL_COLOURS["tailor"] in colours_in(render_svg(gain_chart(segments, title="Gain")))
    assert not winners & colours_in(render_svg(gain_chart(undecided, title="Gain")))


def test_gains_are_drawn_in_the_unit_asked_for() -> None:
    spec = gain_chart(sample_report()["verdict"]["segments"], title="Percentage points", scale=100)
    row = spec["data"]["values"][0]
    assert (row["low"], row["mean"], row["high"]) == pytest.approx((0.07, 0.41, 0.75))
    assert [row["segment"] for row in spec["data"]["values"]] == ["womens-shoppers", "mens-shoppers"]
    assert spec["description"].startswith("Percentage points: womens-shoppers +0.41 (0.07 to 0.75), tailor.")


def test_a_drawing_says_what_it_shows() -> None:
    root = ElementTree.fromstring(render_svg(traffic_chart(sample_epochs())))
    names = {child.tag.rpartition("}")[2]: child.text for child in root}
    assert root.get("role") == "img"
    assert names["title"] == "How traffic moved"
    assert "womens-shoppers: nothing 10%, one-letter 8%, womens-letter 82%." in (names["desc"] or "")
    assert root.get("aria-label") == f"How traffic moved. {names['desc']}"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_drawn_as_text_and_nothing_else(text: str) -> None:
    epochs = [row | {"segment": f"{text} {row['segment']}", "arm": text + row["arm"]} for row in sample_epochs(2)]
    segments = [row | {"segment": text + row["segment"]} for row in sample_report()["verdict"]["segments"]]
    for spec in (traffic_chart(epochs), gain_chart(segments, title="Gain")):
        root = ElementTree.fromstring(render_svg(spec))
        tags = {element.tag.rpartition("}")[2] for element in root.iter()}
        attributes = {name for element in root.iter() for name in element.attrib}
        assert tags <= {"svg", "title", "desc", "style", "g", "rect", "path", "line", "text", "tspan"}
        assert not any(name.startswith("on") or "href" in name or name == "style" for name in attributes)


@pytest.mark.parametrize(
    "character", ["\0", "\x1b", "\n", "\u2028", "\ud800", "\uffff", "\\", "\"", "'", "{", "\U0001f468", ""],
)
def test_no_character_of_a_name_stops_the_drawing(character: str) -> None:
    name = f"{character};x{character}" * 20
    epochs = [row | {"segment": name, "arm": name} for row in sample_epochs(1)[:1]]
    segment = sample_report()["verdict"]["segments"][0] | {"segment": name}
    for spec in (traffic_chart(epochs), gain_chart([segment], title="Gain")):
        assert ElementTree.fromstring(render_svg(spec)).tag == "{http://www.w3.org/2000/svg}svg"


def test_a_drawing_names_no_address_to_load_from() -> None:
    svg = render_svg(traffic_chart(sample_epochs())) + render_svg(gain_chart([], title="Gain"))
    assert set(re.findall(r"https?://[^\"]*|url\(|@import", svg)) <= {"http://www.w3.org/2000/svg"}


def test_nothing_to_draw_is_an_empty_drawing() -> None:
    assert render_svg(traffic_chart([])).startswith("<svg")
