"""The browser's script in a real Chromium, on pages under a strict policy, before the real server."""

import json
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import BrowserContext
from playwright.sync_api import Page
from playwright.sync_api import Request
from playwright.sync_api import Route

from experiments.keys import create_key
from tests.service.conftest import DEED
from tests.service.processes import Installed
from tests.service.processes import ServerProcess
from tests.service.processes import free_port
from tests.service.processes import wait_until

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>&lt;b&gt; O'Brien & \"Sons\""
DOCUMENT: dict[str, Any] = {
    "key": "greeting",
    "policy": {"kind": "fixed"},
    "control_share": 0.3,
    "attributes": {"loyal": "boolean", "first_name": "string"},
    "segments": [{"key": "regulars", "name": "Come back", "kind": "behavioral", "rule": {"loyal": True}}],
    "arms": [
        {"key": "nothing", "role": "control"},
        {"key": "hello", "role": "mass", "channel": "web", "message": {"headline": "Hello", "text": "Nice to see you"}},
        {"key": "welcome-back", "role": "tailored", "segments": ["regulars"], "channel": "web",
         "message": {"headline": "Welcome back {{ first_name }}", "text": HOSTILE}},
    ],
    "metrics": [{"key": "purchase", "event": "Order Completed", "kind": "conversion", "role": "goal"}],
}
#: A second one, so that a change of its shares moves nobody in the first.
MOVING: dict[str, Any] = {
    **DOCUMENT,
    "key": "moving",
    "control_share": 0,
    "arms": DOCUMENT["arms"][1:],
    "policy": {"kind": "fixed", "shares": {"hello": 0.9, "welcome-back": 0.1}},
}
OWN = "The page's own words"
SLOT = f"""
<div id="slot" data-bespoke="greeting" data-attributes='{{"loyal": true, "first_name": "Ada"}}'>
  <h2 data-field="headline">{OWN}</h2><p data-field="text">Its own text</p>
</div>"""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
#: Writes down what can be seen of the slot, frame by frame.
FRAMES = """
window.frames_seen = [];
const look = () => {
  const slot = document.getElementById("slot");
  if (slot) frames_seen.push(getComputedStyle(slot).visibility === "visible" ? slot.innerText.trim() : "");
  requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
#: What a shop's own script may do, before the other one is there.
SHOP_SCRIPT = """
(window.bespoke ||= []).push((bespoke) => bespoke.identify("from the list"), () => missing.things());
(window.bespoke ||= []).push((bespoke) => bespoke.track("Order Completed"));
document.addEventListener("bespoke:assigned", (event) => {
  if (event.target.id !== "own") return;
  event.preventDefault();
  event.target.textContent = `${event.detail.role} by ${event.detail.cause}, token: ${event.detail.token}`;
});
"""


class Shop:
    """A server whose origin has pages too, as behind a proxy, and browsers that visit them."""

    def __init__(self, installed: Installed, chromium: Browser) -> None:
        self.installed = installed
        self.chromium = chromium
        with installed.opened() as installation:
            self.admin, self.client = (
                create_key(installation.store, scope=scope, name="", origins=(), random=secrets.token_bytes, deed=DEED)
                for scope in ("admin", "client")
            )
        self.server = ServerProcess(installed)
        self.origin = f"http://127.0.0.1:{self.server.port}"

    def html(self, body: str, *, script: str = 'data-timeout="5000"', before: str = "") -> str:
        """A page that loads the script in its head; `script` are attributes of it, `before` stands before it."""
        head = f'{before}<script src="/sdk.js" data-key="{self.client}" {script}></script>'
        return f"<!doctype html><html><head><title>Shop</title>{head}</head><body>{body}</body></html>"

    @contextmanager
    def visit(
        self, html: str, *, visitor: str | None = None, gpc: bool = False, policy: str = POLICY
    ) -> Iterator["Visit"]:
        """A fresh browser on the page; a `visitor` has been here before, under that id."""
        context = self.chromium.new_context(
            viewport={"width": 800, "height": 600}, extra_http_headers={"Sec-GPC": "1"} if gpc else {}
        )
        if gpc:
            context.add_init_script("Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {value: true})")
        if visitor is not None:
            been = f"localStorage['bespoke.visitor'] ??= {json.dumps(json.dumps(visitor))}"
            context.add_init_script(f"if (location.protocol !== 'about:') {been}")
        context.add_init_script(FRAMES)
        visit = Visit(self, context, html, policy=policy)
        try:
            yield visit
        finally:
            context.close()

    def evaluate(self, visitor: str, **context: Any) -> Any:
        """What OFREP answers for a visitor."""
        key = context.pop("experiment", "greeting")
        body = {"context": {"targetingKey": visitor, **context}}
        status, answer = self.server.ask("POST", f"/ofrep/v1/evaluate/flags/{key}", body, key=self.client)
        assert status == 200, answer
        return answer

    def report(self, key: str = "greeting") -> Any:
        """The report now."""
        status, answer = self.server.ask("GET", f"/v1/experiments/{key}/report", key=self.admin)
        assert status == 200, answer
        return answer

    def exposures(self) -> Counter[str]:
        """How often each arm was exposed."""
        return Counter({row["arm"]: row["exposures"] for row in self.report()["totals"]})

    def visitors(self) -> int:
        """How many visitors were exposed."""
        return sum(row["visitors"] for row in self.report()["totals"])

    def purchases(self) -> int:
        """How many visitors bought."""
        return sum(row["metrics"]["purchase"]["sum"] for row in self.report()["totals"])


class Visit:
    """One browser of its own on one page of the shop."""

    def __init__(self, shop: Shop, context: BrowserContext, html: str, *, policy: str) -> None:
        self.shop = shop
        self.html = html
        self.policy = policy
        self.context = context
        self.complaints: list[str] = []
        self.sent: list[Any] = []
        self.tokens: list[Any] = []
        context.route("**/shop", self._serve)
        context.route("**/shop.js", lambda route: route.fulfill(body=SHOP_SCRIPT, content_type="text/javascript"))
        context.on("request", self._note)
        context.on("console", lambda message: self.complaints.append(message.text))
        context.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.page = self.open()

    def open(self) -> Page:
        """Open the page in a new tab."""
        page = self.context.new_page()
        page.goto(f"{self.shop.origin}/shop")
        return page

    def _serve(self, route: Route) -> None:
        headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": self.policy}
        route.fulfill(body=self.html, headers=headers)

    def _note(self, request: Request) -> None:
        path = urlsplit(request.url).path
        if path == "/v1/batch":
            self.sent.extend(json.loads(request.post_data or "")["batch"])
        if path.startswith("/ofrep/"):
            self.tokens.append(json.loads(request.post_data or "")["context"].get("token"))

    @property
    def events(self) -> list[str]:
        """The names of the events that were sent, repeats left out."""
        # What the browser has told is heard only while it is asked something.
        self.do("0")
        return list({item["messageId"]: item["event"] for item in self.sent}.values())

    def do(self, script: str) -> Any:
        """The value of an expression in the page."""
        return self.page.evaluate(script)

    def decided(self) -> str:
        """The arm of the slot, once it has been decided."""
        self.page.wait_for_selector("#slot[data-bespoke-arm]", state="attached")
        return str(self.do("slot.dataset.bespokeArm"))

    def kept(self) -> dict[str, str]:
        """What the browser keeps of the script's."""
        found: dict[str, str] = self.do("Object.fromEntries(Object.entries(localStorage))")
        return found

    def waiting(self) -> list[str]:
        """The events that wait in the browser."""
        return [json.loads(text)["event"] for name, text in self.kept().items() if name.startswith("bespoke.event.")]

    def hears(self, complaint: str) -> None:
        """Wait until the console says this."""
        wait_until(lambda: self.do("1") == 1 and any(complaint in text for text in self.complaints), what=complaint)

    def settle(self) -> None:
        """Wait until every event was answered."""
        wait_until(lambda: not self.waiting(), what="every event is answered")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Shop]:
    """A shop that is open for all tests of this file that do not close it."""
    with _opened(tmp_path_factory.mktemp("shop"), chromium) as shop:
        yield shop


