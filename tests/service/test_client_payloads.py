"""What a key that stands in a web page can learn: what it asked for, and nothing that is written for colleagues."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from experiments.lifecycle import act
from experiments.lifecycle import apply_document
from service.installation import Installation
from tests.experiments.documents import at_home
from tests.experiments.documents import spring_mailing
from tests.service.bodies import ID
from tests.service.bodies import NUMBER
from tests.service.bodies import TAKING
from tests.service.conftest import DEED
from tests.service.conftest import bearer

#: Where documents hold it, and no answer may.
PRIVATE = "for-colleagues-only"


def private(document: dict[str, Any]) -> dict[str, Any]:
    """The document, with a text in all that it says to colleagues."""
    told = {**document, "name": PRIVATE, "hypothesis": PRIVATE, "audience": 987654}
    told["segments"] = [{**segment, "name": PRIVATE} for segment in document["segments"]]
    told["metrics"] = [{**metric, "key": f"{PRIVATE}-{n}"} for n, metric in enumerate(document["metrics"])]
    told["arms"] = [
        arm if arm["role"] == "control" else {**arm, "cost_per_exposure": 0.1234, "fixed_cost": 987654}
        for arm in document["arms"]
    ]
    return told


@pytest.fixture
def told(installation: Installation) -> list[str]:
    """Experiments whose documents hold private texts: two run, a draft and an archived one do not."""
    documents = [spring_mailing(), at_home(), spring_mailing(key="draft"), spring_mailing(key="archived")]
    for document in documents:
        apply_document(installation.store, private(document), deed=DEED)
        if document["key"] != "draft":
            act(installation.store, document["key"], "start", deed=DEED)
    act(installation.store, "archived", "stop", deed=DEED)
    act(installation.store, "archived", "archive", deed=DEED)
    installation.snapshots.refresh()
    return [document["key"] for document in documents]


def answers(app: Flask, client: FlaskClient, key: str, told: list[str]) -> Iterator[tuple[str, int, bytes]]:
    """What every route for client keys answers, to what is right and to what is wrong."""
    for route in TAKING.values():
        if route.scope in ("client", "server"):
            path = f"{route.path}{route.query}{key if route.query else ''}"
            for text in (route.text(), route.text(**{ID: "7"}), route.text(**{NUMBER: '"x"'}), "{"):
                headers = {**bearer(key), "Content-Type": "application/json"}
                answer = client.open(path, method=route.method, data=text, headers=headers)
                yield path, answer.status_code, answer.data
    for experiment in (*told, "nothing"):
        body = {"context": {"targetingKey": "ann", "womens": True}}
        answer = client.post(f"/ofrep/v1/evaluate/flags/{experiment}", json=body, headers=bearer(key))
        yield experiment, answer.status_code, answer.data
    answer = client.get(f"/api/features/{key}")
    yield "/api/features", answer.status_code, answer.data


def test_no_answer_to_a_client_key_holds_what_is_for_colleagues(
    app: Flask, client: FlaskClient, keys: dict[str, str], told: list[str]
) -> None:
    seen = list(answers(app, client, keys["client"], told))
    assert {status for _, status, _ in seen} >= {200, 400, 404}
    for path, _, data in seen:
        for secret in (PRIVATE, "987654", "0.1234", "draft", "archived"):
            # A refusal may say the name that was asked for.
            assert secret.encode() not in data or secret == path, f"{secret} in {path}"


def test_an_evaluation_tells_the_message_of_its_arm_and_of_no_other(
    client: FlaskClient, keys: dict[str, str], told: list[str]
) -> None:
    subjects = {arm["key"]: arm["message"]["subject"] for arm in spring_mailing()["arms"] if arm["role"] != "control"}
    for number in range(50):
        body = {"context": {"targetingKey": f"visitor-{number}", "womens": True}}
        answer = client.post("/ofrep/v1/evaluate/flags", json=body, headers=bearer(keys["client"]))
        [flag] = [flag for flag in answer.json["flags"] if flag["key"] == "spring-mailing"]
        assert flag["metadata"].keys() == {"segment", "role", "propensity", "epoch", "token", "cause"}
        for arm, subject in subjects.items():
            assert (subject in json.dumps(answer.json)) == (arm == flag["variant"])


def test_a_draft_and_an_archived_experiment_are_as_unknown_as_none(
    client: FlaskClient, keys: dict[str, str], told: list[str]
) -> None:
    body = {"context": {"targetingKey": "ann"}}
    refusals = [
        client.post(f"/ofrep/v1/evaluate/flags/{key}", json=body, headers=bearer(keys["client"]))
        for key in ("draft", "archived", "nothing")
    ]
    assert {answer.status_code for answer in refusals} == {404}
    assert len({answer.text.replace(answer.json["key"], "") for answer in refusals}) == 1
