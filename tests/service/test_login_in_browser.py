"""People in a real Chromium, at the real server: log in, look around, log out; other sites get nowhere."""

import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from http.server import HTTPServer

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import expect

from experiments.people import remove_user
from experiments.verification import verify
from service.config import load_config
from service.installation import open_installation
from tests.service.browsers import log_in
from tests.service.browsers import opened
from tests.service.browsers import overflow
from tests.service.conftest import CHROMIUM_FLAGS
from tests.service.conftest import DEED
from tests.service.people import COOKIE
from tests.service.people import PASSWORD
from tests.service.people import add_user
from tests.service.processes import ServerProcess

pytestmark = pytest.mark.browser

EMAIL = "admin@shop.example"


def test_from_the_report_to_the_login_and_back_and_out(chromium: Browser, address: str) -> None:
    with opened(chromium, f"{address}/experiments/spring-mailing") as page:
        expect(page).to_have_title("Log in · Bespoke")
        log_in(page, password="a wrong password")
        expect(page.get_by_role("alert")).to_have_text("The e-mail or the password is wrong.")
        expect(page.get_by_label("E-mail")).to_have_value(EMAIL)
        expect(page.get_by_label("Password")).to_be_focused()
        log_in(page)
        expect(page).to_have_url(f"{address}/experiments/spring-mailing")
        expect(page.get_by_text(EMAIL)).to_be_visible()
        page.get_by_role("link", name="Audit log").click()
        expect(page.get_by_role("cell", name="login failed")).to_be_visible()
        page.get_by_label("Subject").fill("spring-mailing")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("tbody tr")).to_have_count(2)
        page.get_by_role("link", name="Campaigns").click()
        page.get_by_role("link", name=re.compile("^Spring mailing")).click()
        page.get_by_role("button", name="Log out").click()
        expect(page).to_have_url(f"{address}/login")
        page.go_back()
        expect(page).to_have_title("Log in · Bespoke")


def test_the_keyboard_alone_is_enough(chromium: Browser, address: str) -> None:
    with opened(chromium, f"{address}/login") as page:
        expect(page.get_by_label("E-mail")).to_be_focused()
        page.keyboard.type(EMAIL)
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Campaigns")).to_be_visible()


def test_no_script_sees_the_cookie_and_none_is_needed(chromium: Browser, address: str) -> None:
    with opened(chromium, f"{address}/login") as page:
        log_in(page)
        assert page.evaluate("document.cookie") == ""
        (cookie,) = page.context.cookies()
        assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == (COOKIE, True, "Lax")
    with opened(chromium, f"{address}/login", java_script_enabled=False) as page:
        log_in(page)
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_it_works_where_browsers_say_little_of_where_a_form_comes_from(
    chromium: Browser, server: ServerProcess
) -> None:
    # Over http, to another machine, they send neither Sec-Fetch-Site nor, without a referrer, a useful Origin.
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    flags = [*CHROMIUM_FLAGS, "--host-resolver-rules=MAP bespoke.test 127.0.0.1"]
    browser = chromium.browser_type.launch(executable_path=path, args=flags)
    sent: list[dict[str, str]] = []
    page = browser.new_page()
    page.on("request", lambda request: sent.append(request.all_headers()) if request.method == "POST" else None)
    page.goto(f"http://bespoke.test:{server.port}/login")
    log_in(page)
    expect(page.get_by_role("heading", name="Campaigns")).to_be_visible()
    browser.close()
    assert sent[0]["origin"] == f"http://bespoke.test:{server.port}"
    assert "sec-fetch-site" not in sent[0]


@contextmanager
def another_site(page_text: str) -> Iterator[str]:
    """A site of somebody else, with one page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page_text.encode())

        def log_message(self, *_: object) -> None:
            pass

    site = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    yield f"http://localhost:{site.server_port}"
    site.shutdown()
    thread.join()
    site.server_close()


@pytest.mark.parametrize("path", ["/logout", "/login"])
def test_a_form_of_another_site_changes_nothing(chromium: Browser, address: str, path: str) -> None:
    form = f"""<form method=post action={address}{path}><input name=email value={EMAIL}><button>Win</button></form>"""
    with another_site(form) as site, opened(chromium, f"{address}/login") as page:
        log_in(page)
        page.goto(site)
        page.get_by_role("button", name="Win").click()
        expect(page.get_by_role("heading", name="This is not open to you")).to_be_visible()
        page.goto(address)
        expect(page.get_by_role("heading", name="Campaigns")).to_be_visible()


@pytest.mark.parametrize(("scheme", "back"), [("light", "rgb(245, 247, 249)"), ("dark", "rgb(16, 21, 28)")])
def test_pages_fit_a_phone_in_light_and_dark(chromium: Browser, address: str, scheme: str, back: str) -> None:
    phone = {"viewport": {"width": 360, "height": 640}, "color_scheme": scheme}
    with opened(chromium, f"{address}/login", **phone) as page:
        assert overflow(page) <= 0
        log_in(page)
        for path in ("/", "/audit", "/audit?before=x"):
            page.goto(address + path)
            assert overflow(page) <= 0
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == back


def test_who_is_removed_beside_the_server_is_out_at_once(
    chromium: Browser, server: ServerProcess, address: str
) -> None:
    beside = open_installation(load_config(server.installed.settings))
    add_user(beside, "viewer", email="bob@shop.example")
    with opened(chromium, f"{address}/login") as page:
        log_in(page, email="bob@shop.example")
        expect(page.get_by_role("heading", name="Campaigns")).to_be_visible()
        expect(page.get_by_role("link", name="Audit log")).to_have_count(0)
        remove_user(beside.store, "bob@shop.example", deed=DEED)
        page.reload()
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert verify(beside.store) == []
    beside.close()