@pytest.fixture
def own_shop(tmp_path: Path, chromium: Browser) -> Iterator[Shop]:
    """A shop for one test."""
    with _opened(tmp_path, chromium) as shop:
        yield shop


@contextmanager
def _opened(folder: Path, chromium: Browser, **settings: str) -> Iterator[Shop]:
    installed = Installed(folder)
    installed.environ.update(settings, BESPOKE_MIN_CELL="0")
    for document in (DOCUMENT, MOVING):
        installed.run_experiment(document)
    shop = Shop(installed, chromium)
    try:
        yield shop
    finally:
        shop.server.end()


def visitor_of(shop: Shop, arm: str, **context: Any) -> str:
    """A visitor whom the draw gives this arm, among the loyal."""
    asked = {"loyal": True, "first_name": "Ada", **context}
    ids = (f"{arm}-{number}" for number in range(200))
    return next(id for id in ids if shop.evaluate(id, **asked)["variant"] == arm)


ARMS = ("nothing", "hello", "welcome-back")


def test_every_arm_is_exposed_once_and_only_when_its_slot_comes_into_view(shop: Shop) -> None:
    below = '<div style="height: 3000px" id="above"></div>'
    # The policy forbids styles in the page; what is above is made tall by its lines.
    page = shop.html("<p>line</p>" * 100 + SLOT + below)
    for arm in ARMS:
        visitor = visitor_of(shop, arm)
        before = shop.exposures()
        with shop.visit(page, visitor=visitor) as visit:
            assert visit.decided() == arm
            visit.page.wait_for_timeout(100)
            assert visit.events == []
            for _ in range(3):
                visit.do("slot.scrollIntoView()")
                visit.page.wait_for_timeout(30)
                visit.do("scrollTo(0, 0)")
                visit.page.wait_for_timeout(30)
            visit.settle()
            assert visit.events == ["Experiment Viewed"]
        assert shop.exposures() - before == Counter({arm: 1})


