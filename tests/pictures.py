"""Take the pictures of `docs/pages.md`: each page on phones, tablets and wide screens, in light and in dark.

`make pictures` runs it. The six pictures of a page become one sheet, small enough to be kept.
"""

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser
from playwright.sync_api import BrowserContext
from playwright.sync_api import Page
from playwright.sync_api import sync_playwright

from service.setup.state import STEPS
from tests.service.browsers import NEW
from tests.service.browsers import log_in
from tests.service.conftest import CHROMIUM_FLAGS
from tests.service.processes import REPOSITORY
from tests.service.sites import serving
from tests.service.sites import showroom

FOLDER = REPOSITORY / "docs" / "pictures"
LARGEST_BYTES = 120_000
WIDTHS = (390, 1024, 1600)
_CAMPAIGN = "/experiments/spring-mailing"
_DRAFT = "/experiments/loyalty-card"
#: Every page by the name of its sheet.
PAGES = {
    "campaigns": "/",
    **{f"set-up-{step}": f"{_DRAFT}/edit?step={step}" for step in STEPS},
    "set-up-faults": f"{NEW}?step=basics&faults=1",
    "gallery": "/gallery",
    "preflight": f"{_DRAFT}/preflight?days=14",
    "report-page": _CAMPAIGN,
    "report-thin": "/experiments/autumn-flyer",
    "report-alarm": "/experiments/gift-cards",
    "actions": f"{_CAMPAIGN}/actions",
    "confirm": f"{_CAMPAIGN}/actions/finish",
    "ledger": f"{_CAMPAIGN}/ledger",
    "discovery": "/experiments/letters/discovery",
    "review": f"{_CAMPAIGN}/review",
    "frequency": "/experiments/win-back/frequency",
    "document": f"{_CAMPAIGN}/document",
    "people": "/people",
    "privacy": "/privacy",
    "audit": "/audit",
    "refused": "/experiments/nothing",
    "reference": "/docs",
    # The last, since it logs out.
    "login": "/login",
}
_TALLEST = 1_600
_STYLE = (
    "<style>body{margin:0;padding:16px;background:#8a94a0;display:grid;gap:16px;width:1468px;align-items:start;"
    f"grid-template-columns:{' '.join(f'{width}fr' for width in WIDTHS)}}}img{{width:100%}}</style>"
)


def main() -> None:
    """Take every picture anew."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with TemporaryDirectory() as folder, showroom(Path(folder)) as app, serving(app) as address:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_FLAGS))
            contexts = list(_contexts(browser, address))
            for name, place in PAGES.items():
                shots = [_shot(context, place) for context in contexts]
                (FOLDER / f"page-{name}.jpg").write_bytes(_sheet(browser, shots))
                print(name)
            browser.close()


def _contexts(browser: Browser, address: str) -> Iterator[BrowserContext]:
    """A reader of each kind, logged in."""
    for scheme in ("light", "dark"):
        for width in WIDTHS:
            viewport = {"width": width, "height": 900}
            context = browser.new_context(base_url=address, viewport=viewport, color_scheme=scheme)
            page = context.new_page()
            page.goto("/login")
            log_in(page)
            page.wait_for_url(f"{address}/")
            page.close()
            yield context


def _shot(context: BrowserContext, place: str) -> bytes:
    if place == "/login":
        context.clear_cookies()
    page = context.new_page()
    page.goto(place)
    height = min(int(page.evaluate("document.documentElement.scrollHeight")), _TALLEST)
    width = page.viewport_size["width"] if page.viewport_size else WIDTHS[0]
    shot = page.screenshot(
        full_page=True, type="jpeg", clip={"x": 0, "y": 0, "width": width, "height": height}
    )
    page.close()
    return shot


def _sheet(browser: Browser, shots: list[bytes]) -> bytes:
    """The pictures of a page side by side, in the best quality that is small enough."""
    page = browser.new_page(viewport={"width": 1500, "height": 500})
    page.set_content(
        _STYLE + "".join(f'<img src="data:image/jpeg;base64,{base64.b64encode(shot).decode()}">' for shot in shots)
    )
    page.wait_for_function("[...document.images].every(image => image.complete)")
    sheet = next(_small_enough(page))
    page.close()
    return sheet


def _small_enough(page: Page) -> Iterator[bytes]:
    for quality in range(62, 0, -15):
        sheet = page.screenshot(full_page=True, type="jpeg", quality=quality)
        if len(sheet) <= LARGEST_BYTES:
            yield sheet


if __name__ == "__main__":
    main()
