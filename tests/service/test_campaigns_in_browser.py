"""Campaigns in a real Chromium: listed, acted on and undone by roles, by keyboard alone, on a phone, without script."""


import pytest
from playwright.sync_api import Browser
from playwright.sync_api import Page
from playwright.sync_api import expect

from experiments.verification import verify
from service.config import load_config
from service.installation import open_installation
from tests.service.browsers import log_in
from tests.service.browsers import opened
from tests.service.processes import ServerProcess

pytestmark = pytest.mark.browser

NAME = "Spring mailing: one letter for all, or one per taste?"


def act(page: Page, address: str, title: str, *, reason: str) -> None:
    page.goto(f"{address}/experiments/spring-mailing/actions")
    page.get_by_role("link", name=f"{title}…").click()
    page.get_by_label("Why?").fill(reason)
    page.get_by_role("button", name=title, exact=True).click()
    expect(page.get_by_text(reason)).to_be_visible()


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without"])
def test_an_editor_freezes_sends_the_winner_and_undoes_both(
    chromium: Browser, server: ServerProcess, address: str, script: bool
) -> None:
    with opened(chromium, f"{address}/login", java_script_enabled=script) as page:
        log_in(page, email="editor@shop.example")
        page.get_by_role("link", name=f"Act on {NAME}").click()
        act(page, address, "Freeze the weights", reason="The shop moves house.")
        expect(page.locator(".state", has_text="frozen")).to_be_visible()
        act(page, address, "Send everybody the winner", reason="The verdict is in.")
        act(page, address, "Undo, and let traffic move", reason="Too early.")
        expect(page.locator(".state", has_text="frozen")).to_have_count(0)
        page.get_by_role("link", name="Everything before it").click()
        headings = page.locator(".decision h2")
        assert headings.all_inner_texts()[:3] == [
            "Weights let go: back to those before", "Everybody was sent the winner", "Weights frozen"
        ]
        expect(page.get_by_text("The verdict is in.").first).to_be_visible()
    beside = open_installation(load_config(server.installed.settings))
    assert verify(beside.store) == []
    beside.close()


def test_a_viewer_reads_and_cannot_act(chromium: Browser, address: str) -> None:
    with opened(chromium, f"{address}/login") as page:
        log_in(page, email="viewer@shop.example")
        expect(page.get_by_role("link", name=NAME, exact=True)).to_be_visible()
        expect(page.get_by_role("link", name="Act on")).to_have_count(0)
        page.get_by_role("link", name=f"Why traffic moved in {NAME}").click()
        expect(page.get_by_role("heading", name="Started")).to_be_visible()
        page.goto(f"{address}/experiments/spring-mailing/actions/stop")
        expect(page.get_by_role("heading", name="This is not open to you")).to_be_visible()


def test_the_keyboard_alone_pauses_and_resumes(chromium: Browser, address: str) -> None:
    with opened(chromium, f"{address}/login") as page:
        log_in(page, email="editor@shop.example")
        for title in ("Pause", "Resume"):
            page.goto(f"{address}/experiments/spring-mailing/actions")
            _tab_to(page, f"{title}…")
            page.keyboard.press("Enter")
            expect(page.get_by_role("heading", name=f"{title}?")).to_be_visible()
            _tab_to(page, "Why?")
            page.keyboard.type("By keyboard.")
            page.keyboard.press("Enter")
            expect(page).to_have_url(f"{address}/experiments/spring-mailing/actions")
        page.goto(address)
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()


def _tab_to(page: Page, name: str) -> None:
    """Press Tab until something of this name has the focus."""
    for _ in range(40):
        page.keyboard.press("Tab")
        focused = "document.activeElement"
        if page.evaluate(f"({focused}.labels?.[0] ?? {focused}).innerText").strip().startswith(name):
            return
    pytest.fail(f"{name} cannot be reached by Tab")
