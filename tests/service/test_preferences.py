from datetime import date
from typing import Any

import pytest
from flask.testing import FlaskClient

from service.installation import Installation
from tests.service.conftest import bearer
from tests.service.conftest import count_rows

SAID = [{"gpc": True}, {"gpc": "1"}, {"gpc": 1}, {"Sec-GPC": "1"}, {"Sec-GPC": 1}, {"Sec-GPC": True, "gpc": False}]
NOT_SAID = [{"gpc": False}, {"gpc": None}, {"Sec-GPC": "0"}, {"gpc": 0, "Sec-GPC": None}]
UNCLEAR = [{"gpc": "perhaps"}, {"gpc": 2}, {"gpc": 1.0}, {"Sec-GPC": ["1"]}, {"gpc": {}}, {"gpc": ""}]


def evaluated(client: FlaskClient, keys: dict[str, str], context: dict[str, Any], **headers: str) -> Any:
    response = client.post(
        "/ofrep/v1/evaluate/flags/spring-mailing",
        json={"context": {"targetingKey": "u1", "womens": True, "consent": "personalise", **context}},
        headers={**bearer(keys["client"]), **{name.replace("_", "-"): value for name, value in headers.items()}},
    )
    return response.json


def outcome(context: dict[str, Any]) -> dict[str, Any]:
    return {"type": "track", "userId": "u1", "event": "Order Completed", "messageId": "m1", "context": context}


def test_the_service_says_that_it_hears_the_signal(client: FlaskClient) -> None:
    response = client.get("/.well-known/gpc.json")
    assert response.content_type == "application/json"
    assert response.json["gpc"] is True
    assert date.fromisoformat(response.json["lastUpdate"])


@pytest.mark.parametrize("said", SAID, ids=str)
def test_the_signal_in_a_context_is_as_no_consent(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any], said: dict[str, Any]
) -> None:
    body = evaluated(client, keys, said)
    assert (body["variant"], body["reason"], body["metadata"]["cause"]) == ("one-letter", "STATIC", "no_consent")
    assert "token" not in body["metadata"]


@pytest.mark.parametrize("said", NOT_SAID, ids=str)
def test_no_signal_in_a_context_leaves_the_consent_as_it_is(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any], said: dict[str, Any]
) -> None:
    assert evaluated(client, keys, said) == evaluated(client, keys, {})


@pytest.mark.parametrize("unclear", UNCLEAR, ids=str)
def test_a_signal_that_is_neither_is_refused_by_name(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any], unclear: dict[str, Any]
) -> None:
    body = evaluated(client, keys, unclear)
    assert body["errorCode"] == "INVALID_CONTEXT"
    assert next(iter(unclear)) in body["errorDetails"]


@pytest.mark.parametrize("value", ["0", "true", ""])
def test_the_header_says_it_by_1_alone(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any], value: str
) -> None:
    assert evaluated(client, keys, {}, Sec_GPC=value) == evaluated(client, keys, {})


@pytest.mark.parametrize("said", SAID, ids=str)
def test_an_event_with_the_signal_is_ignored_and_stores_nothing(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any], installation: Installation, said: dict[str, Any]
) -> None:
    response = client.post("/v1/batch", json={"batch": [outcome(said)]}, headers=bearer(keys["server"]))
    assert response.json["items"] == [{"index": 0, "status": "ignored", "code": "no_consent", "detail": None}]
    assert count_rows(installation, "events") == 0


@pytest.mark.parametrize("said", NOT_SAID, ids=str)
def test_an_event_without_the_signal_is_accepted(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any], said: dict[str, Any]
) -> None:
    response = client.post("/v1/batch", json={"batch": [outcome(said)]}, headers=bearer(keys["server"]))
    assert response.json["accepted"] == 1


@pytest.mark.parametrize("unclear", UNCLEAR, ids=str)
def test_an_event_with_a_signal_that_is_neither_is_rejected(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any], unclear: dict[str, Any]
) -> None:
    response = client.post("/v1/batch", json={"batch": [outcome(unclear)]}, headers=bearer(keys["server"]))
    assert response.json["items"][0]["code"] == "invalid_consent"