def test_a_slot_shows_what_ofrep_answers_as_text_and_nothing_in_the_control_arm(shop: Shop) -> None:
    seen = {}
    for arm in ARMS:
        visitor = visitor_of(shop, arm)
        answer = shop.evaluate(visitor, loyal=True, first_name="Ada")
        with shop.visit(shop.html(SLOT), visitor=visitor) as visit:
            assert visit.decided() == answer["variant"]
            seen[arm] = visit.do("slot.innerText").split("\n\n") if visit.page.is_visible("#slot") else []
            assert visit.do("slot.getBoundingClientRect().height") > 0
    assert seen == {
        "nothing": [], "hello": ["Hello", "Nice to see you"], "welcome-back": ["Welcome back Ada", seen_hostile()],
    }


def seen_hostile() -> str:
    """The hostile text as people read it: what the author wrote as HTML for < is one."""
    return HOSTILE.replace("&lt;", "<").replace("&gt;", ">")


def test_what_assign_gives_is_what_ofrep_answers(shop: Shop) -> None:
    with shop.visit(shop.html("")) as visit:
        for number in range(30):
            visit.do(f"bespoke.identify('user-{number}')")
            attributes = {"loyal": number % 2 == 0, "first_name": "Zoë"}
            given = visit.do(f"bespoke.assign('greeting', {json.dumps(attributes)})")
            answer = shop.evaluate(f"user-{number}", **attributes)
            metadata = answer["metadata"]
            assert given == {
                "arm": answer["variant"], "message": answer["value"],
                **{name: metadata[name] for name in ("segment", "role", "propensity", "cause")},
            }
        assert visit.complaints == []


def test_each_of_many_visitors_is_counted_once_with_what_came_of_it(shop: Shop) -> None:
    given = Counter[str]()
    exposures, visitors, purchases = shop.exposures(), shop.visitors(), shop.purchases()
    rejected = shop.report()["diagnostics"]["rejected"]
    for number in range(6):
        with shop.visit(shop.html(SLOT), visitor=f"one-of-many-{number}") as visit:
            given[visit.decided()] += 1
            wait_until(lambda: "Experiment Viewed" in visit.events, what="the exposure is sent")
            if number % 3 == 0:
                assert visit.do("bespoke.track('Order Completed', {revenue: 5})")
            visit.settle()
            assert visit.complaints == []
    assert set(given) == set(ARMS)
    assert shop.exposures() - exposures == given
    assert (shop.visitors() - visitors, shop.purchases() - purchases) == (6, 2)
    assert shop.report()["diagnostics"]["rejected"] == rejected
    shop.installed.check()


