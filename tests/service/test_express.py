import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask import request
from flask import request_started
from flask.testing import FlaskClient
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from werkzeug.test import Client
from werkzeug.test import TestResponse

from experiments.audit import Deed
from experiments.keys import revoke_key
from service.installation import Installation
from service.requests.rates import Buckets
from service.requests.rates import Rate
from tests.service.conftest import bearer

ADDRESS = "/ofrep/v1/evaluate/flags/spring-mailing"
ANN = {"context": {"targetingKey": "ann", "womens": True}}

CONTEXTS = st.one_of(
    st.fixed_dictionaries(
        {"targetingKey": st.one_of(st.text(max_size=8), st.integers(), st.none())},
        optional={
            "womens": st.one_of(st.booleans(), st.text(max_size=3), st.none()),
            "consent": st.sampled_from(["none", "measure", "personalise", "perhaps"]),
            "gpc": st.sampled_from([True, "1", "what"]),
            "token": st.text(max_size=5),
        },
    ),
    st.text(max_size=3),
    st.none(),
)
BODIES = st.one_of(
    st.builds(lambda context: json.dumps({"context": context}).encode(), CONTEXTS),
    st.sampled_from([b"", b"[]", b"{", b'{"context": NaN}', b'{"context": 1, "context": 2}', b"\xff", b"[" * 99]),
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Origin": st.sampled_from(["https://shop.example", "https://elsewhere.example", "null"]),
        "Sec-GPC": st.sampled_from(["0", "1"]),
        "Content-Type": st.sampled_from(["application/json", "application/json; charset=utf-16", "text/plain", "a/b"]),
        "Content-Encoding": st.sampled_from(["identity", "gzip", "br"]),
        "X-API-Key": st.just("pk_nobody"),
    },
)


@pytest.fixture(name="reached")
def _reached(app: Flask) -> Iterator[list[str]]:
    """The addresses of the requests that Flask has dispatched."""
    seen: list[str] = []

    def note(sender: Flask, **_: Any) -> None:
        seen.append(request.path)

    with request_started.connected_to(note, app):
        yield seen


def test_a_plain_evaluation_does_not_reach_flask(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any], reached: list[str]
) -> None:
    reached.clear()
    for key in (keys["client"], keys["server"], keys["admin"]):
        assert client.post(ADDRESS, json=ANN, headers=bearer(key)).json["key"] == "spring-mailing"
    assert client.post(ADDRESS, json=ANN, headers={"X-API-Key": keys["client"]}).status_code == 200
    assert client.post(ADDRESS, json=ANN, auth=(keys["client"], "")).status_code == 200
    assert reached == []
    assert client.post(ADDRESS, json=ANN).status_code == 401
    assert reached == [ADDRESS]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES, headers=HEADERS, scope=st.sampled_from(["client", "server", "report", "admin", None]))
def test_the_lane_answers_what_the_whole_way_answers(
    app: Flask, keys: dict[str, str], running: dict[str, Any], body: bytes, headers: dict[str, str], scope: str | None
) -> None:
    sent = {**headers, **(bearer(keys[scope]) if scope else {})}
    short = Client(app).post(ADDRESS, data=body, headers=sent)
    # The application without what stands before it.
    whole = Client(lambda *call: Flask.wsgi_app(app, *call)).post(ADDRESS, data=body, headers=sent)
    assert short.data == whole.data
    assert _told(short) == _told(whole)


def _told(response: TestResponse) -> tuple[int, list[tuple[str, str]]]:
    # The whole way was asked one request later.
    return response.status_code, sorted(pair for pair in response.headers if pair[0] != "RateLimit")


def test_a_request_is_charged_once_whichever_way_it_takes(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any]
) -> None:
    bad = {"context": {"targetingKey": ""}}
    left = [
        client.post(ADDRESS, json=body, headers=bearer(keys["client"])).headers["RateLimit"]
        for body in (ANN, bad, {"context": 7}, ANN)
    ]
    assert [text.partition("r=")[2].partition(";")[0] for text in left] == ["9999", "9998", "9997", "9996"]


def test_a_key_that_the_lane_knows_is_refused_once_it_is_revoked(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any], installation: Installation
) -> None:
    key = keys["client"]
    assert client.post(ADDRESS, json=ANN, headers=bearer(key)).status_code == 200
    revoke_key(installation.store, key[:12], deed=Deed("test", installation.clock.now_ms()))
    installation.snapshots.refresh()
    assert client.post(ADDRESS, json=ANN, headers=bearer(key)).status_code == 401


def test_a_client_that_is_too_fast_is_sent_away_by_the_lane_too(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any], installation: Installation
) -> None:
    installation.buckets = Buckets(Rate(2, 60))
    responses = [client.post(ADDRESS, json=ANN, headers=bearer(keys["client"])) for _ in range(4)]
    assert [response.status_code for response in responses] == [200, 200, 429, 429]
    assert responses[2].headers["Retry-After"] == "30"


def test_a_fault_of_the_database_is_told_as_everywhere(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any], installation: Installation
) -> None:
    token = client.post(ADDRESS, json=ANN, headers=bearer(keys["client"])).json["metadata"]["token"]
    told = {"experiment_id": "spring-mailing", "token": token}
    viewed = {"userId": "ann", "event": "Experiment Viewed", "properties": told}
    assert client.post("/v1/track", json=viewed, headers=bearer(keys["client"])).status_code == 200
    installation.store.transact(lambda session: session.connection.execute("DROP TABLE exposures"))
    response = client.post(ADDRESS, json=ANN, headers=bearer(keys["client"]))
    assert (response.status_code, response.json["errorCode"]) == (503, "GENERAL")
    assert response.headers["Retry-After"] == "1"
