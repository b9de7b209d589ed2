"""The report's page: opened by a signed link that expires, or by a login."""

import pytest
from flask.testing import FlaskClient

from service.installation import Installation
from service.people.links import report_link
from tests.service.conftest import NOW_MS
from tests.service.conftest import Run
from tests.service.conftest import SetClock


def _path(installation: Installation, key: str = "spring-mailing", *, seconds: int = 60) -> str:
    link = report_link(
        key, address="http://localhost", expires_ms=NOW_MS + seconds * 1000, keyring=installation.keyring
    )
    return link.removeprefix("http://localhost")


def test_a_link_shows_the_report(client: FlaskClient, running: str, installation: Installation) -> None:
    answer = client.get(_path(installation))
    assert answer.status_code == 200
    assert answer.mimetype == "text/html"
    assert "Nobody has been exposed yet." in answer.text
    assert "Spring mailing: one letter for all, or one per taste?" in answer.text


def test_a_link_ends(client: FlaskClient, running: str, installation: Installation, clock: SetClock) -> None:
    path = _path(installation)
    clock.advance(seconds=60)
    answer = client.get(path)
    assert answer.status_code == 403
    assert "The link has expired" in answer.text


def test_without_a_link_nothing_is_shown(client: FlaskClient, running: str, installation: Installation) -> None:
    asked = client.get("/experiments/spring-mailing")
    assert (asked.status_code, asked.location) == (303, "/login?next=/experiments/spring-mailing")
    bare = "/experiments/spring-mailing?link="
    for path in (bare, f"{bare}x", _path(installation, "other")):
        answer = client.get(path)
        assert answer.status_code == 403
        assert "Spring mailing" not in answer.text
        assert "This link does not open" in answer.text


def test_before_anybody_came_there_is_a_page_even_where_nothing_is_hidden(
    started: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BESPOKE_MIN_CELL", "0")
    said = started("report", "spring-mailing", "--format", "html")
    assert said.status == 0
    assert "Nobody has been exposed yet." in said.out and "Too little has been seen" in said.out
