"""Texts that would do harm, in every field and on every page of a real Chromium: shown or refused, and never run."""

import json
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from secrets import token_bytes
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from playwright.sync_api import Browser
from playwright.sync_api import Page
from playwright.sync_api import StorageState
from playwright.sync_api import expect

from experiments.acts import do
from experiments.errors import BespokeError
from experiments.errors import InvalidUser
from experiments.keys import create_key
from experiments.lifecycle import create
from experiments.people import parse_email
from service.campaigns.ledger_view import ROWS
from service.current import EXTENSION
from service.installation import Installation
from service.requests import headers
from service.setup.state import STEPS
from tests.experiments.documents import tiny
from tests.hostile import CONTROLS
from tests.hostile import HOSTILE
from tests.hostile import LINES
from tests.hostile import LONG
from tests.hostile import UNSTORABLE
from tests.service.browsers import Complaints
from tests.service.browsers import NEW
from tests.service.browsers import log_in
from tests.service.browsers import opened
from tests.service.browsers import session_of
from tests.service.browsers import texts_of
from tests.service.conftest import DEED
from tests.service.people import PASSWORD
from tests.service.people import add_user
from tests.service.sites import serving
from tests.service.sites import showroom

pytestmark = pytest.mark.browser

#: As many texts as are put into one document.
_CROWD = 45
#: Longer than any field takes, and short enough for a request of hundreds of them.
CUT = tuple(text[:5_000] for text in LONG)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The application, with campaigns of which everything that a person wrote is hostile."""
    with showroom(tmp_path_factory.mktemp("hostile"), is_empty=True) as app:
        installation = app.extensions[EXTENSION]
        for number, text in enumerate(LINES):
            create(installation.store, tiny(key=f"named-{number}", name=text), deed=DEED)
        for number, texts in enumerate(crowds(LINES)):
            create(installation.store, crowded(texts, key=f"crowd-{number}"), deed=DEED)
        do(installation.store, "crowd-0", "start", deed=DEED)
        give_reasons(installation)
        yield app


@pytest.fixture(scope="module")
def address(app: Flask) -> Iterator[str]:
    with serving(app) as address:
        yield address


@pytest.fixture(scope="module")
def session(chromium: Browser, address: str) -> StorageState:
    """An admin's."""
    return session_of(chromium, address)


@pytest.fixture
def page(chromium: Browser, address: str, session: StorageState) -> Iterator[Page]:
    """The page of an admin, in which no script but the server's own may run."""
    with opened(chromium, "about:blank", base_url=address, storage_state=session) as page:
        page.set_default_timeout(5_000)
        yield page
        assert page.title() != "run"


def crowds(texts: Sequence[str]) -> list[Sequence[str]]:
    return [texts[first:first + _CROWD] for first in range(0, len(texts), _CROWD)]


def is_attribute(text: str) -> bool:
    return len(text) <= 64 and text.isprintable() and not {".", "$"} & set(text)


def is_plain(text: str) -> bool:
    """Whether it is no template of a message."""
    return "{{" not in text and "{%" not in text


def crowded(texts: Sequence[str], *, key: str) -> dict[str, Any]:
    """A document that can be stored, with each text in every field that takes it."""
    names = list(filter(is_attribute, texts))
    return tiny(
        key=key, hypothesis="\n".join(texts)[:1000], attributes={**dict.fromkeys(names, "string"), "text": "string"},
        segments=[
            {"key": f"segment-{number}", "name": text, "kind": "behavioral",
             "rule": {names[number % len(names)]: text, "text": {"$in": [text]}}}
            for number, text in enumerate(texts)
        ],
        arms=[{"key": "everyone", "role": "mass", "message": {text: text for text in filter(is_plain, texts)}}],
        metrics=[
            {"key": f"metric-{number}", "event": text, "kind": "value", "property": text[:100], "cap": 5,
             "role": "secondary" if number else "goal"}
            for number, text in enumerate(texts)
        ],
    )