def test_a_token_keeps_the_arm_of_a_visitor_who_was_not_exposed_over_a_change_of_shares(shop: Shop) -> None:
    asked = {"loyal": True, "experiment": "moving"}
    before = {id: shop.evaluate(id, **asked)["variant"] for id in map("mover-{}".format, range(20))}
    slot = "<p>line</p>" * 100 + SLOT.replace("greeting", "moving")
    visitor = next(id for id, arm in before.items() if arm == "hello")
    with shop.visit(shop.html(slot), visitor=visitor) as visit:
        assert visit.decided() == "hello"
        shares = {"policy": {"kind": "fixed", "shares": {"hello": 0.0001, "welcome-back": 0.9999}}}
        assert shop.server.ask("PUT", "/v1/experiments/moving", {**MOVING, **shares}, key=shop.admin)[0] == 200
        for _ in range(4):
            # Each moves a weight by a quarter at most.
            assert shop.server.ask("POST", "/v1/experiments/moving/reallocate", key=shop.admin)[0] == 200
        assert shop.evaluate(visitor, **asked)["variant"] == "welcome-back"
        visit.page.reload()
        assert visit.decided() == "hello"
        assert visit.tokens[0] is None and visit.tokens[1]
        visit.do("slot.scrollIntoView()")
        wait_until(lambda: "Experiment Viewed" in visit.events, what="the exposure is sent")
        visit.settle()
    assert shop.evaluate(visitor, **asked)["variant"] == "hello"


@pytest.mark.parametrize("gpc", [False, True], ids=["consent none", "global privacy control"])
def test_without_consent_everybody_gets_the_mass_arm_and_nothing_is_kept_or_sent(shop: Shop, gpc: bool) -> None:
    before = shop.exposures()
    page = shop.html(SLOT, script='data-timeout="5000"' + ('' if gpc else ' data-consent="none"'))
    with shop.visit(page, gpc=gpc) as visit:
        assert visit.decided() == "hello"
        assert visit.do("slot.innerText").startswith("Hello")
        assert visit.do("bespoke.assign('greeting', {loyal: true})")["cause"] == "no_consent"
        assert visit.do("bespoke.expose('greeting')") is False
        assert visit.do("bespoke.track('Order Completed', {revenue: 5})") is False
        if gpc:
            visit.do("bespoke.consent('personalise')")
            assert visit.do("bespoke.track('Order Completed')") is False
        visit.page.reload()
        visit.decided()
        assert (visit.kept(), visit.context.cookies(), visit.sent) == ({}, [], [])
        assert visit.tokens == [None] * 3
    assert shop.exposures() == before


def test_consent_withdrawn_deletes_what_was_kept_and_given_again_begins_anew(shop: Shop) -> None:
    with shop.visit(shop.html(SLOT), visitor=visitor_of(shop, "welcome-back")) as visit:
        visit.decided()
        visit.settle()
        assert {name.split(".")[1] for name in visit.kept()} == {"visitor", "assignment"}
        visit.do("bespoke.consent('none')")
        assert visit.kept() == {}
        assert visit.do("bespoke.expose('greeting')") is False
        visit.do("bespoke.consent('measure')")
        assert visit.do("bespoke.track('Order Completed')") is True
        measured = visit.do("bespoke.assign('greeting', {loyal: true})")
        assert (measured["segment"], measured["role"] == "tailored") == ("no-personalisation", False)


def test_whoever_agrees_to_less_is_shown_nothing_tailored_even_while_the_service_is_away(shop: Shop) -> None:
    with shop.visit(shop.html(SLOT), visitor=visitor_of(shop, "welcome-back")) as visit:
        assert visit.decided() == "welcome-back"
        visit.settle()
        visit.context.route("**/ofrep/**", lambda route: route.abort())
        assert visit.do("bespoke.assign('greeting')")["arm"] == "welcome-back"
        visit.do("bespoke.consent('measure')")
        assert visit.do("bespoke.assign('greeting')")["cause"] == "fallback"


