"""The report's page: what a marketer reads, and what no name can do to it."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask

from service.pages import bp
from service.pages import inline_stylesheet
from service.pages import minus
from service.pages import render_report
from service.report.explanations import EXPLANATIONS
from tests.service.reports import HOSTILE
from tests.service.reports import hostile_allocations
from tests.service.reports import hostile_report
from tests.service.reports import many_segments
from tests.service.reports import sample_allocations
from tests.service.reports import sample_report
from tests.service.reports import single_segment_allocations
from tests.service.reports import single_segment_report
from tests.service.reports import thin_report
from tests.service.reports import unprofitable_report

VOID = {"meta", "link", "img", "source", "br", "hr", "input"}


class Page(HTMLParser):
    """A page taken apart: its text, its tags, and whether they close."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        """All that is read, one space between words."""
        return " ".join(" ".join(self.words).split())

    def having(self, tag: str, name: str) -> list[dict[str, str | None]]:
        """The tags of a kind that have an attribute."""
        return [attributes for found, attributes in self.tags if found == tag and name in attributes]


@pytest.fixture(autouse=True)
def context() -> Iterator[None]:
    """Templates need an application, and this much of one."""
    app = Flask("service")
    app.register_blueprint(bp)
    with app.app_context():
        yield


def page_of(report: dict[str, Any], allocations: list[dict[str, Any]] | None = None) -> Page:
    return Page(render_report(report, sample_allocations(4) if allocations is None else allocations))


def figures_of(page: Page) -> list[str | None]:
    """The names of the page's charts."""
    return [attributes["id"] for attributes in page.having("figure", "id")]


def test_the_page_says_what_to_do_and_what_it_is_worth() -> None:
    text = page_of(sample_report()).text
    assert "Tailor for womens-shoppers; keep testing mens-shoppers; send everyone else the one letter." in text
    assert "+0.17 percentage points" in text
    assert "the mix brings about 17 conversions more for every 10,000 visitors." in text
    assert "With 95% certainty the difference is 0.02 to 0.32 percentage points." in text
    assert "As of 1 December 2026, 14:00 UTC · epoch 18" in text
    assert "posterior" not in text and "credible" not in text


def test_each_segment_has_its_call_its_gain_and_its_share() -> None:
    text = page_of(sample_report()).text
    assert "Tailor womens-shoppers Send womens-letter instead of one-letter. Gain +0.41 points 0.07 to 0.75" in text
    assert "Pays for itself at 1,524 visitors" in text and "Pays for itself not so far" in text
    assert "Keep testing mens-shoppers mens-letter against one-letter is not settled yet. Gain −0.06 points" in text
    assert "Send the one message everyone-else" in text
    assert "Share of visitors 41%" in text


def test_each_arm_has_its_figures() -> None:
    text = page_of(sample_report()).text
    figures = "5,310 88 1.68% 1.35 to 2.04% +0.41 0.07 to 0.75 +1.01 0.50 to 1.39 >99% 82% €107.79 €3,520.00 €0.6426"
    assert f"womens-letter tailored {figures} 31.7x" in text
    assert "1,524 visitors" in text


def test_only_an_arm_that_is_called_for_is_marked() -> None:
    marked = [row["class"] for row in page_of(sample_report()).having("tr", "class")]
    assert marked == ["called tailored", "called mass"]


def test_rows_of_too_few_visitors_say_so_and_show_nothing_else() -> None:
    text = page_of(sample_report()).text
    assert "no-personalisation hidden: fewer than 10 visitors for each arm" in text
    report = sample_report()
    report["method"]["min_cell"] = 25
    assert "hidden: fewer than 25 visitors" in page_of(report).text


def test_a_page_without_data_promises_nothing() -> None:
    page = page_of(thin_report())
    assert "Nobody has been exposed yet." in page.text
    assert "Nothing can be said yet" in page.text
    assert "nothing to compare yet" in page.text
    assert "gains" not in figures_of(page) and "savings" not in figures_of(page)
    assert "Too little has been seen in womens-shoppers, mens-shoppers, everyone-else" in page.text
    assert "None" not in page.text and "nan" not in page.text.split()


def test_a_campaign_of_one_segment_weighs_no_mix() -> None:
    page = page_of(single_segment_report(), single_segment_allocations())
    assert "there is no mix to weigh" in page.text
    assert figures_of(page) == ["certainty", "traffic", "reach"]


def test_a_loss_is_said_in_money() -> None:
    text = page_of(unprofitable_report()).text
    assert "No message pays" in text
    assert "−€0.12 per visitor" in text
    assert "the mix brings about €1,200 less for every 10,000 visitors." in text
    assert "the difference is −€0.22 to −€0.02 per visitor." in text


