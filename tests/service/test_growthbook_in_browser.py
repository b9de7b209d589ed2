"""GrowthBook's published SDK in a page of another origin, in a real Chromium: the payload and the plugin cross over."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.service.origins import serving
from tests.service.origins import write_page
from tests.service.processes import wait_until
from tests.service.programs import Campaign
from tests.service.programs import campaign_in
from tests.service.programs import local_evaluation

pytestmark = pytest.mark.browser

_PROGRAM = """
import { GrowthBook } from "@growthbook/growthbook";
import { growthbookTrackingPlugin } from "@growthbook/growthbook/plugins";

const growthbook = new GrowthBook({
  apiHost: "https://bespoke.example", clientKey: "pk_…", attributes: { id: "ann", womens: true },
  plugins: [growthbookTrackingPlugin({ ingestorHost: "https://bespoke.example" })],
});
await growthbook.init();
document.title = growthbook.evalFeature("spring-mailing").experimentResult?.key ?? "none";
"""


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder of pages and their origin."""
    folder = tmp_path / "pages"
    folder.mkdir()
    with serving(folder) as origin:
        yield folder, origin


@pytest.fixture
def campaign(tmp_path: Path, pages: tuple[Path, str]) -> Iterator[Campaign]:
    """An experiment for local evaluation whose client key is bound to the pages' origin."""
    folder = tmp_path / "campaign"
    folder.mkdir()
    with campaign_in(folder, document=local_evaluation(), origins=[pages[1]]) as campaign:
        yield campaign


def test_a_page_draws_the_servers_arm_and_its_exposure_is_counted(
    chromium: Browser, campaign: Campaign, pages: tuple[Path, str]
) -> None:
    folder, origin = pages
    write_page(folder, campaign.filled_in(_PROGRAM))
    given = campaign.evaluate("ann", womens=True)["variant"]
    page = chromium.new_page()
    page.goto(origin)
    page.wait_for_function("document.title !== 'Shop'")
    assert page.title() == given

    def exposed() -> list[str]:
        _, report = campaign.server.ask("GET", "/v1/experiments/spring-mailing/report", key=campaign.keys["report"])
        return [row["arm"] for row in report["totals"] if row["visitors"]]

    wait_until(lambda: exposed() == [given], what="the exposure is counted on the arm that was drawn")
    page.close()
    campaign.verify()
