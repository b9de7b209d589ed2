"""The papers on privacy: every table is in them, and they say what the settings and the campaigns say."""

from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from experiments.lifecycle import act
from experiments.lifecycle import create
from service.config import load_config
from service.installation import Installation
from service.privacy.papers import data_map
from tests.experiments.documents import spring_mailing
from tests.service.conftest import DEED
from tests.service.conftest import Run
from tests.service.people import Someone
from tests.service.people import logged_in


@pytest.fixture(name="ann")
def _ann(app: Flask, installation: Installation) -> Someone:
    return logged_in(app, installation, "viewer")


def with_patients(**changes: Any) -> dict[str, Any]:
    """The example, with a segment that needs a legal basis."""
    document = spring_mailing(**changes)
    segment = {
        "key": "patients", "kind": "demographic", "rule": {"zip_code": "x"}, "legal_basis": "Consent form 7 <b>",
    }
    return {**document, "segments": [*document["segments"], segment]}


def test_every_table_of_the_database_is_in_one_line_of_the_map(installation: Installation, tmp_path: Path) -> None:
    tables = installation.store.read(lambda session: {
        name for (name,) in session.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    })
    named = [table for kept in data_map(installation.config.written) for table in kept.tables]
    assert sorted(named) == sorted(tables)


def test_the_page_says_what_campaigns_look_at_and_on_which_legal_basis(
    ann: Someone, installation: Installation
) -> None:
    create(installation.store, with_patients(), deed=DEED)
    installation.snapshots.refresh()
    page = ann.open("/privacy").text
    assert "recency, womens, zip_code, first_name" in page
    assert "patients: Consent form 7 &lt;b&gt;" in page
    act(installation.store, "spring-mailing", "start", deed=DEED)
    act(installation.store, "spring-mailing", "stop", deed=DEED)
    act(installation.store, "spring-mailing", "archive", deed=DEED)
    installation.snapshots.refresh()
    assert "Consent form" not in ann.open("/privacy").text


def test_the_papers_follow_the_settings(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("init")
    before = run("privacy").out
    assert "fewer than 10 " in before and "this installation takes personalise" in before
    monkeypatch.setenv("BESPOKE_MIN_CELL", "25")
    monkeypatch.setenv("BESPOKE_CONSENT_DEFAULT", "none")
    monkeypatch.setenv("BESPOKE_SESSION_LIFETIME", "3h")
    monkeypatch.setenv("BESPOKE_DEDUPLICATION_HORIZON", "11d")
    after = run("privacy").out
    assert "fewer than 25 " in after and "fewer than 10 " not in after
    assert "this installation takes none" in after
    assert "sessions for 3h" in after and "older than 11d" in after


def test_one_paper_can_be_asked_for_and_the_page_has_them_all(run: Run, ann: Someone) -> None:
    run("init")
    notice = run("privacy", "--paper", "notice").out
    assert notice.startswith("# A privacy notice, to be completed\n")
    assert "impact assessment" not in notice
    page = ann.open("/privacy").text
    for title in ("What is stored, why", "What needs consent", "A privacy notice", "An impact assessment"):
        assert title in page
    assert run("privacy", "--paper", "will").status == 2


def test_no_secret_is_in_the_papers(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BESPOKE_SECRET", "a secret that nobody may read, ever")
    run("init")
    assert "nobody may read" not in run("privacy").out


def test_each_duty_names_a_test_that_there_is() -> None:
    repository = Path(__file__).parents[2]
    text = (repository / "docs" / "privacy.md").read_text()
    named = [word.strip("`,.;|") for word in text.split() if word.startswith("`tests/")]
    assert len(named) > 10
    for name in named:
        path, _, test = name.partition("::")
        assert f"def {test}" in (repository / path).read_text(), name
    assert load_config({}).min_cell == 10