def give_reasons(installation: Installation) -> None:
    """A campaign that was frozen and unfrozen for every text there is, and keys named after them."""
    create(installation.store, tiny(), deed=DEED)
    do(installation.store, "tiny", "start", deed=DEED)
    for number, text in enumerate(LINES):
        do(installation.store, "tiny", ("freeze", "unfreeze")[number % 2], deed=DEED._replace(reason=text.strip()))
    for name in filter(str.isprintable, LINES):
        create_key(installation.store, scope="client", name=name, origins=(), random=token_bytes, deed=DEED)


def look(page: Page, path: str, *texts: str) -> None:
    """Open a page, where all of this is to be read as it was written, or as JSON writes it."""
    page.goto(path, wait_until="domcontentloaded")
    assert page.evaluate("window.ran") is None
    said = texts_of(page)
    assert [text for text in texts if text not in said and as_json(text) not in said] == [], page.url


def as_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


Visit = Callable[[Page, int, str], None]


def named(suffix: str) -> Visit:
    """A page of the campaign that bears the text as its name."""
    return lambda page, number, text: look(page, f"/experiments/named-{number}{suffix}", text)


def asked(path: str) -> Visit:
    """A page whose address holds the text."""
    return lambda page, number, text: look(page, path.replace("TEXT", quote(text, safe="", errors="surrogatepass")))


def type_in(path: str, field: str, button: str) -> Visit:
    """A page with a field that shows back what it refuses."""

    def visit(page: Page, number: int, text: str) -> None:
        page.goto(path, wait_until="domcontentloaded")
        page.evaluate("document.querySelector('main form').noValidate = true")
        page.evaluate("([id, text]) => document.getElementById(id).value = text", [field, text])
        page.get_by_role("button", name=button, exact=True).click()
        assert page.evaluate("window.ran") is None

    return visit


def log_in_as(page: Page, number: int, text: str) -> None:
    """The text as e-mail and as password, by a browser in which nobody is logged in."""
    cookies = page.context.cookies()
    page.context.clear_cookies(name="bespoke_session")
    type_in("/login", "email", "Log in")(page, number, text)
    page.context.add_cookies(cookies)


_OF_ONE = (
    "", "/ledger", "/actions", "/actions/start", "/document", "/edit", "/preflight", "/replay", "/discovery", "/review",
    "/frequency",
)
OF_NAMES = tuple(map(named, _OF_ONE))
OF_ANY = (
    *map(asked, (
        "/audit?actor=TEXT", "/audit?subject=TEXT", "/audit?before=TEXT", "/experiments/TEXT", "/experiments/TEXT/edit",
        "/experiments/tiny?link=TEXT", "/experiments/tiny/ledger?before=TEXT", "/experiments/tiny/edit?step=TEXT",
        "/experiments/tiny/edit?at=TEXT", "/experiments/tiny/preflight?days=3&rate=TEXT&visitors_per_day=TEXT",
        "/experiments/tiny/preflight?days=TEXT&delay=TEXT&uplift=TEXT&consent=TEXT",
        "/experiments/tiny/charts/TEXT.svg", "/experiments/tiny/review?since=TEXT", "/login?next=TEXT",
    )),
    type_in(NEW, "audience", "Save and continue"),
    log_in_as,
)


