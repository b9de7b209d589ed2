"""The report's page in a real Chromium, under the policy that the server sends."""

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any
from typing import Literal

import pytest
from flask import Flask
from playwright.sync_api import Browser
from playwright.sync_api import Page

from service.pages import bp
from service.pages import render_report
from service.report.charts import NAMES
from service.requests import headers
from tests.service.browsers import barriers
from tests.service.browsers import opened
from tests.service.browsers import overflow
from tests.service.reports import hostile_allocations
from tests.service.reports import hostile_report
from tests.service.reports import many_segments
from tests.service.reports import sample_allocations
from tests.service.reports import sample_report
from tests.service.reports import thin_report
from tests.service.sites import serving

pytestmark = pytest.mark.browser

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def alarming() -> dict[str, Any]:
    report = sample_report()
    report["watermark"] = "2026-07-01T08:00:00Z"
    report["diagnostics"].update(sample_ratio={"p_value": 1e-9, "alarm": True}, complete=False, intervals_valid=False)
    return report


PAGES = {
    "sample": lambda: render_report(sample_report(), sample_allocations()),
    "thin": lambda: render_report(thin_report(), sample_allocations(1)),
    "alarming": lambda: render_report(alarming(), sample_allocations()),
    "many": lambda: render_report(many_segments(50), sample_allocations()),
    "hostile": lambda: render_report(hostile_report("w" * 300), hostile_allocations("w" * 300)),
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server of these pages, with the headers of the real one."""
    app = Flask("service")
    headers.init_app(app)
    app.register_blueprint(bp)
    app.add_url_rule("/<name>", "page", cache(lambda name: PAGES[name]()))
    with serving(app) as address:
        yield address


def every_image_is_drawn(page: Page) -> bool:
    return bool(page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)"))


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


@pytest.mark.parametrize("name", ["sample", "thin", "alarming", "many", "hostile"])
def test_the_page_fits_every_width_and_breaks_no_policy(chromium: Browser, address: str, name: str) -> None:
    with opened(chromium, f"{address}/{name}") as page:
        for scheme, width in product(SCHEMES, (390, 1024, 1600)):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 900})
            page.reload()
            assert overflow(page) <= 0, (scheme, width)
            assert every_image_is_drawn(page), (scheme, width)


def test_the_page_follows_the_readers_light_or_dark(chromium: Browser, address: str) -> None:
    seen = set()
    for scheme in ("light", "dark"):
        with opened(chromium, f"{address}/sample", color_scheme=scheme) as page:
            seen.add(background(page))
    assert len(seen) == 2


def test_the_quiet_sections_open_by_keyboard(chromium: Browser, address: str) -> None:
    with opened(chromium, f"{address}/sample") as page:
        page.focus("#checks summary")
        page.keyboard.press("Enter")
        assert page.is_visible("text=Outcomes whose exposure never came.")


def test_the_first_key_leads_past_the_top(chromium: Browser, address: str) -> None:
    with opened(chromium, f"{address}/sample") as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("name", ["sample", "alarming", "thin"])
def test_the_page_prints_on_one_sheet(chromium: Browser, address: str, name: str) -> None:
    with opened(chromium, f"{address}/{name}") as page:
        sheets = page.pdf(prefer_css_page_size=True, print_background=True).count(b"/Type /Page\n")
    assert sheets == 1


@pytest.mark.parametrize("name", ["sample", "thin", "alarming", "many"])
def test_the_page_is_for_everybody(chromium: Browser, address: str, name: str) -> None:
    with opened(chromium, f"{address}/{name}") as page:
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.reload()
            assert barriers(page) == [], scheme


def test_an_explained_word_says_what_it_means_and_goes_again(chromium: Browser, address: str) -> None:
    with opened(chromium, f"{address}/sample") as page:
        explanation = page.locator("#explain-range")
        assert not explanation.is_visible()
        page.focus("button[popovertarget=explain-range]")
        page.keyboard.press("Enter")
        assert explanation.is_visible()
        assert barriers(page, within="#explain-range") == []
        page.keyboard.press("Escape")
        assert not explanation.is_visible()


def test_nothing_on_the_page_needs_a_script(chromium: Browser, address: str) -> None:
    with opened(chromium, f"{address}/sample", java_script_enabled=False) as page:
        page.click("button[popovertarget=explain-gain]")
        assert page.locator("#explain-gain").is_visible()
        page.keyboard.press("Escape")
        page.click("#checks summary")
        assert page.is_visible("text=Outcomes whose exposure never came.")


def test_charts_of_certainty_and_reach_stay_off_the_paper(chromium: Browser, address: str) -> None:
    with opened(chromium, f"{address}/sample") as page:
        page.emulate_media(media="print")
        shown = [name for name in NAMES if page.locator(f"figure#{name}").is_visible()]
        assert shown == ["gains", "traffic", "savings"]
        assert not page.locator("button").first.is_visible()