def test_consent_withdrawn_in_one_tab_is_withdrawn_in_all(shop: Shop) -> None:
    with shop.visit(shop.html(SLOT), visitor="of two tabs") as visit:
        visit.decided()
        visit.settle()
        other = visit.page
        visit.page = visit.open()
        visit.do("bespoke.consent('none')")
        wait_until(lambda: other.evaluate("!bespoke.track('Order Completed')"), what="the other tab hears of it")
        assert visit.kept() == {}


def test_a_level_of_consent_that_is_none_of_the_three_is_none(shop: Shop) -> None:
    with shop.visit(shop.html(SLOT, script='data-consent="all"')) as visit:
        visit.decided()
        visit.hears("all must be none, measure or personalise")
        assert (visit.kept(), visit.sent) == ({}, [])


def test_the_services_own_default_of_no_consent_holds_for_pages_that_say_nothing(
    tmp_path: Path, chromium: Browser
) -> None:
    with _opened(tmp_path, chromium, BESPOKE_CONSENT_DEFAULT="none") as shop:
        with shop.visit(shop.html(SLOT)) as visit:
            assert visit.decided() == "hello"
            assert visit.do("bespoke.track('Order Completed')") is False
            assert (visit.kept(), visit.sent) == ({}, [])
            visit.do("bespoke.consent('personalise')")
            assert visit.do("bespoke.assign('greeting')")["cause"] == "allocated"
            assert sorted(visit.kept()) == ["bespoke.assignment.greeting", "bespoke.visitor"]


def test_nobody_sees_one_text_turn_into_another(shop: Shop) -> None:
    for arm in ARMS:
        with shop.visit(shop.html(SLOT), visitor=visitor_of(shop, arm)) as visit:
            visit.decided()
            visit.page.wait_for_timeout(100)
            seen = visit.do("frames_seen")
        shown = list(dict.fromkeys(seen))
        # A quick answer may be there before the first frame is.
        texts = [text for text in shown if text]
        assert len(texts) == (arm != "nothing") and shown in (texts, ["", *texts]), shown
        assert not any(OWN in text for text in seen)


def test_a_page_may_call_before_the_script_is_there_and_fill_its_slots_itself(shop: Shop) -> None:
    own = '<div id="own" data-bespoke="greeting">Mine</div><p id="slot" data-bespoke="greeting">Yours</p>'
    with shop.visit(shop.html(own, before='<script src="/shop.js"></script>')) as visit:
        arm = visit.decided()
        visit.settle()
        answer = shop.evaluate("from the list")
        assert arm == answer["variant"]
        role = answer["metadata"]["role"]
        wait_until(lambda: visit.do("own.textContent") != "Mine", what="the page fills its slot")
        assert visit.do("own.textContent") == f"{role} by allocated, token: undefined"
        assert json.loads(visit.kept()["bespoke.visitor"]) == "from the list"
        assert "Order Completed" in visit.events
        visit.hears("missing is not defined")


def test_a_slot_that_comes_later_is_filled_before_it_is_seen(shop: Shop) -> None:
    with shop.visit(shop.html("<main></main>"), visitor=visitor_of(shop, "welcome-back")) as visit:
        visit.do(f"""() => {{
            const slot = Object.assign(document.createElement("div"), {{ id: "slot", textContent: "{OWN}" }});
            Object.assign(slot.dataset, {{ bespoke: "greeting", field: "headline", attributes: '{{"loyal": true}}' }});
            document.querySelector("main").append(slot);
        }}""")
        assert visit.decided() == "welcome-back"
        assert visit.do("slot.textContent") == "Welcome back "
        assert not any(OWN in text for text in visit.do("frames_seen"))