@pytest.mark.parametrize("is_whole", [
    pytest.param(False, id="some"), pytest.param(
        True, id="every text in every place", marks=(pytest.mark.long, pytest.mark.timeout(3600))
    ),
])
def test_no_place_of_one_text_runs_it(page: Page, is_whole: bool) -> None:
    for number, text in enumerate((*LINES, *CONTROLS, *UNSTORABLE)):
        visits = (*OF_NAMES, *OF_ANY) if number < len(LINES) else OF_ANY
        # One text to a page takes its time: a few each show that a place is no exception.
        for visit in visits if is_whole else visits[number // 4 % len(visits):][:number % 4 == 1]:
            visit(page, number, text)


def test_the_list_says_every_name_as_it_was_written(page: Page) -> None:
    look(page, "/", *LINES)


def test_the_ledger_says_every_reason_as_it_was_written(page: Page) -> None:
    newest = [text.strip() for text in reversed(LINES)]
    look(page, "/experiments/tiny/ledger", *newest[:ROWS])
    for first in range(ROWS, len(newest), ROWS):
        older = page.get_by_role("link", name="Older").get_attribute("href")
        look(page, str(older), *newest[first:first + ROWS])


def test_the_audit_log_says_every_reason_and_every_keys_name(page: Page) -> None:
    look(page, "/audit?limit=1000", *map(str.strip, LINES))


@pytest.mark.parametrize("number", range(len(crowds(LINES))))
def test_a_document_full_of_them_is_shown_as_it_was_written(page: Page, number: int) -> None:
    texts, place = crowds(LINES)[number], f"/experiments/crowd-{number}"
    said = {"segments": texts, "messages": list(filter(is_plain, texts)), "metrics": texts, "check": texts}
    for step in STEPS:
        look(page, f"{place}/edit?step={step}", *said.get(step, ()))
    look(page, f"{place}/document", *texts)
    for path in ("/ledger", "/actions", ""):
        look(page, place + path)


@pytest.mark.parametrize(
    "texts", [*crowds(LINES), CONTROLS, UNSTORABLE, CUT], ids=lambda texts: ascii(texts[0][:20])
)
def test_a_form_full_of_them_is_refused_and_shown_back(page: Page, texts: Sequence[str]) -> None:
    filled = {
        "key": "named-0", "name": texts[0], "hypothesis": "\n" + "".join(texts), "currency": texts[-1],
        "objective": texts[0], "audience": texts[-1], "attributes": {text: text for text in texts},
        "segments": [
            {"name": text, "key": text, "rule": {text: text}, "kind": text, "review_by": text} for text in texts
        ],
        "arms": [{"key": text, "role": "tailored", "segments": [text], "message": {text: text}, "channel": text,
                  "cost_per_exposure": text, "fixed_cost": text} for text in texts],
        "metrics": [{"event": text, "key": text, "window": text, "limit": text, "value": text} for text in texts],
        "policy": {"kind": texts[0], "every": texts[-1], text: text} if (text := texts[0]) else {},
    }
    look(page, "/experiments/named-0/edit?step=check")
    page.locator("summary", has_text="The document, as JSON").click()
    page.locator("#document").fill(json.dumps(filled))
    page.get_by_role("button", name="Fill in the form with this").click()
    expect(page.locator("#errors, .warning").first).to_be_visible()
    kept = [text for text in texts if text in LINES]
    for step in STEPS:
        said = kept if step in ("segments", "metrics") else ()
        look(page, f"/experiments/named-0/edit?step={step}&faults=1", *said)


def test_an_e_mail_is_a_name_like_any_other(chromium: Browser, app: Flask, address: str, page: Page) -> None:
    installation, added = app.extensions[EXTENSION], []
    for text in HOSTILE:
        email = f"{text}@shop.example".lower()
        try:
            parse_email(email)
        except InvalidUser as error:
            assert "must be like ann@shop.example" in str(error)
        else:
            added.append(add_user(installation, "viewer", email=email))
    assert len(added) > 100
    look(page, "/audit?limit=1000", *added)
    with opened(chromium, f"{address}/login") as other:
        other.evaluate("document.querySelector('form').noValidate = true")
        log_in(other, email="\"><script>alert(32)</script>@shop.example", password=PASSWORD)
        expect(other.get_by_text("\"><script>alert(32)</script>@shop.example")).to_be_visible()


def test_what_no_store_takes_is_refused_by_name(app: Flask) -> None:
    installation = app.extensions[EXTENSION]
    for text in (*CONTROLS, *UNSTORABLE, *LONG):
        with pytest.raises(BespokeError, match="name: .+ must"):
            create(installation.store, tiny(key="refused", name=text), deed=DEED)


def test_whoever_believed_one_would_be_caught(chromium: Browser) -> None:
    app = Flask("service")
    headers.init_app(app)
    app.add_url_rule("/<int:number>", "page", lambda number: f"<!doctype html><p>{LINES[number]}")
    running = [number for number, text in enumerate(LINES) if
               text.startswith(("<script>alert", "<img src=x", "<svg onload")) and text.endswith(">")]
    assert len(running) == 4
    with serving(app) as address:
        context, complaints = chromium.new_context(), Complaints()
        complaints.hear(context)
        page = context.new_page()
        for number in running:
            complaints.clear()
            page.goto(f"{address}/{number}")
            assert complaints, LINES[number]
        context.close()
