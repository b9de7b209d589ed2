"""The browser's script on a shop's pages, of another origin than the service, with a key for that shop only."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import BrowserContext
from playwright.sync_api import Request
from playwright.sync_api import Response

from tests.service.origins import serving
from tests.service.processes import wait_until
from tests.service.programs import KEY
from tests.service.programs import Campaign
from tests.service.programs import Figures
from tests.service.programs import campaign_in

pytestmark = pytest.mark.browser

WOMAN = {"womens": True, "first_name": "Ada"}
OWN = "The page's own words"
SLOT = f"""
<div id="slot" data-bespoke="{KEY}" data-attributes='{json.dumps(WOMAN)}'><p data-field="body">{OWN}</p></div>"""
#: What the slot holds in each arm; that of a control is not seen.
ARMS = {"nothing": OWN, "one-letter": "Hello Ada", "womens-letter": "…"}


class Shop:
    """A folder of pages and its origin, a campaign whose client key is for it, and browsers that visit them."""

    def __init__(self, folder: Path, origin: str, *, campaign: Campaign, chromium: Browser) -> None:
        self.folder = folder
        self.origin = origin
        self.campaign = campaign
        self.chromium = chromium

    def write(self, *, source: str = "/sdk.js", script: str = "") -> None:
        """Write the page, under a policy that allows the service; `script` are more attributes of the script."""
        service = self.campaign.address
        policy = f"default-src 'none'; script-src {service}; connect-src {service}"
        (self.folder / "index.html").write_text(
            f"""<!doctype html><title>Shop</title><meta http-equiv="Content-Security-Policy" content="{policy}">
            <script src="{service}{source}" data-key="{self.campaign.keys['client']}" data-timeout="5000" {script}>
            </script>{SLOT}"""
        )

    @contextmanager
    def visit(self, visitor: str, *, origin: str | None = None) -> Iterator["Visit"]:
        """A fresh browser on the page, of a visitor who has been here before under that id."""
        with self.chromium.new_context() as context:
            been = json.dumps(json.dumps(visitor))
            context.add_init_script(f"if (location.protocol !== 'about:') localStorage['bespoke.visitor'] ??= {been}")
            yield Visit(context, origin or self.origin)

    def visitor_of(self, arm: str) -> str:
        """A woman whom the draw gives this arm, and who was not exposed yet."""
        ids = (f"{arm}-{number}" for number in range(1000))
        return next(id for id in ids if self.is_drawn(id, arm))

    def is_drawn(self, visitor: str, arm: str) -> bool:
        """Whether a visitor is given this arm by the draw."""
        answer = self.campaign.evaluate(visitor, **WOMAN)
        return (answer["variant"], answer["metadata"]["cause"]) == (arm, "allocated")

    def counted(self) -> dict[str, Figures]:
        """The figures of every arm that has visitors."""
        return {arm: figures for (_, arm), figures in self.campaign.counted().items()}


class Visit:
    """One page in a browser, and what it told the service and was told."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.tokens: list[Any] = []
        self.complaints: list[str] = []
        self.answers: list[Response] = []
        self.page = context.new_page()
        self.page.on("request", self._note)
        self.page.on("response", lambda response: self.answers.append(response))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.goto(origin)

    def _note(self, request: Request) -> None:
        if "/ofrep/" in request.url:
            self.tokens.append(json.loads(request.post_data or "")["context"].get("token"))

    def do(self, script: str) -> Any:
        """The value of an expression in the page."""
        return self.page.evaluate(script)

    def decided(self) -> str:
        """The arm of the slot, once it has been decided."""
        self.page.wait_for_selector("#slot[data-bespoke-arm]", state="attached")
        return str(self.do("slot.dataset.bespokeArm"))

    def settle(self) -> None:
        """Wait until every event was answered."""
        none_waits = "!Object.keys(localStorage).some((name) => name.startsWith('bespoke.event.'))"
        wait_until(lambda: bool(self.do(none_waits)), what="every event is answered")

    def statuses(self, path: str) -> set[int]:
        """The statuses of what came from addresses with this in them."""
        return {answer.status for answer in self.answers if path in answer.url}


