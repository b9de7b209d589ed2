"""What is taken away from a report: charts as images, figures as a table, for whoever may read the page."""

import csv
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from flask.testing import FlaskClient

from experiments.storage.cells import CellKey
from service.installation import Installation
from service.people.links import report_link
from service.report.charts import NAMES
from service.report.table import COLUMNS
from tests.service.conftest import NOW_MS
from tests.service.conftest import SetClock

DAY = 86_400_000

Address = Callable[..., str]


@pytest.fixture
def address(installation: Installation) -> Address:
    """The address of a file of the running campaign, opened by a link for a minute."""

    def address(name: str, key: str = "spring-mailing") -> str:
        page = report_link(key, address="http://localhost", expires_ms=NOW_MS + 60_000, keyring=installation.keyring)
        path, _, query = page.removeprefix("http://localhost").partition("?")
        return f"{path}/{name}?{query}"

    return address


@pytest.fixture
def counted(running: dict[str, Any], installation: Installation) -> None:
    """Visitors and conversions of two days, as so many events would have left them."""
    for day in (1, 0):
        for segment, arm, visitors, conversions in (
            ("womens-shoppers", "nothing", 500, 5), ("womens-shoppers", "one-letter", 2_500, 50),
            ("womens-shoppers", "womens-letter", 2_600, 130), ("everyone-else", "nothing", 400, 5),
            ("everyone-else", "one-letter", 4_000, 80),
        ):
            cell = CellKey("spring-mailing", 1, NOW_MS // DAY - day, segment, arm, False, "purchase")
            changes = {
                cell: (visitors, conversions, float(conversions)),
                cell._replace(metric="$exposures"): (visitors, visitors, float(visitors)),
            }
            installation.store.transact(lambda session, changes=changes: session.cells.add(changes))


@pytest.mark.usefixtures("counted")
def test_every_chart_can_be_had_with_its_title_and_its_time(client: FlaskClient, address: Address) -> None:
    for name in set(NAMES) - {"savings"}:
        answer = client.get(address(f"charts/{name}.svg"))
        assert (answer.status_code, answer.mimetype) == (200, "image/svg+xml")
        assert answer.headers["Content-Disposition"] == f'attachment; filename="spring-mailing-{name}.svg"'
        text = " ".join(ElementTree.fromstring(answer.data).itertext())
        assert "as of 1 December 2026" in text


@pytest.mark.usefixtures("counted")
def test_traffic_that_never_moved_has_earned_nothing_to_draw(client: FlaskClient, address: Address) -> None:
    answer = client.get(address("charts/savings.svg"))
    assert answer.status_code == 404 and "too little has been seen" in answer.text


@pytest.mark.usefixtures("counted")
def test_a_chart_for_slides_is_a_png(client: FlaskClient, address: Address) -> None:
    answer = client.get(address("charts/certainty.png"))
    assert (answer.status_code, answer.mimetype) == (200, "image/png")
    assert answer.data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(answer.data[start: start + 4], "big") for start in (16, 20))
    assert width > 1000 and height > 200


@pytest.mark.usefixtures("counted")
def test_the_table_has_every_row_of_the_report(client: FlaskClient, address: Address) -> None:
    answer = client.get(address("figures.csv"))
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(StringIO(answer.text, newline="")))
    assert tuple(rows[0]) == COLUMNS
    row = next(row for row in rows if (row["arm"], row["metric"], row["segment"]) == ("womens-letter", "purchase", ""))
    assert (row["visitors"], row["sum"]) == ("5200", "260")


@pytest.mark.usefixtures("counted")
def test_the_table_for_excel_begins_with_a_mark_and_is_the_same(client: FlaskClient, address: Address) -> None:
    plain, marked = (client.get(address("figures.csv") + query).data for query in ("", "&bom=true"))
    assert marked == b"\xef\xbb\xbf" + plain
    answer = client.get(address("figures.csv") + "&bom=perhaps")
    assert answer.status_code == 400 and "perhaps" in answer.text


@pytest.mark.usefixtures("running")
def test_what_cannot_be_drawn_says_why(client: FlaskClient, address: Address) -> None:
    for name, why in (("gains", "too little has been seen"), ("pie", "is no chart")):
        answer = client.get(address(f"charts/{name}.png"))
        assert answer.status_code == 404
        assert name in answer.text.lower() and why in answer.text


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize("name", ["charts/gains.svg", "charts/gains.png", "figures.csv"])
def test_whoever_may_not_read_the_page_takes_nothing(
    client: FlaskClient, address: Address, clock: SetClock, name: str
) -> None:
    bare = address(name).partition("?")[0]
    foreign = address(name, key="other").replace("/other/", "/spring-mailing/")
    assert client.get(bare).location.startswith("/login?next=")
    for path in (f"{bare}?link=x", foreign, address(name, key="other")):
        assert client.get(path).status_code == 403
    path = address(name)
    assert client.get(path).status_code == 200
    clock.advance(seconds=60)
    answer = client.get(path)
    assert answer.status_code == 403 and "This link does not open" in answer.text


@pytest.mark.usefixtures("counted")
def test_the_page_links_to_its_files(client: FlaskClient, address: Address) -> None:
    page = client.get(address("").replace("/?", "?")).text
    for name in ("charts/gains.png", "charts/reach.svg", "figures.csv"):
        assert address(name).replace("&", "&amp;") in page