@pytest.mark.parametrize(
    ("slot", "complaint"),
    [
        ('data-bespoke="no-such"', "does not exist"),
        ('data-bespoke="greeting" data-attributes="{"', "JSON"),
        ("""data-bespoke="greeting" data-attributes='{"loyal": 5}'""", "loyal"),
    ],
)
def test_a_slot_that_cannot_be_decided_shows_the_pages_own_content_and_says_why(
    shop: Shop, slot: str, complaint: str
) -> None:
    with shop.visit(shop.html(f'<div id="slot" {slot}>{OWN}</div>')) as visit:
        assert visit.decided() == ""
        assert visit.page.is_visible("#slot") and visit.do("slot.textContent") == OWN
        visit.hears(complaint)
        assert visit.events == []


def test_an_event_that_cannot_be_counted_is_dropped_and_keeps_no_other_back(shop: Shop) -> None:
    purchases = shop.purchases()
    with shop.visit(shop.html(SLOT), visitor="poisoned") as visit:
        visit.decided()
        visit.settle()
        visit.do("""
            bespoke.track("No Such Event");
            bespoke.track("Order Completed", {note: "half a pair: \\ud800"});
            bespoke.track("Order Completed", {revenue: 5});
        """)
        visit.settle()
        assert len(visit.events) == 4
        visit.hears("unknown_event")
        visit.hears("status of 400")
    assert shop.purchases() == purchases + 1


def test_an_event_that_a_beacon_took_along_is_counted_once(shop: Shop) -> None:
    purchases, duplicates = shop.purchases(), shop.report()["diagnostics"]["duplicates"]
    with shop.visit(shop.html(SLOT), visitor="leaving") as visit:
        visit.decided()
        visit.settle()
        visit.do("bespoke.track('Order Completed', {revenue: 5}); dispatchEvent(new Event('pagehide'))")
        visit.settle()
    assert shop.purchases() == purchases + 1
    assert shop.report()["diagnostics"]["duplicates"] == duplicates + 1


def test_an_event_of_a_page_that_is_left_at_once_is_counted(shop: Shop) -> None:
    purchases = shop.purchases()
    with shop.visit(shop.html(SLOT), visitor="in a hurry") as visit:
        visit.decided()
        visit.settle()
        visit.do("bespoke.track('Order Completed', {revenue: 5}); location.href = 'about:blank'")
        wait_until(lambda: shop.purchases() == purchases + 1, what="the purchase is counted")


def test_a_pinned_script_works_like_the_other(shop: Shop) -> None:
    status, addresses = shop.server.ask("GET", "/sdk.json")
    pinned = f'integrity="{addresses["integrity"]}" crossorigin="anonymous"'
    page = shop.html(SLOT, script=pinned).replace("/sdk.js", addresses["src"])
    with shop.visit(page, visitor=visitor_of(shop, "welcome-back")) as visit:
        assert (status, visit.decided()) == (200, "welcome-back")
        visit.settle()
        assert (visit.events, visit.complaints) == (["Experiment Viewed"], [])


def slowed(visit: Visit, latency_ms: int) -> None:
    """Make the network of a page slow."""
    session = visit.context.new_cdp_session(visit.page)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", {
        "offline": False, "latency": latency_ms, "downloadThroughput": -1, "uploadThroughput": -1,
    })


def test_an_answer_that_comes_too_late_changes_nothing_on_this_page_and_is_known_on_the_next(shop: Shop) -> None:
    visitor = visitor_of(shop, "welcome-back")
    before = shop.exposures()
    with shop.visit(shop.html("", script='data-timeout="300"'), visitor=visitor) as visit:
        visit.html = shop.html(SLOT, script='data-timeout="300"')
        slowed(visit, 900)
        visit.page.reload()
        assert visit.decided() == ""
        wait_until(lambda: "bespoke.assignment.greeting" in visit.kept(), what="the late answer is there")
        visit.page.wait_for_timeout(100)
        assert list(dict.fromkeys(text[: len(OWN)] for text in visit.do("frames_seen"))) == ["", OWN]
        assert visit.events == []
        assert shop.exposures() == before

        visit.page.reload()
        assert visit.decided() == "welcome-back"
        assert not any(OWN in text for text in visit.do("frames_seen"))
        visit.settle()
    assert shop.exposures() - before == Counter({"welcome-back": 1})