def test_an_interval_on_both_sides_of_zero_is_not_called_a_gain() -> None:
    report = sample_report()
    report["verdict"]["tailoring"]["gain_per_visitor"].update(low=-0.001)
    assert "this is not settled: −0.10 to 0.32 percentage points fits what was seen." in page_of(report).text


def test_a_report_says_where_weights_differ_inside_segments() -> None:
    report = sample_report()
    assert "Weights differ inside segments" not in page_of(report).text
    report["method"]["policy"]["kind"] = "contextual_thompson"
    assert "Weights differ inside segments too" in page_of(report).text


def test_a_report_that_names_no_goal_means_its_first_metric() -> None:
    report = sample_report()
    del report["goal"]
    assert "goal: purchase" in page_of(report).text


def test_a_goal_in_money_is_written_in_money() -> None:
    report = sample_report()
    report["goal"]["kind"] = "value"
    text = page_of(report).text
    assert "percentage points" not in text
    assert "Per visitor" in text and "€88.00" in text


def test_checks_are_quiet_while_nothing_is_wrong() -> None:
    page = page_of(sample_report())
    assert "Nothing wrong was found" in page.text
    assert not any(attributes.get("role") == "alert" for _, attributes in page.tags)
    assert page.having("details", "open") == []


@pytest.mark.parametrize(
    ("diagnostics", "warning"),
    [
        ({"sample_ratio": {"p_value": 1e-9, "alarm": True}}, "Visitors did not arrive in the planned shares. Find the"),
        ({"intervals_valid": False, "notes": ["Too few in mens-shoppers."]}, "Conversions are too rare in places"),
    ],
)
def test_checks_are_loud_when_something_is_wrong(diagnostics: dict[str, Any], warning: str) -> None:
    report = sample_report()
    report["diagnostics"].update(diagnostics)
    page = page_of(report)
    assert warning in page.text
    assert "Nothing wrong was found" not in page.text
    assert sum(attributes.get("role") == "alert" for _, attributes in page.tags) == 1
    assert [details["id"] for details in page.having("details", "open")] == ["checks"]


def test_from_a_part_of_the_data_it_is_said_since_when_and_that_nothing_is_decided() -> None:
    report = {**sample_report(), "watermark": "2026-11-30T09:58:00Z"}
    report["diagnostics"]["complete"] = False
    page = page_of(report)
    assert "Not all that came since 30 November 2026, 09:58 UTC is counted yet" in page.text
    assert "Until it is, nothing here is decided and traffic stays as it is." in page.text
    assert sum(attributes.get("role") == "alert" for _, attributes in page.tags) == 1


def test_charts_are_described_images_for_wide_pages_and_for_phones() -> None:
    page = page_of(sample_report())
    words = dict(zip(figures_of(page), [image["alt"] for image in page.having("img", "alt")], strict=True))
    assert words == {
        "gains": "Percentage points, against the one message: womens-shoppers +0.41 (0.07 to 0.75), tailor."
        " mens-shoppers -0.06 (-0.5 to 0.38), keep testing.",
        "certainty": "What each arm may truly bring per visitor:"
        " womens-shoppers: one-letter 1.26% (0.97 to 1.59%), womens-letter 1.68% (1.35 to 2.04%)."
        " mens-shoppers: one-letter 1.17% (0.88 to 1.51%), mens-letter 1.12% (0.83 to 1.45%)."
        " everyone-else: one-letter 1.10% (0.85 to 1.39%).",
        "traffic": "The share of visitors that each arm was given over time, up to epoch 4; now:"
        " womens-shoppers: nothing 10%, one-letter 8%, womens-letter 82%."
        " mens-shoppers: nothing 10%, one-letter 55%, mens-letter 35%. everyone-else: nothing 10%, one-letter 90%.",
        "savings": "Conversions from 2026-11-20 to 2026-11-30: +19 conversions (3 to 37 conversions).",
        "reach": "Visitors reached: nothing 2,843, one-letter 15,230, womens-letter 5,310, mens-letter 4,470."
        " Cost: nothing €0.00, one-letter €309.17, womens-letter €107.79, mens-letter €90.74."
        " Conversions: nothing 17, one-letter 176, womens-letter 88, mens-letter 49."
        " Cost per conversion: nothing €0.00, one-letter €1.76, womens-letter €1.22, mens-letter €1.85.",
    }
    assert len(page.having("source", "srcset")) == 5


def test_a_page_without_allocations_draws_no_traffic() -> None:
    assert figures_of(page_of(sample_report(), [])) == ["gains", "certainty", "savings", "reach"]


