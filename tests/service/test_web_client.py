"""OpenFeature's own web client in a real browser, on a page of another origin than the server's."""

import json
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import Page
from playwright.sync_api import Response

from tests.experiments.documents import spring_mailing
from tests.service.origins import CLIENTS
from tests.service.origins import serving
from tests.service.origins import write_page
from tests.service.processes import Installed
from tests.service.processes import ServerProcess
from tests.service.processes import wait_until

pytestmark = pytest.mark.browser

EVALUATE = "/ofrep/v1/evaluate/flags"
STEADY, CHANGING = "spring-mailing", "changing-mailing"


@pytest.fixture(scope="module", name="pages")
def _pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a page that has the client in it, bundled as a site would bundle it."""
    folder = tmp_path_factory.mktemp("pages")
    write_page(folder, (CLIENTS / "shop.mjs").read_text())
    return folder


@pytest.fixture(scope="module", name="shop")
def _shop(pages: Path) -> Iterator[str]:
    """The origin of the shop."""
    with serving(pages) as origin:
        yield origin


class Site:
    """A server with two experiments that run, one of them to be changed, and a key that is bound to the shop."""

    def __init__(self, folder: Path, origin: str, **settings: str) -> None:
        installed = Installed(folder)
        for key in (STEADY, CHANGING):
            installed.run_experiment(even(key))
        self.key = installed.key("client", origins=(origin,))
        installed.environ.update(settings)
        self.server = ServerProcess(installed)
        self.command = installed.done

    def woman(self, arm: str, *, experiment: str = STEADY) -> dict[str, Any]:
        """The context of a visitor who bought for women and is given this arm."""
        for number in range(100):
            context = {"targetingKey": f"visitor-{number}", "womens": True, "first_name": "Ada"}
            path = f"{EVALUATE}/{experiment}"
            if self.server.ask("POST", path, {"context": context}, key=self.key)[1]["variant"] == arm:
                return context
        raise AssertionError(f"none of 100 visitors is given {arm}")


def even(key: str, **shares: float) -> dict[str, Any]:
    """An experiment that gives whoever bought for women both messages alike, or by these shares."""
    by_arm = {arm.replace("_", "-"): share for arm, share in shares.items()}
    policy = {"kind": "fixed", "max_step": 1, **({"shares": by_arm} if by_arm else {})}
    return spring_mailing(key=key, policy=policy)


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory: pytest.TempPathFactory, shop: str) -> Iterator[Site]:
    """A site with the settings that everybody has."""
    site = Site(tmp_path_factory.mktemp("site"), shop)
    yield site
    site.server.end()


@pytest.fixture(scope="module", name="tagging_site")
def _tagging_site(tmp_path_factory: pytest.TempPathFactory, shop: str) -> Iterator[Site]:
    """A site that lets pages read the tags of its answers."""
    site = Site(tmp_path_factory.mktemp("tagging"), shop, BESPOKE_EXPOSE_ETAG="on")
    yield site
    site.server.end()


class Visit:
    """A page of the shop in a browser, and what went between its client and the site."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.answers: list[Response] = []
        self.complaints: list[str] = []
        page.on("response", self._note)
        page.on("console", lambda message: self.complaints.append(message.text))

    def _note(self, response: Response) -> None:
        if EVALUATE in response.url:
            self.answers.append(response)

    def open(self, site: Site, context: dict[str, Any], *, experiment: str = STEADY, **options: Any) -> Any:
        """Start the client for a visitor; what it tells of the experiment, or its fault."""
        base = f"http://127.0.0.1:{site.server.port}"
        asked = {"baseUrl": base, "key": site.key, "context": context, "experiment": experiment, "options": options}
        return self.page.evaluate("asked => shop.open(asked)", asked)

    def change(self, context: dict[str, Any]) -> None:
        """Change what is known of the visitor."""
        self.page.evaluate("context => shop.change(context)", context)

    def seen(self) -> Any:
        """What the client tells of the experiment now."""
        return self.page.evaluate("shop.seen()")

    def statuses(self, method: str = "POST") -> list[int]:
        """The statuses of the answers to evaluations, or to their preflights."""
        return [answer.status for answer in self.answers if answer.request.method == method]

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Look until it holds, and let the browser tell meanwhile what it has received."""

        def look() -> bool:
            self.page.wait_for_timeout(10)
            return holds()

        wait_until(look, what="the page sees it")


@pytest.fixture(name="visit")
def _visit(chromium: Browser, shop: str) -> Iterator[Visit]:
    """The shop's page in a browser that was never there before."""
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(shop)
        yield Visit(page)


