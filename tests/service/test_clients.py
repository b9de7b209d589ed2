"""The published clients work as they are: what docs/clients.md prints runs, and what it says arrives."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import Page

from tests.service.origins import serving
from tests.service.origins import write_page
from tests.service.processes import wait_until
from tests.service.programs import Campaign
from tests.service.programs import Figures
from tests.service.programs import campaign_in
from tests.service.programs import local_evaluation
from tests.service.programs import printed
from tests.service.programs import printed_names

CLIENTS = "docs/clients.md"

#: Each program decides on Ann's letter, prints the arm first, says that her slot was reached, and that she spent 59.90.
PROGRAMS = [
    (CLIENTS, "python", "openfeature", "segment"),
    (CLIENTS, "python", "openfeature", "rudderstack"),
    (CLIENTS, "js", "openfeature", "segment"),
    (CLIENTS, "python", "tracking", "hook", "slot"),
    (CLIENTS, "js", "tracking", "hook", "slot"),
]
#: These do the same in a page.
WEB_PROGRAMS = [
    (CLIENTS, "js", "openfeature-web"),
    (CLIENTS, "js", "web-tracking", "hook", "web-slot"),
]
#: These draw the arm themselves; what Ann spent comes from the shop's own server.
LOCAL_PROGRAMS = [
    (CLIENTS, "python", "growthbook"),
    (CLIENTS, "js", "growthbook"),
]
SCRIPT = [(CLIENTS, "html", "sdk"), (CLIENTS, "js", "sdk")]


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    """The example on a server that its programs share."""
    with campaign_in(tmp_path_factory.mktemp("campaign")) as campaign:
        yield campaign


@pytest.fixture(scope="module")
def local_campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    """The example, to be evaluated by SDKs, on a server that its programs share."""
    with campaign_in(tmp_path_factory.mktemp("local"), document=local_evaluation()) as campaign:
        yield campaign


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """The folder of a shop's pages."""
    folder = tmp_path / "pages"
    folder.mkdir()
    return folder


@pytest.fixture
def shop(pages: Path) -> Iterator[str]:
    """The origin of a shop's pages."""
    with serving(pages) as origin:
        yield origin


@pytest.fixture
def web_campaign(tmp_path: Path, shop: str) -> Iterator[Campaign]:
    """The example on a server of its own, with a client key for the shop's pages only."""
    with campaign_in(tmp_path, origins=[shop]) as campaign:
        yield campaign


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page of a browser that was never anywhere."""
    with chromium.new_context() as context:
        yield context.new_page()


def ann_in(campaign: Campaign, place: tuple[str, str]) -> Figures:
    """What is counted there of Ann, who is the only visitor."""
    counted = campaign.counted()
    assert counted.keys() <= {place}
    return counted.get(place, (0, 0, 0, 0))


@pytest.mark.parametrize("program", PROGRAMS, ids="-".join)
def test_a_printed_program_is_counted_on_the_arm_that_the_server_gives(
    campaign: Campaign, program: tuple[str, ...]
) -> None:
    given = campaign.evaluate("ann", womens=True, first_name="Ann")
    place = given["metadata"]["segment"], given["variant"]
    _, exposures, _, spent = ann_in(campaign, place)
    output = campaign.run(program[1], printed(*program))
    assert output.split()[0] == given["variant"]
    assert ann_in(campaign, place) == (1, exposures + 1, 1, pytest.approx(spent + 59.9))
    assert campaign.evaluate("ann")["metadata"]["cause"] == "sticky"
    campaign.verify()


@pytest.mark.parametrize("program", LOCAL_PROGRAMS, ids="-".join)
def test_a_printed_program_that_draws_itself_is_counted_on_the_arm_that_the_server_gives(
    local_campaign: Campaign, program: tuple[str, ...]
) -> None:
    given = local_campaign.evaluate("ann", womens=True)
    place = given["metadata"]["segment"], given["variant"]
    _, exposures, _, spent = ann_in(local_campaign, place)
    output = local_campaign.run(program[1], printed(*program))
    assert output.split()[0] == given["variant"]
    local_campaign.buy("ann", 59.9)
    assert ann_in(local_campaign, place) == (1, exposures + 1, 1, pytest.approx(spent + 59.9))
    local_campaign.verify()


@pytest.mark.browser
@pytest.mark.parametrize("program", WEB_PROGRAMS, ids="-".join)
def test_a_printed_program_in_a_page_of_another_origin_is_counted_on_the_arm_that_the_server_gives(
    web_campaign: Campaign, pages: Path, shop: str, page: Page, program: tuple[str, ...]
) -> None:
    given = web_campaign.evaluate("ann", womens=True, first_name="Ann")
    write_page(pages, web_campaign.filled_in(printed(*program)))
    with page.expect_console_message(lambda message: message.type == "log") as said:
        page.goto(shop)
    assert said.value.text.split()[0] == given["variant"]
    wait_for_order(web_campaign, page)
    place = given["metadata"]["segment"], given["variant"]
    assert web_campaign.counted() == {place: (1, 1, 1, 59.9)}
    web_campaign.verify()


@pytest.mark.browser
def test_the_printed_script_in_a_page_of_another_origin_is_counted_on_the_arm_that_the_server_gives(
    web_campaign: Campaign, pages: Path, shop: str, page: Page
) -> None:
    html, script = (printed(*block) for block in SCRIPT)
    (pages / "index.html").write_text(f"<!doctype html><title>Shop</title>{web_campaign.filled_in(html)}")
    page.goto(shop)
    while not (arm := arm_shown(page)):
        # An answer that came too late counts from the next page on.
        page.reload()
    page.evaluate(script)
    wait_for_order(web_campaign, page)
    given = web_campaign.evaluate(page.evaluate("JSON.parse(localStorage['bespoke.visitor'])"))
    assert arm == given["variant"]
    assert web_campaign.counted() == {("everyone-else", arm): (1, 1, 1, 59.9)}
    web_campaign.verify()


def arm_shown(page: Page) -> str | None:
    """The arm of the page's slot, once it is decided; empty where the page's own content stands."""
    return page.locator("[data-bespoke-arm]").get_attribute("data-bespoke-arm")


def wait_for_order(campaign: Campaign, page: Page) -> None:
    """Wait until what a page says last has been counted."""

    def is_counted() -> bool:
        page.wait_for_timeout(10)
        return [row[2] for row in campaign.counted().values()] == [1]

    wait_until(is_counted, what="the page's order is counted")


def test_every_printed_program_is_run() -> None:
    programs = PROGRAMS + WEB_PROGRAMS + LOCAL_PROGRAMS + SCRIPT
    assert {(program[1], name) for program in programs for name in program[2:]} == printed_names(CLIENTS)
