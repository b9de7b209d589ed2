"""Events by the express lane: recorded once, and answered as the whole way answers."""

import json
from itertools import count
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from werkzeug.test import Client
from werkzeug.test import TestResponse

from service.installation import Installation
from tests.service.conftest import bearer
from tests.service.conftest import count_rows

ORDER = {"messageId": "order-1", "event": "Order Completed", "properties": {"revenue": 59.9}}

_calls = st.fixed_dictionaries(
    {"event": st.sampled_from(["Order Completed", "Experiment Viewed", "Never Heard Of", 7])},
    optional={
        "type": st.sampled_from(["track", "page", "identify", "shout"]),
        "messageId": st.sampled_from(["1", "2", 3]),
        "properties": st.sampled_from([{"revenue": 1}, {"revenue": -1}, {"experiment_id": "spring-mailing"}, []]),
        "context": st.sampled_from([{"consent": "none"}, {"consent": "perhaps"}, 1]),
        "timestamp": st.sampled_from(["2026-11-30T10:00:00Z", "yesterday"]),
    },
)
_addresses = st.sampled_from(["/v1/batch", "/v1/track", "/v1/identify", "/v1/page", "/v1/screen", "/v1/batch/"])
_headers = st.fixed_dictionaries(
    {},
    optional={
        "Origin": st.sampled_from(["https://shop.example", "null"]),
        "Sec-GPC": st.just("1"),
        "Content-Type": st.sampled_from(["application/json", "text/plain", "a/b"]),
    },
)
_visitors = count()


@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    address=_addresses,
    calls=st.lists(_calls, max_size=4),
    headers=_headers,
    scope=st.sampled_from(["client", "server", "report", None]),
    is_cut=st.booleans(),
)
def test_the_lane_records_and_answers_what_the_whole_way_does(
    app: Flask, installation: Installation, keys: dict[str, str], running: dict[str, Any], address: str,
    calls: list[dict[str, Any]], headers: dict[str, str], scope: str | None, is_cut: bool,
) -> None:
    sent = {**headers, **(bearer(keys[scope]) if scope else {})}
    number = next(_visitors)
    # The application without what stands before it; each way has a visitor of its own.
    ways = {"short": app, "whole": lambda *call: Flask.wsgi_app(app, *call)}
    answers = {}
    for name, way in ways.items():
        body = _body(address, [{**call, "userId": f"{name}-{number}"} for call in calls], is_cut=is_cut)
        before = count_rows(installation, "events")
        response = Client(way).post(address, data=body, headers=sent)
        answers[name] = (*_told(response), count_rows(installation, "events") - before)
    assert answers["short"] == answers["whole"]


def _body(address: str, calls: list[dict[str, Any]], *, is_cut: bool) -> bytes:
    body = {"batch": calls} if address == "/v1/batch" else (calls or [{}])[0]
    text = json.dumps(body).encode()
    return text[:-1] if is_cut else text


def _told(response: TestResponse) -> tuple[bytes, int, list[tuple[str, str]]]:
    # The whole way was asked one request later.
    return response.data, response.status_code, sorted(pair for pair in response.headers if pair[0] != "RateLimit")


@pytest.mark.parametrize("revenue", [59.9, "much"])
def test_a_call_is_recorded_once_and_charged_once_whether_or_not_it_is_refused(
    client: FlaskClient, installation: Installation, keys: dict[str, str], running: dict[str, Any], revenue: object
) -> None:
    call = {**ORDER, "userId": "ann", "properties": {"revenue": revenue}}
    is_good = revenue == 59.9
    for left in ("9999", "9998"):
        response = client.post("/v1/track", json=call, headers=bearer(keys["client"]))
        assert response.status_code == (200 if is_good else 422)
        assert f"r={left};" in response.headers["RateLimit"]
    assert count_rows(installation, "events") == int(is_good)


def test_a_fault_of_the_database_is_told_and_nothing_is_accepted(
    client: FlaskClient, installation: Installation, keys: dict[str, str], running: dict[str, Any]
) -> None:
    installation.store.transact(lambda session: session.connection.execute("DROP TABLE totals"))
    batch = {"batch": [{**ORDER, "type": "track", "userId": "ann"}]}
    response = client.post("/v1/batch", json=batch, headers=bearer(keys["client"]))
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert count_rows(installation, "events") == 0