def test_charts_of_many_segments_say_which_are_drawn() -> None:
    report, allocations = sample_report(), sample_allocations(1)
    first = report["verdict"]["segments"][0]
    report["verdict"]["segments"] = [first | {"segment": f"segment-{number}"} for number in range(14)]
    weights = allocations[0]["weights"]["womens-shoppers"]
    allocations[0]["weights"] = {f"segment-{number}": weights for number in range(14)}
    assert "Drawn are the 12 largest of 14 segments." in page_of(report, allocations).text


def test_a_page_runs_no_script_and_styles_nothing_by_hand() -> None:
    tags = page_of(sample_report()).tags
    assert not {"script", "style", "iframe", "object"} & {tag for tag, _ in tags}
    assert not any(name == "style" or name.startswith("on") for _, attributes in tags for name in attributes)


def test_every_table_is_headed_and_every_image_described() -> None:
    page = page_of(sample_report())
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")
    assert [tag for tag, _ in page.tags].count("h1") == 1
    assert page.having("html", "lang")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_text(text: str) -> None:
    plain = [tag for tag, _ in page_of(_loud(sample_report())).tags]
    page = page_of(hostile_report(text), hostile_allocations(text))
    assert sorted(tag for tag, _ in page.tags) == sorted(plain)
    assert " ".join(text.split()) in page.text
    addresses = [attributes[name] for _, attributes in page.tags for name in ("src", "href") if attributes.get(name)]
    assert all(re.match(r"data:image/svg\+xml;base64,|data:,$|/static/|#", address or "") for address in addresses)


def _loud(report: dict[str, Any]) -> dict[str, Any]:
    report["diagnostics"].update(intervals_valid=False)
    return report


def test_a_page_is_small_but_for_its_pictures() -> None:
    for report in (sample_report(), many_segments(50)):
        html = render_report(report, sample_allocations())
        assert len(re.sub(r"data:image/svg[^\"]*", "", html).encode()) < 100_000
    assert len(render_report(sample_report(), sample_allocations())) < 180_000


def test_every_word_that_can_be_asked_for_is_explained_once_and_every_explanation_can_be_reached() -> None:
    page = page_of(sample_report())
    asked = {button["popovertarget"] for button in page.having("button", "popovertarget")}
    explained = [attributes["id"] for attributes in page.having("div", "popover")]
    assert asked == set(explained) == {f"explain-{name}" for name in EXPLANATIONS}
    assert len(explained) == len(set(explained))
    assert not any("posterior" in text or "credible" in text for _, text in EXPLANATIONS.values())


def test_what_the_mix_brings_over_the_planned_audience_is_said_with_its_range() -> None:
    assert (
        "If everybody in the planned audience of 64,000 visitors got the best mix: "
        "about 109 conversions more (13 to 205 conversions)."
    ) in page_of(sample_report()).text
    report = sample_report()
    report["verdict"]["tailoring"]["gain_over_audience"].update(low=-9.0)
    assert "that would be anything from −9 to 205 conversions." in page_of(report).text
    report["verdict"]["tailoring"]["gain_over_audience"] = report["audience"] = None
    assert "audience" not in page_of(report).text


def test_uncorrected_figures_are_shown_where_they_differ() -> None:
    report = sample_report()
    assert "They are the same." in page_of(report).text
    report["naive"][2]["metrics"]["purchase"].update(mean=0.02, low=0.015, high=0.025)
    assert "1.68% 1.35 to 2.04% 2.00% 1.50 to 2.50%" in page_of(report).text


def test_a_page_offers_its_charts_and_figures_where_they_can_be_had() -> None:
    links = [link["href"] for link in page_of(sample_report()).having("a", "download")]
    assert links == []

    def file(name: str, **asked: str) -> str:
        return f"/there/{name}?{urlencode({'link': 'x', **asked})}"

    html = render_report(sample_report(), sample_allocations(4), file=file)
    links = [link["href"] for link in Page(html).having("a", "download")]
    assert "/there/charts/certainty.png?link=x" in links
    assert links[-2:] == ["/there/figures.csv?link=x&bom=true", "/there/figures.csv?link=x"]
    assert len(links) == 12


def test_a_page_that_stands_alone_holds_its_stylesheet() -> None:
    html = render_report(sample_report(), [], stylesheet=inline_stylesheet())
    assert 'href="data:text/css;base64,' in html
    assert "/static/" not in html


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("-0.60", "−0.60"), ("-€0.12", "−€0.12"), ("-CHF 0.12", "−CHF 0.12"), ("-", "–"),
        ("-1.01 to -0.10", "−1.01 to −0.10"), ("womens-letter 2", "womens-letter 2"), ("p = 1e-09", "p = 1e-09"),
    ],
)
def test_signs_are_typeset_and_names_are_left_alone(written: str, expected: str) -> None:
    assert minus(written) == expected