@pytest.fixture(scope="module", name="shop")
def _shop(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Shop]:
    pages = tmp_path_factory.mktemp("pages")
    with serving(pages) as origin, campaign_in(tmp_path_factory.mktemp("campaign"), origins=[origin]) as campaign:
        yield Shop(pages, origin, campaign=campaign, chromium=chromium)


def test_every_arm_is_shown_exposed_and_counted_with_what_came_of_it(shop: Shop) -> None:
    shop.write()
    before = shop.counted()
    for arm in ARMS:
        with shop.visit(shop.visitor_of(arm)) as visit:
            assert visit.decided() == arm
            assert visit.page.is_visible("#slot") == (arm != "nothing")
            assert visit.do("slot.textContent") == ARMS[arm]
            assert visit.do("bespoke.track('Order Completed', {revenue: 5})")
            visit.settle()
            assert visit.complaints == []
    after = shop.counted()
    assert after.keys() == ARMS.keys()
    for arm, figures in after.items():
        assert [now - then for now, then in zip(figures, before.get(arm, (0,) * 4), strict=True)] == [1, 1, 1, 5]
    shop.campaign.verify()


def test_the_token_of_an_assignment_comes_back_with_the_next_page(shop: Shop) -> None:
    shop.write()
    with shop.visit(shop.visitor_of("womens-letter")) as visit:
        visit.decided()
        visit.settle()
        visit.page.reload()
        assert visit.decided() == "womens-letter"
        visit.settle()
        kept = json.loads(visit.do(f"localStorage['bespoke.assignment.{KEY}']"))["assignment"]
    assert [token is None for token in visit.tokens] == [True, False]
    assert kept["cause"] == "sticky"


def test_a_page_of_a_third_origin_shows_its_own_content_and_counts_nothing(shop: Shop) -> None:
    shop.write()
    before, visitor = shop.counted(), shop.visitor_of("womens-letter")
    with serving(shop.folder) as elsewhere, shop.visit(visitor, origin=elsewhere) as visit:
        assert visit.decided() == ""
        assert visit.page.is_visible("#slot") and visit.do("slot.textContent") == OWN
        assert visit.do(f"bespoke.assign('{KEY}')")["cause"] == "fallback"
        assert visit.do(f"bespoke.expose('{KEY}')") is False
        assert visit.statuses("/sdk.js") == {200}
        assert visit.statuses("/ofrep/") == set()
        assert any("blocked by CORS policy" in complaint for complaint in visit.complaints)
    assert shop.counted() == before
    assert shop.is_drawn(visitor, "womens-letter")


@pytest.mark.parametrize("newest", [True, False], ids=["the newest", "the pinned"])
def test_a_script_is_loaded_under_the_digest_that_is_shown(shop: Shop, newest: bool) -> None:
    addresses = shop.campaign.server.ask("GET", "/sdk.json")[1]
    digest = f'integrity="{addresses["integrity"]}" crossorigin="anonymous"'
    shop.write(source="/sdk.js" if newest else addresses["src"], script=digest)
    with shop.visit(shop.visitor_of("one-letter")) as visit:
        assert visit.decided() == "one-letter"
        visit.settle()
        assert visit.complaints == []


def test_a_script_of_another_digest_is_not_run(shop: Shop) -> None:
    shop.write(script=f'integrity="sha384-{"A" * 64}" crossorigin="anonymous"')
    with shop.visit("careful") as visit:
        assert visit.page.is_visible("#slot") and visit.do("slot.textContent") == OWN
        assert visit.do("typeof bespoke") == "undefined"
        assert any("integrity" in complaint for complaint in visit.complaints)
