"""Recent traffic on the set-up's pages: from real evaluations, only of who consents, in memory alone."""

import json
import secrets
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from experiments.keys import create_key
from experiments.lifecycle import act
from experiments.lifecycle import create
from service import create_app
from service.config import Config
from service.config import load_config
from service.current import EXTENSION
from service.installation import Installation
from tests.experiments.documents import spring_mailing
from tests.service.conftest import DEED
from tests.service.conftest import bearer
from tests.service.people import Someone
from tests.service.people import logged_in

SEGMENTS = "/experiments/spring-mailing/edit?step=segments"
MESSAGES = "/experiments/spring-mailing/edit?step=messages"
_BULK, _ONE = "/ofrep/v1/evaluate/flags", "/ofrep/v1/evaluate/flags/spring-mailing"


@pytest.fixture(name="ann")
def _ann(app: Flask, installation: Installation, running: dict[str, Any]) -> Someone:
    return logged_in(app, installation, "editor")


def evaluate(client: FlaskClient, keys: dict[str, str], many: int, *, at: str = _ONE, **context: Any) -> None:
    """Ask for so many visitors."""
    for number in range(many):
        body = {"context": {"targetingKey": f"visitor-{number}", **context}}
        assert client.post(at, json=body, headers=bearer(keys["client"])).status_code == 200


def test_without_traffic_it_says_so(ann: Someone) -> None:
    assert "No recent traffic yet" in ann.open(SEGMENTS).text
    assert "like those who came lately" not in ann.open(MESSAGES).text


def test_sizes_overlap_and_shadows_stand_beside_the_segments_of_a_draft(
    ann: Someone, client: FlaskClient, keys: dict[str, str], running: dict[str, Any]
) -> None:
    evaluate(client, keys, 30, womens=True, city="Bonn")
    evaluate(client, keys, 20, at=_BULK, womens=True, city="Chur")
    visitors = [{"id": f"list-{number}", "attributes": {"womens": False, "city": "Bonn"}} for number in range(50)]
    asked = {"experiment": "spring-mailing", "visitors": visitors}
    assert client.post("/v1/assignments", json=asked, headers=bearer(keys["server"])).status_code == 200
    page = ann.open(SEGMENTS).text
    assert "100 visitors evaluated since 1 December 2026, 10:00 UTC" in page
    assert "50% of recent traffic" in page and "50% fit none" in page and "fewer than 10 fit several" in page
    # What a new experiment declares was sent all along, though nobody declared it.
    fields = {"base": "", "attributes[0].name": "womens", "attributes[0].value": "boolean",
              "attributes[1].name": "city", "attributes[1].value": "string"}
    for place, (attribute, value) in enumerate((("womens", "true"), ("city", "Bonn"), ("city", "Delft"))):
        rows = f"segments[{place}].rule.rows[0]"
        fields |= {f"segments[{place}].name": f"{attribute} {value}", f"{rows}.attribute": attribute,
                   f"{rows}.value": value}
    ann.send("/new?step=segments", on="/new", do="save", **fields)
    page = ann.open("/new?step=segments").text
    assert "30% fit several segments, and fewer than 10 fit none" in page
    assert "50% of recent traffic." in page
    assert "80% of recent traffic fit; left: 50%, since most others go to womens true." in page
    assert "Fewer than 10 of recent traffic." in page


@pytest.mark.parametrize("refusal", [
    {"consent": "none"}, {"consent": "measure"}, {"gpc": "1"}, {"context_gpc": True},
])
def test_nothing_is_remembered_of_those_who_do_not_consent(
    ann: Someone, client: FlaskClient, keys: dict[str, str], installation: Installation, refusal: dict[str, Any]
) -> None:
    gpc, context = refusal.pop("gpc", "0"), {name.removeprefix("context_"): value for name, value in refusal.items()}
    headers = {**bearer(keys["client"]), "Sec-GPC": gpc}
    for at in (_ONE, _BULK):
        body = {"context": {"targetingKey": "ann", "womens": True, **context}}
        assert client.post(at, json=body, headers=headers).status_code == 200
    if gpc == "0" and "consent" in context:
        asked = {"experiment": "spring-mailing", "visitors": [{"id": "ann", "attributes": {"womens": True}, **context}]}
        assert client.post("/v1/assignments", json=asked, headers=bearer(keys["server"])).status_code == 200
    assert installation.recent.contexts() == []
    assert "No recent traffic yet" in ann.open(SEGMENTS).text