@pytest.mark.parametrize("is_whole", [True, False], ids=["behind the slot", "within the slot"])
def test_a_slot_is_decided_while_the_page_still_comes_in_unless_its_own_end_is_missing(
    shop: Shop, is_whole: bool
) -> None:
    stuck = '<script src="/stuck.js"></script>'
    own = f'<div id="slot" data-bespoke="greeting">{OWN}'
    body = f"{own}</div>{stuck}" if is_whole else f"{own}{stuck}</div>"
    with shop.visit(shop.html(""), visitor="of a slow page") as visit:
        held: list[Route] = []
        visit.context.route("**/stuck.js", lambda route: held.append(route))
        visit.html = shop.html(body, script=f'data-timeout="{5000 if is_whole else 300}"')
        visit.page.reload(wait_until="commit")
        arm = shop.evaluate("of a slow page")["variant"]
        assert visit.decided() == (arm if is_whole else "")
        assert visit.do("document.readyState") == "loading"
        held[0].fulfill(body="", content_type="text/javascript")
        visit.page.wait_for_load_state()
        visit.settle()
        assert visit.events == (["Experiment Viewed"] if is_whole else [])
        assert is_whole or visit.do("slot.textContent") == OWN


def test_a_slot_that_people_have_seen_is_left_as_it_is(shop: Shop) -> None:
    late = f"""() => {{
        const script = document.createElement("script");
        script.src = "/sdk.js";
        script.dataset.key = "{shop.client}";
        document.head.append(script);
    }}"""
    visitor = visitor_of(shop, "welcome-back")
    with shop.visit("<!doctype html><body>" + SLOT, visitor=visitor, policy="script-src 'self'") as visit:
        wait_until(lambda: visit.do("performance.getEntriesByType('paint').length > 0"), what="the page is painted")
        visit.do(late)
        assert visit.decided() == ""
        assert {text[: len(OWN)] for text in visit.do("frames_seen")} == {OWN}
        visit.hears("was painted before")
        assert visit.events == []


def test_while_the_server_is_gone_pages_keep_working_and_nothing_is_lost_or_doubled(own_shop: Shop) -> None:
    shop = own_shop
    known = visitor_of(shop, "welcome-back")
    page = shop.html(SLOT)
    with shop.visit(page, visitor=known) as old, shop.visit(page, visitor="new") as new:
        # One visitor has been here before, the other loads the script only; browsers keep it while the server is away.
        old.decided()
        old.settle()
        new.settle()
        new.do("localStorage.clear()")
        script = old.do("fetch('/sdk.js').then((response) => response.text())")
        exposures = shop.exposures()
        shop.server.kill_everything()
        for visit in (old, new):
            visit.context.route("**/sdk.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
            visit.sent.clear()
            visit.page.reload()

        assert new.decided() == ""
        assert new.do("slot.innerText").startswith(OWN)
        assert list(dict.fromkeys(text[: len(OWN)] for text in new.do("frames_seen")))[-1] == OWN
        fallback = new.do("bespoke.assign('greeting')")
        assert (fallback["cause"], fallback["role"], fallback["arm"]) == ("fallback", "mass", None)
        assert new.do("bespoke.expose('greeting')") is False
        assert new.waiting() == []

        assert old.decided() == "welcome-back"
        assert old.do("slot.innerText").startswith("Welcome back Ada")
        assert old.do("bespoke.track('Order Completed', {revenue: 5})")
        wait_until(lambda: len(old.waiting()) == 2, what="the exposure waits too")
        old.page.reload()
        wait_until(lambda: len(old.waiting()) == 3, what="so does that of the second page")

        shop.server.start()
        old.do("dispatchEvent(new Event('online'))")
        old.settle()
    assert shop.exposures() - exposures == Counter({"welcome-back": 2})
    assert (shop.visitors(), shop.purchases()) == (2, 1)
    shop.installed.check()


def test_without_the_script_the_page_is_as_it_was_written(shop: Shop) -> None:
    gone = f"http://127.0.0.1:{free_port()}/sdk.js"
    with shop.visit(shop.html(SLOT).replace("/sdk.js", gone), policy="script-src *") as visit:
        wait_until(lambda: bool(visit.do("frames_seen.length")), what="a frame was drawn")
        assert {text[: len(OWN)] for text in visit.do("frames_seen")} == {OWN}
