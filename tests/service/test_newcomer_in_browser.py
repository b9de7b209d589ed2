"""One campaign from the first command to the last page, as somebody meets it who is new, at the real server."""

import csv
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser
from playwright.sync_api import Page
from playwright.sync_api import expect

from experiments.verification import verify
from service.config import load_config
from service.installation import open_installation
from tests.service.browsers import NEW
from tests.service.browsers import fill
from tests.service.browsers import go_on
from tests.service.browsers import log_in
from tests.service.browsers import opened
from tests.service.browsers import press
from tests.service.people import PASSWORD
from tests.service.processes import Installed
from tests.service.processes import ServerProcess

pytestmark = pytest.mark.browser

ANN, BOB = "ann@shop.example", "bob@shop.example"
PLACE = "/experiments/autumn-letters"
VISITORS = 400


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server as the README has it begun: a database, an admin, and a colleague who reads."""
    installed = Installed(tmp_path_factory.mktemp("newcomer"))
    installed.done("init")
    for email, role in ((ANN, "admin"), (BOB, "viewer")):
        installed.done("user", "create", email, "--role", role, "--password-stdin", stdin=PASSWORD)
    process = ServerProcess(installed)
    yield process
    process.end()


@pytest.fixture(scope="module")
def address(server: ServerProcess) -> str:
    return server.address


def test_a_campaign_from_its_first_idea_to_its_end(
    chromium: Browser, server: ServerProcess, address: str, tmp_path: Path
) -> None:
    with opened(chromium, address, base_url=address) as page:
        expect(page).to_have_title("Log in · Bespoke")
        log_in(page, email=ANN)
        page.get_by_role("link", name="Set up the first one").click()
        set_up(page)
        start(page)
        sell(server, visitors=VISITORS)
        expect_report(page)
        act(page, "Pause", reason="The printer is late.")
        act(page, "Resume", reason="It has printed.")
        act(page, "Send everybody the winner", reason="The season ends.")
        act(page, "Undo, and let traffic move", reason="It goes on for a week.")
        expect_ledger(page)
        take_away(page, tmp_path)
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    beside = open_installation(load_config(server.installed.settings))
    assert verify(beside.store) == []
    beside.close()


def set_up(page: Page) -> None:
    """Six steps, and one mistake that is pointed at."""
    fill(page, {"name": "Autumn letters", "audience": "many"})
    press(page, "Save and continue")
    expect(page.locator("#errors")).to_be_focused()
    expect(page.locator("#audience-fault")).to_contain_text("'many' must be a number")
    fill(page, {"audience": "20000"})
    go_on(page, "Who gets what")
    press(page, "Add an attribute")
    fill(page, {"attributes[0].name": "womens", "attributes[0].value": "boolean"})
    press(page, "Add a segment")
    fill(page, {
        "segments[0].name": "Women's clothing", "segments[0].kind": "behavioral",
        "segments[0].rule.rows[0].attribute": "womens", "segments[0].rule.rows[0].value": "true",
    })
    go_on(page, "The messages")
    press(page, "Add a message")
    fill(page, {
        "arms[1].message[0].value": "Autumn is here", "arms[2].key": "womens-letter",
        "arms[2].message[0].value": "New in women's",
    })
    page.get_by_label("women-s-clothing").or_(page.get_by_label("womens-clothing")).check()
    go_on(page, "What counts")
    fill(page, {"metrics[0].event": "Order Completed", "metrics[0].value": "40"})
    go_on(page, "How traffic is shared out")
    go_on(page, "Check and finish")


def start(page: Page) -> None:
    """The pre-flight, and the button below it."""
    page.get_by_role("link", name="Go to the pre-flight").click()
    page.get_by_label("How long would it run?").fill("5")
    press(page, "Simulate the campaign")
    expect(page.get_by_role("table", name="Ways to share traffic out")).to_be_visible()
    press(page, "Start the campaign")
    expect(page.locator("h1")).to_have_text("Nobody has been exposed yet.")


def sell(server: ServerProcess, *, visitors: int) -> None:
    """Traffic over HTTP: everybody asks and reaches the slot; those with a letter of their own buy more often."""
    key = server.installed.key("client")
    rng, events = np.random.default_rng(5), []
    for number in range(visitors):
        visitor = f"visitor-{number}"
        context = {"targetingKey": visitor, "womens": number % 2 == 0}
        path = "/ofrep/v1/evaluate/flags/autumn-letters"
        status, answer = server.ask("POST", path, {"context": context}, key=key)
        assert status == 200, answer
        reached = {"experiment_id": "autumn-letters", "token": answer["metadata"]["token"]}
        events.append({"type": "track", "userId": visitor, "event": "Experiment Viewed", "properties": reached})
        if rng.random() < (0.5 if answer["variant"] == "womens-letter" else 0.1):
            events.append({"type": "track", "userId": visitor, "messageId": visitor, "event": "Order Completed"})
    for first in range(0, len(events), 200):
        status, answer = server.ask("POST", "/v1/batch", {"batch": events[first:first + 200]}, key=key)
        assert (status, answer["rejected"], answer["ignored"]) == (200, 0, 0), answer


def expect_report(page: Page) -> None:
    page.reload()
    expect(page.locator("h1")).to_contain_text("Tailor for")
    expect(page.get_by_role("region", name="Results over all segments")).to_contain_text("womens-letter")
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")


def act(page: Page, title: str, *, reason: str) -> None:
    """One question, one reason."""
    page.goto(f"{PLACE}/actions")
    page.get_by_role("link", name=f"{title}…").click()
    page.get_by_role("button", name=title, exact=True).click()
    expect(page.get_by_role("alert").or_(page.locator("#reason:invalid"))).to_be_visible()
    page.get_by_label("Why?").fill(reason)
    page.get_by_role("button", name=title, exact=True).click()
    expect(page.get_by_text(reason)).to_be_visible()


def expect_ledger(page: Page) -> None:
    page.get_by_role("link", name="Everything before it").click()
    assert page.locator(".decision h2").all_inner_texts() == [
        "Weights let go: back to those before", "Everybody was sent the winner", "Resumed", "Paused", "Started",
    ]
    for reason in ("The printer is late.", "It has printed.", "The season ends.", "It goes on for a week."):
        expect(page.get_by_text(reason)).to_be_visible()
    page.goto("/audit")
    expect(page.get_by_role("cell", name="reason: The season ends.")).to_be_visible()


def take_away(page: Page, folder: Path) -> None:
    """The charts, the figures, and the page on paper."""
    page.goto(PLACE)
    starts = {"table for Excel": b"\xef\xbb\xbfsegment,arm", "plain CSV": b"segment,arm"}
    title = "What tailoring gains in each segment"
    for name, start in {**starts, f"{title} as PNG": b"\x89PNG", f"{title} as SVG": b"<svg"}.items():
        with page.expect_download() as taken:
            page.get_by_role("link", name=name, exact=True).click()
        path = folder / taken.value.suggested_filename
        taken.value.save_as(path)
        assert path.read_bytes().startswith(start), name
    rows = list(csv.DictReader(StringIO((folder / "autumn-letters-figures.csv").read_text())))
    assert sum(int(row["visitors"]) for row in rows if not row["segment"] and row["visitors"]) == VISITORS
    assert page.pdf(prefer_css_page_size=True).count(b"/Type /Page\n") == 1


def test_who_has_the_link_reads_the_report_and_nothing_else(
    chromium: Browser, server: ServerProcess, address: str
) -> None:
    link = server.installed.done("report", "autumn-letters", "--link").replace("http://127.0.0.1:8000", address)
    with opened(chromium, link) as page:
        expect(page.locator("h1")).to_contain_text("Tailor for")
        page.get_by_role("link", name="What tailoring gains in each segment as SVG").wait_for()
        for path in ("/", f"{PLACE}/ledger"):
            page.goto(address + path)
            expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        # Not the last character, of which some bits say nothing.
        altered = link[:-5] + ("A" if link[-5] != "A" else "B") + link[-4:]
        for wrong in (altered, link.replace("autumn-letters", "other")):
            page.goto(wrong)
            expect(page.get_by_role("heading", name="This link does not open")).to_be_visible()
    ended = server.installed.done("report", "autumn-letters", "--link", BESPOKE_LINK_LIFETIME="1s")
    with opened(chromium, "about:blank") as page:
        page.wait_for_timeout(1_100)
        page.goto(ended.replace("http://127.0.0.1:8000", address))
        expect(page.get_by_text("The link has expired")).to_be_visible()


def test_a_colleague_who_reads_is_refused_to_act(chromium: Browser, address: str) -> None:
    with opened(chromium, f"{address}{PLACE}", base_url=address) as page:
        log_in(page, email=BOB)
        expect(page.locator("h1")).to_contain_text("Tailor for")
        expect(page.get_by_role("link", name="Act", exact=True)).to_have_count(0)
        for path in (f"{PLACE}/actions", f"{PLACE}/actions/stop", f"{PLACE}/edit", NEW, "/audit"):
            page.goto(path)
            expect(page.get_by_role("heading", name="This is not open to you")).to_be_visible()


def test_who_guesses_a_password_waits(chromium: Browser, address: str) -> None:
    with opened(chromium, f"{address}/login") as page:
        for _ in range(10):
            log_in(page, email=BOB, password="a wrong password")
            expect(page.get_by_role("alert")).to_have_text("The e-mail or the password is wrong.")
        log_in(page, email=BOB)
        expect(page.get_by_role("alert")).to_contain_text("Too many attempts to log in: try again in")