def test_the_client_gets_the_arm_and_its_message(visit: Visit, site: Site) -> None:
    seen = visit.open(site, site.woman("one-letter"))
    assert (seen["variant"], seen["reason"]) == ("one-letter", "SPLIT")
    assert seen["value"] == {"subject": "Spring is here", "body": "Hello Ada"}
    assert seen["flagMetadata"]["segment"] == "womens-shoppers"
    assert isinstance(seen["flagMetadata"]["token"], str)
    assert visit.statuses() == [200]
    assert visit.complaints == []


def test_a_change_of_context_is_evaluated_anew(visit: Visit, site: Site) -> None:
    context = site.woman("womens-letter")
    assert visit.open(site, context)["variant"] == "womens-letter"
    visit.change({**context, "womens": False})
    # Until the answer comes, the client shows what it has of the visitor.
    visit.wait_until(lambda: visit.seen()["flagMetadata"]["segment"] == "everyone-else")
    assert visit.seen()["variant"] != "womens-letter"
    assert visit.statuses() == [200, 200]


def test_what_an_experiment_cannot_use_leaves_the_page_its_default(visit: Visit, site: Site) -> None:
    seen = visit.open(site, {"targetingKey": "ann", "womens": "yes"})
    assert (seen["value"], seen["errorCode"]) == ({}, "INVALID_CONTEXT")


def test_where_pages_may_read_the_tag_a_poll_without_news_is_304(visit: Visit, tagging_site: Site) -> None:
    seen = visit.open(tagging_site, tagging_site.woman("one-letter"), pollInterval=50)
    visit.wait_until(lambda: visit.statuses().count(304) >= 2)
    assert visit.statuses()[0] == 200
    assert set(visit.statuses()[1:]) == {304}
    assert visit.seen() == seen


def test_where_pages_may_not_read_the_tag_polls_need_one_preflight_in_all(visit: Visit, site: Site) -> None:
    visit.open(site, site.woman("one-letter"), pollInterval=50)
    visit.wait_until(lambda: len(visit.statuses()) >= 4)
    assert set(visit.statuses()) == {200}
    assert len(visit.statuses("OPTIONS")) <= 1


def test_a_new_epoch_and_a_pause_are_seen_by_the_next_fetches(visit: Visit, site: Site) -> None:
    visit.open(site, site.woman("womens-letter", experiment=CHANGING), experiment=CHANGING, pollInterval=50)
    changed = site.server.installed.folder / "changed.json"
    changed.write_text(json.dumps(even(CHANGING, one_letter=0.9999, womens_letter=0.0001)))
    site.command("experiment", "apply", str(changed))
    visit.wait_until(lambda: visit.seen()["flagMetadata"]["epoch"] == 2)
    assert visit.seen()["variant"] == "one-letter"
    site.command("experiment", "pause", CHANGING)
    visit.wait_until(lambda: visit.seen()["reason"] == "DISABLED")
    seen = visit.seen()
    assert (seen["variant"], seen["value"]["subject"]) == ("one-letter", "Spring is here")
    assert seen["flagMetadata"]["cause"] == "not_running"


@pytest.mark.parametrize(("mode", "reason"), [("local-cache-first", "CACHED"), ("network-first", "SPLIT")])
def test_after_a_reload_the_last_answer_comes_first_unless_the_network_shall(
    visit: Visit, site: Site, mode: str, reason: str
) -> None:
    context = site.woman("one-letter")
    assert visit.open(site, context, cacheMode=mode)["reason"] == "SPLIT"
    visit.page.reload()
    assert visit.open(site, context, cacheMode=mode)["reason"] == reason


def test_a_page_of_another_origin_is_refused(visit: Visit, site: Site, pages: Path) -> None:
    with serving(pages) as elsewhere:
        visit.page.goto(elsewhere)
        seen = visit.open(site, {"targetingKey": "ann"})
    assert "request failed" in seen["fault"]
    assert visit.statuses() == []
    assert any("blocked by CORS policy" in complaint for complaint in visit.complaints)