def test_the_preview_is_written_for_a_visitor_like_many(
    ann: Someone, client: FlaskClient, keys: dict[str, str]
) -> None:
    evaluate(client, keys, 12, first_name="Beatrix", womens=True)
    evaluate(client, keys, 11, first_name="Cem")
    for number in range(9):
        evaluate(client, keys, 1, first_name=f"Rare-{number}")
    page = ann.open(MESSAGES).text
    assert "first_name Beatrix, womens yes (12 came)" in page and "Hello Beatrix" in page
    assert "Hello Cem" in ann.open(f"{MESSAGES}&visitor=2").text
    assert "Hello there" in ann.open(f"{MESSAGES}&visitor=0").text
    assert "Rare" not in page
    sent = ann.send(MESSAGES, on=MESSAGES, do="preview", visitor="2", base="")
    assert "visitor=2" in sent.location
    assert ann.open(f"{MESSAGES}&visitor=some").status_code == 400


@pytest.mark.parametrize("changes", [
    {"segments": 7}, {"segments": [7, {"rule": 3}]}, {"segments": [{}, {"rule": {"$not": {"city": {"$regex": "("}}}}]},
    {"segments": {"rule": {}}}, {"attributes": 7}, {"attributes": {"womens": "colour"}}, {"arms": [7]},
])
def test_whatever_a_draft_holds_it_is_held_against_recent_traffic(
    ann: Someone, client: FlaskClient, keys: dict[str, str], changes: dict[str, Any]
) -> None:
    evaluate(client, keys, 12, womens=True, city=["a", 1])
    document = json.dumps(spring_mailing(key="other", **changes))
    ann.send("/new?step=check", on="/new", do="paste", document=document, base="")
    for step in ("segments", "messages"):
        page = ann.open(f"/new?step={step}")
        assert page.status_code == 200 and ("12 visitors evaluated" in page.text or step == "messages")


def test_nothing_of_it_is_in_the_database(
    ann: Someone, client: FlaskClient, keys: dict[str, str], config: Config, tmp_path: Path
) -> None:
    evaluate(client, keys, 20, first_name="Beatrix-the-rare", undeclared="undeclared-value")
    ann.open(SEGMENTS)
    ann.send(MESSAGES, on=MESSAGES, do="preview", visitor="1", base="")
    beside = sqlite3.connect(config.database_path)
    dump = "\n".join(beside.iterdump())
    beside.close()
    assert "Spring" in dump and "Beatrix-the-rare" not in dump and "undeclared-value" not in dump


def test_it_can_be_turned_off(tmp_path: Path) -> None:
    settings = {"BESPOKE_DATABASE_URL": f"sqlite:///{tmp_path}/off.db", "BESPOKE_RECENT_TRAFFIC": "0"}
    app = create_app(load_config(settings))
    installation: Installation = app.extensions[EXTENSION]
    try:
        create(installation.store, spring_mailing(), deed=DEED)
        act(installation.store, "spring-mailing", "start", deed=DEED)
        installation.snapshots.refresh()
        ann = logged_in(app, installation, "editor")
        key = create_key(
            installation.store, scope="client", name="", origins=(), random=secrets.token_bytes, deed=DEED
        )
        evaluate(app.test_client(), {"client": key}, 20, womens=True)
        page = ann.open(SEGMENTS).text
    finally:
        installation.close()
    assert "BESPOKE_RECENT_TRAFFIC is 0" in page and "of recent traffic" not in page
