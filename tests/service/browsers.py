"""What people do in a real Chromium, and what may not happen to them there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser
from playwright.sync_api import BrowserContext
from playwright.sync_api import Dialog
from playwright.sync_api import Locator
from playwright.sync_api import Page
from playwright.sync_api import StorageState
from playwright.sync_api import expect

from tests.service.people import PASSWORD
from tests.service.processes import REPOSITORY

#: The form of a campaign that is not there yet.
NEW = "/new"
_AXE = REPOSITORY / "tests" / "clients" / "web" / "node_modules" / "axe-core" / "axe.min.js"


class Complaints(list[str]):
    """What a browser complains of, and what a script that runs would do: ask, log, throw, load from elsewhere."""

    def hear(self, context: BrowserContext) -> None:
        """Listen from now on."""
        context.on("console", lambda message: self._note(message.text))
        context.on("weberror", lambda error: self.append(str(error.error)))
        context.on("dialog", self._refuse)
        context.on("request", lambda request: self._asked(request.url))

    def _note(self, text: str) -> None:
        # That a page is a refusal is no complaint of the page.
        if "the server responded with a status of 4" not in text:
            self.append(text)

    def _refuse(self, dialog: Dialog) -> None:
        if dialog.type != "beforeunload":
            self.append(f"{dialog.type}: {dialog.message}")
        dialog.dismiss()

    def _asked(self, url: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "http://localhost:", "data:", "file:///")):
            self.append(f"loads {url}")


@contextmanager
def opened(browser: Browser, url: str, **settings: Any) -> Iterator[Page]:
    """A page in a fresh browser context; it may not complain of anything."""
    context, complaints = browser.new_context(**settings), Complaints()
    complaints.hear(context)
    page = context.new_page()
    page.goto(url)
    yield page
    context.close()
    assert complaints == []


def log_in(page: Page, *, email: str = "admin@shop.example", password: str = PASSWORD) -> None:
    """Fill in the form and send it."""
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def session_of(browser: Browser, address: str, *, email: str = "admin@shop.example") -> StorageState:
    """What a browser keeps of somebody who has logged in, to begin others with."""
    with opened(browser, f"{address}/login") as page:
        log_in(page, email=email)
        expect(page.locator("h1")).to_have_text("Campaigns")
        return page.context.storage_state()


def field(page: Page, name: str) -> Locator:
    """A field of the set-up form."""
    return page.locator(f"[id='{name}']")


def fill(page: Page, values: dict[str, str]) -> None:
    """Type and choose in the set-up form, opening what is folded."""
    for details in reversed(page.locator("#setup details:not([open]) > summary").all()):
        details.click()
    for name, value in values.items():
        is_select = field(page, name).evaluate("element => element.tagName") == "SELECT"
        field(page, name).select_option(value) if is_select else field(page, name).fill(value)


def press(page: Page, name: str) -> None:
    """Press the last button of this name; the first of a form is there for Enter."""
    page.get_by_role("button", name=name, exact=True).last.click()


def go_on(page: Page, title: str) -> None:
    """Save a step of the set-up form; the next one has this title."""
    press(page, "Save and continue")
    expect(page.locator("h1")).to_have_text(title)


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def barriers(page: Page, *, within: str = "html") -> list[Any]:
    """What axe finds on the page as it stands, each rule with the places where it is broken."""
    page.evaluate(_AXE.read_text())
    found = page.evaluate("within => axe.run(within, {resultTypes: ['violations']})", within)["violations"]
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]


def texts_of(page: Page) -> str:
    """Everything that the page says: to the eye, in its fields, and to who listens."""
    return str(page.evaluate("""() => [
        document.title, document.documentElement.textContent,
        ...[...document.querySelectorAll("*")].flatMap(one => [one.value, one.getAttribute("aria-label")]),
    ].filter(text => typeof text == "string").join("\\n")"""))
