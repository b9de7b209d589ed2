"""Whatever a client sends, the answer is never a fault of the server's."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from experiments.events import EXPOSURE_EVENT
from tests.experiments.documents import at_home
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny
from tests.service.conftest import bearer


@pytest.fixture
def at_home_running(client: FlaskClient, keys: dict[str, str]) -> None:
    """An experiment that SDKs evaluate, started."""
    headers = bearer(keys["admin"])
    assert client.post("/v1/experiments", json=at_home(), headers=headers).status_code == 201
    assert client.post("/v1/experiments/at-home/start", headers=headers).status_code == 200


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=10), values, max_size=4),
    max_leaves=8,
)


def perhaps(*usual: Any) -> st.SearchStrategy[Any]:
    """Something usual about as often as anything at all."""
    return st.sampled_from(usual) | anything


properties = st.fixed_dictionaries({}, optional={
    "experiment_id": perhaps("spring-mailing"), "token": perhaps("a.b"), "variation_id": perhaps("one-letter"),
    "revenue": perhaps(12.5, 0, 10**9),
})
events = anything | st.fixed_dictionaries(
    {"userId": perhaps("u1", "u2")},
    optional={
        "type": perhaps("track", "page", "screen", "identify"),
        "event": perhaps(EXPOSURE_EVENT, "Order Completed", "Page Viewed"),
        "messageId": perhaps("m1", "m2"),
        "timestamp": perhaps("2026-12-01T09:00:00Z", "2026-12-01", "9999-12-31T23:59:59-23:59"),
        "originalTimestamp": perhaps("2026-12-01T09:00:00Z"),
        "sentAt": perhaps("2026-12-01T10:00:00Z"),
        "properties": perhaps({}) | properties,
        "context": perhaps({}) | st.fixed_dictionaries(
            {}, optional={"consent": perhaps("none", "measure"), "traits": perhaps({"womens": True})}
        ),
    },
)
contexts = anything | st.fixed_dictionaries(
    {"targetingKey": perhaps("u1", "u2")},
    optional={
        "womens": perhaps(True, False), "recency": perhaps(3, 2.5), "first_name": perhaps("Ada"),
        "consent": perhaps("none", "measure", "personalise"), "token": perhaps("a.b"),
    },
)
fuzzed = settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def text(value: Any) -> bytes:
    # Half surrogate pairs are written as escapes, so that they arrive.
    return json.dumps(value).encode()


@fuzzed
@given(batch=st.lists(events, max_size=5), sent_at=perhaps("2026-12-01T10:00:00Z"))
def test_a_batch_of_anything_is_answered_item_by_item(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any], batch: list[Any], sent_at: Any
) -> None:
    body = {"batch": batch, "sentAt": sent_at}
    headers = {**bearer(keys["server"]), "Content-Type": "application/json"}
    response = client.post("/v1/batch", data=text(body), headers=headers)
    assert response.status_code in (200, 400)
    if response.status_code == 200:
        counts = [response.json[status] for status in ("accepted", "duplicate", "rejected", "ignored")]
        assert sum(counts) == len(batch)
        assert len(response.json["items"]) == len(batch) - response.json["accepted"]


@fuzzed
@given(event=events)
def test_a_call_of_anything_is_accepted_or_refused(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any], event: Any
) -> None:
    headers = {**bearer(keys["client"]), "Content-Type": "application/json"}
    assert client.post("/v1/track", data=text(event), headers=headers).status_code in (200, 400, 422)


tracked = anything | st.fixed_dictionaries({}, optional={
    "event_name": perhaps("Experiment Viewed", "$$experiment_viewed", "Feature Evaluated", "Page Viewed"),
    "properties_json": perhaps({}) | st.fixed_dictionaries({}, optional={
        "experimentId": perhaps("at-home@1", "at-home@2", "at-home"), "variationId": perhaps("letter", 0),
        "variation_key": perhaps("letter"), "hashValue": perhaps("u1", 7), "messageId": perhaps("m1"),
    }),
    "context_json": perhaps({}) | st.fixed_dictionaries({}, optional={
        "consent": perhaps("none", "measure"), "womens": perhaps(True), "recency": perhaps(3),
    }),
    "device_id": perhaps("u1"), "user_id": perhaps("u2"), "utm_source": perhaps("mail"),
})


@fuzzed
@given(batch=st.lists(tracked, max_size=5))
def test_anything_that_a_tracking_plugin_posts_is_answered_item_by_item(
    client: FlaskClient, keys: dict[str, str], at_home_running: None, batch: list[Any]
) -> None:
    address = f"/track?client_key={keys['client']}"
    response = client.post(address, data=text(batch), content_type="text/plain")
    assert response.status_code in (200, 400)
    if response.status_code == 200:
        counts = [response.json[status] for status in ("accepted", "duplicate", "rejected", "ignored")]
        assert sum(counts) == len(batch)


@fuzzed
@given(context=contexts)
def test_an_evaluation_for_anything_is_answered_or_refused(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any], context: Any
) -> None:
    headers = {**bearer(keys["client"]), "Content-Type": "application/json"}
    path = "/ofrep/v1/evaluate/flags/spring-mailing"
    response = client.post(path, data=text({"context": context}), headers=headers)
    assert response.status_code in (200, 400)
    assert response.json["key"] == "spring-mailing"


@fuzzed
@given(field=st.sampled_from(sorted(spring_mailing())), value=anything)
def test_a_document_with_anything_in_it_is_kept_or_refused(
    client: FlaskClient, keys: dict[str, str], field: str, value: Any
) -> None:
    headers = {**bearer(keys["admin"]), "Content-Type": "application/json"}
    for document in (spring_mailing(**{field: value}), tiny(**{field: value})):
        response = client.post("/v1/experiments", data=text(document), headers=headers)
        assert response.status_code in (201, 400, 409, 422)
