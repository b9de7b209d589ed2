"""Texts that would do harm, in what leaves the pages: previews, charts, reports, e-mails and tables."""

import csv
from collections.abc import Iterator
from collections.abc import Sequence
from email.message import EmailMessage
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import expect

from experiments.lifecycle import act
from experiments.lifecycle import create
from service.charts import headed
from service.charts import render_svg
from service.current import EXTENSION
from service.mail.digest import digest
from service.pages import inline_stylesheet
from service.pages import render_report
from service.report.charts import report_charts
from service.report.table import report_csv
from tests.experiments.documents import tiny
from tests.hostile import LINES
from tests.service.browsers import log_in
from tests.service.browsers import opened
from tests.service.browsers import texts_of
from tests.service.conftest import DEED
from tests.service.reports import many_segments
from tests.service.reports import sample_allocations
from tests.service.reports import sample_report
from tests.service.sites import serving
from tests.service.sites import showroom

pytestmark = pytest.mark.browser


def crowded_report(texts: Sequence[str]) -> dict[str, Any]:
    """A campaign of which each segment bears another text as its name."""
    report = many_segments(len(texts))
    name_by_key = {f"segment-{number}": text for number, text in enumerate(texts)}
    arms = [row | {"segment": name_by_key[row["segment"]]} for row in report["arms"]]
    report.update(name="\n".join(texts), arms=arms, naive=arms)
    for segment in report["verdict"]["segments"]:
        segment["segment"] = name_by_key[segment["segment"]]
    report["verdict"]["headline"] = "; ".join(texts)
    report["diagnostics"].update(intervals_valid=False, notes=list(texts))
    return report


def crowded_allocations(texts: Sequence[str]) -> list[dict[str, Any]]:
    """The allocations of the same campaign."""
    rows = sample_allocations(3)
    return [row | {"weights": {text: row["weights"]["womens-shoppers"] for text in texts}} for row in rows]


def crowds(size: int) -> Iterator[Sequence[str]]:
    return (LINES[first:first + size] for first in range(0, len(LINES), size))


def test_a_preview_is_what_is_sent_and_runs_nothing(chromium: Browser, tmp_path: Path) -> None:
    names = [f"a{number}" for number in range(60)]
    body = "\n".join(f"{{{{ {name} }}}}" for name in names)
    arms = [
        {"key": channel, "role": "mass", "channel": channel, "message": {"body": body}} for channel in ("sms", "web")
    ]
    with showroom(tmp_path, is_empty=True) as app, serving(app) as address:
        document = tiny(key="letters", attributes=dict.fromkeys(names, "string"), arms=arms)
        create(app.extensions[EXTENSION].store, document, deed=DEED)
        with opened(chromium, f"{address}/experiments/letters/edit?step=messages") as page:
            log_in(page)
            for texts in crowds(len(names)):
                page.evaluate(
                    "texts => texts.forEach((text, n) => document.getElementById(`sample[${n}].value`).value = text)",
                    [*texts, *[""] * (len(names) - len(texts))],
                )
                page.get_by_role("button", name="Preview", exact=True).click()
                expect(page.locator("#preview dd").first).to_contain_text(texts[0].strip())
                sent = [dd.text_content() or "" for dd in page.locator("#preview dd").all()]
                for text in texts:
                    if text.isprintable():
                        assert text in sent[0]
                        assert escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in sent[1]
                        assert text in texts_of(page)


def test_a_chart_opened_by_itself_runs_and_loads_nothing(chromium: Browser, tmp_path: Path) -> None:
    for number, texts in enumerate(crowds(90)):
        for chart in report_charts(crowded_report(texts), crowded_allocations(texts)):
            if chart.wide:
                (tmp_path / f"{number}-{chart.name}.svg").write_text(render_svg(headed(chart.wide, texts[1], texts[2])))
    drawn = sorted(tmp_path.iterdir())
    assert len(drawn) >= 12
    with opened(chromium, "about:blank") as page:
        for path in drawn:
            page.goto(path.as_uri())
            assert page.evaluate("document.documentElement.localName") == "svg"
            assert page.evaluate("window.ran") is None


def test_a_report_that_stands_alone_runs_nothing_though_no_policy_holds_it(chromium: Browser, tmp_path: Path) -> None:
    with showroom(tmp_path, is_empty=True) as app, opened(chromium, "about:blank") as page:
        for texts in crowds(100):
            path = tmp_path / "report.html"
            with app.test_request_context():
                path.write_text(render_report(crowded_report(texts), stylesheet=inline_stylesheet()))
            page.goto(path.as_uri())
            said = texts_of(page)
            assert [text for text in texts if text not in said] == []
            assert page.evaluate("document.scripts.length") == 0


def test_an_e_mail_runs_nothing_in_whatever_shows_it(chromium: Browser, tmp_path: Path) -> None:
    with showroom(tmp_path, is_empty=True) as app, opened(chromium, "about:blank") as page:
        installation = app.extensions[EXTENSION]
        # Each report takes its time.
        names = LINES[::6]
        for number, name in enumerate(names):
            create(installation.store, tiny(key=f"named-{number}", name=name), deed=DEED)
            act(installation.store, f"named-{number}", "start", deed=DEED)
        message = digest(installation, [f"named-{n}" for n in range(len(names))], recipients=["ann@shop.example"])
        html = next(part for part in message.walk() if part.get_content_type() == "text/html")
        assert isinstance(html, EmailMessage)
        path = tmp_path / "digest.html"
        path.write_text(html.get_content())
        page.goto(path.as_uri())
        said = texts_of(page)
        assert [name for name in names if name not in said] == []
        assert page.evaluate("window.ran") is None
        assert not {name.lower() for name in message.keys()} & {"bcc", "cc"}


def test_no_cell_of_a_table_is_a_formula_and_every_name_comes_back() -> None:
    report = sample_report()
    row = report["arms"][0]
    report["arms"] = [row | {"segment": text, "arm": text} for text in LINES]
    cells = [line["segment"] for line in csv.DictReader(StringIO(report_csv(report)))]
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []
    assert [cell.removeprefix("'") for cell in cells[:len(LINES)]] == [text.removeprefix("'") for text in LINES]
