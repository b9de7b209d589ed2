"""Decisions with an impact, by every way in which a document is saved."""

import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from service.installation import Installation
from tests.experiments.documents import tiny
from tests.service.conftest import Run
from tests.service.conftest import bearer
from tests.service.people import logged_in

PRICES = tiny(policy={"kind": "thompson"}, decision_impact=True)
RULE = "cannot move traffic by itself where decision_impact says that arms affect people legally or as much"


@pytest.mark.every_database
def test_over_http_an_adaptive_policy_is_refused_until_somebody_says_why(
    client: FlaskClient, keys: dict[str, str]
) -> None:
    headers = bearer(keys["admin"])
    refused = client.post("/v1/experiments", json=PRICES, headers=headers)
    assert refused.status_code == 422 and RULE in refused.text
    why = {**PRICES, "decision_override": "An agent looks at each offer."}
    assert client.post("/v1/experiments", json=why, headers=headers).status_code == 201
    assert client.put("/v1/experiments/tiny", json=PRICES, headers=headers).status_code == 422
    [row] = client.get("/v1/audit?subject=tiny", headers=headers).get_json()["audit"]
    assert row["details"]["decision_override"] == "An agent looks at each offer."
    assert client.get("/v1/experiments/tiny", headers=headers).get_json()["decision_impact"] is True


def test_the_command_line_says_the_same(run: Run) -> None:
    run("init")
    said = run("experiment", "apply", "-", stdin=json.dumps(PRICES))
    assert said.status == 1 and RULE in said.err
    assert run("experiment", "apply", "-", stdin=json.dumps({**PRICES, "policy": {"kind": "fixed"}})).status == 0


def test_the_set_up_shows_both_fields_and_keeps_them(
    app: Flask, installation: Installation, client: FlaskClient, keys: dict[str, str]
) -> None:
    document: dict[str, Any] = {**PRICES, "decision_override": "An agent looks."}
    assert client.post("/v1/experiments", json=document, headers=bearer(keys["admin"])).status_code == 201
    page = logged_in(app, installation, "editor").open("/experiments/tiny/edit?step=basics", follow_redirects=True).text
    assert "Does it affect people legally, or as much?" in page and "An agent looks." in page
