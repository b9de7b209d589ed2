"""Every page there is, in its states: open to everybody, as far as axe can tell, and as wide as its window."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser
from playwright.sync_api import Page
from playwright.sync_api import StorageState
from playwright.sync_api import expect

from service.reference.operations import HTML
from service.reference.operations import operation_of
from service.setup.state import STEPS
from tests.service.browsers import NEW
from tests.service.browsers import barriers
from tests.service.browsers import log_in
from tests.service.browsers import opened
from tests.service.browsers import overflow
from tests.service.browsers import session_of
from tests.service.sites import serving
from tests.service.sites import showroom

pytestmark = pytest.mark.browser

_CAMPAIGN = "/experiments/spring-mailing"
_STEPS = [f"?step={step}" for step in STEPS]
#: Where each page is seen, by its endpoint.
PLACES = {
    "pages.home": ["/"],
    "pages.report_page": [
        _CAMPAIGN, "/experiments/autumn-flyer", "/experiments/gift-cards", "/experiments/summer-sale",
        "/experiments/loyalty-card", "/experiments/nothing", f"{_CAMPAIGN}?link=none",
    ],
    "pages.ledger_page": [f"{_CAMPAIGN}/ledger", f"{_CAMPAIGN}/ledger?before=x", "/experiments/loyalty-card/ledger"],
    "pages.audit_page": ["/audit", "/audit?subject=nothing", "/audit?limit=x"],
    "actions.actions_page": [f"/experiments/{key}/actions" for key in ("spring-mailing", "birthdays", "last-year")],
    "actions.ask": [f"{_CAMPAIGN}/actions/{act}" for act in ("finish", "stop", "resume")],
    "setup.new_form": [f"{NEW}{step}" for step in (*_STEPS, "?faults=1")],
    "setup.edit_form": [
        *(f"/experiments/loyalty-card/edit{step}" for step in _STEPS), f"{_CAMPAIGN}/edit?step=segments",
        "/experiments/summer-sale/edit?step=check", "/experiments/fifty/edit?step=messages",
        "/experiments/fifty/edit?step=segments&at=segments[9]",
    ],
    "setup.document_page": [f"{_CAMPAIGN}/document"],
    "gallery_page.gallery_page": ["/gallery"],
    "preflight.preflight_page": [
        "/experiments/loyalty-card/preflight", "/experiments/loyalty-card/preflight?days=3",
        "/experiments/loyalty-card/preflight?days=x&rate=y",
    ],
    "replay_page.replay_page": [f"{_CAMPAIGN}/replay", "/experiments/summer-sale/replay"],
    "discovery.discovery_page": ["/experiments/letters/discovery", f"{_CAMPAIGN}/discovery"],
    "frequency_page.frequency_page": [f"{_CAMPAIGN}/frequency", "/experiments/win-back/frequency"],
    "review_page.review_page": [
        f"{_CAMPAIGN}/review", "/experiments/summer-sale/review", "/experiments/fifty/review",
        f"{_CAMPAIGN}/review?since=x",
    ],
    "people.people_page": ["/people"],
    "privacy.privacy_page": ["/privacy"],
    "reference.docs": ["/docs"],
}
#: Pages for those who are not logged in.
OUTSIDE = {"login.ask": ["/login", "/login?next=//elsewhere"]}
READERS = [
    pytest.param({"viewport": {"width": 390, "height": 844}}, id="phone"),
    pytest.param(
        {"viewport": {"width": 1600, "height": 900}, "color_scheme": "dark"}, id="wide and dark", marks=pytest.mark.long
    ),
]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    with showroom(tmp_path_factory.mktemp("pages")) as app:
        yield app


@pytest.fixture(scope="module")
def address(app: Flask) -> Iterator[str]:
    with serving(app) as address:
        yield address


@pytest.fixture(scope="module")
def session(chromium: Browser, address: str) -> StorageState:
    """An admin's."""
    return session_of(chromium, address)


def test_no_page_is_forgotten(app: Flask) -> None:
    pages = set()
    for rule in app.url_map.iter_rules():
        operation = operation_of(app.view_functions[rule.endpoint])
        if operation and "GET" in (rule.methods or ()) and operation.answers[200].kind == HTML:
            pages.add(rule.endpoint)
    assert pages == PLACES.keys() | OUTSIDE.keys()


def check(page: Page, path: str) -> None:
    page.goto(path)
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert page.locator("h1").count() == 1, path
    assert overflow(page) <= 0, path
    assert barriers(page) == [], path


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("endpoint", PLACES)
def test_it_is_open_to_everybody_and_fits(
    chromium: Browser, address: str, session: StorageState, endpoint: str, reader: Any
) -> None:
    settings = {"base_url": address, "storage_state": session, "bypass_csp": True, **reader}
    with opened(chromium, "about:blank", **settings) as page:
        for path in PLACES[endpoint]:
            check(page, path)


@pytest.mark.parametrize("reader", READERS)
def test_the_pages_before_a_login_are_too(chromium: Browser, address: str, reader: Any) -> None:
    with opened(chromium, f"{address}/login", base_url=address, bypass_csp=True, **reader) as page:
        for path in (*OUTSIDE["login.ask"], f"{_CAMPAIGN}?link=none"):
            check(page, path)
        page.goto("/login")
        log_in(page, password="a wrong password")
        expect(page.get_by_role("alert")).to_be_visible()
        assert barriers(page) == []
        log_in(page, email="viewer@shop.example")
        expect(page.locator("h1")).to_have_text("Campaigns")
        for path in ("/", _CAMPAIGN, f"{_CAMPAIGN}/actions"):
            check(page, path)


@pytest.mark.parametrize("reader", READERS)
def test_so_are_the_answers_to_what_is_wrong(chromium: Browser, address: str, reader: Any) -> None:
    with opened(chromium, f"{address}/login", base_url=address, bypass_csp=True, **reader) as page:
        log_in(page, email="editor@shop.example")
        page.goto(f"{_CAMPAIGN}/actions/pause")
        # Else the browser itself asks for the reason.
        page.evaluate("document.querySelector('main form').noValidate = true")
        page.get_by_role("button", name="Pause", exact=True).click()
        expect(page.get_by_role("alert")).to_be_visible()
        assert barriers(page) == [] and overflow(page) <= 0
        page.goto(NEW)
        page.locator("#audience").fill("many")
        page.get_by_role("button", name="Save and continue").last.click()
        expect(page.locator("#errors")).to_be_visible()
        assert barriers(page) == [] and overflow(page) <= 0
        page.get_by_role("button", name="Discard my draft").click()


@pytest.mark.parametrize("reader", READERS)
def test_so_is_an_installation_in_which_nothing_is(
    chromium: Browser, tmp_path_factory: pytest.TempPathFactory, reader: Any
) -> None:
    with showroom(tmp_path_factory.mktemp("empty"), is_empty=True) as app, serving(app) as address:
        with opened(chromium, f"{address}/login", base_url=address, bypass_csp=True, **reader) as page:
            log_in(page)
            expect(page.get_by_text("There is none yet.")).to_be_visible()
            for path in ("/", "/audit"):
                check(page, path)
