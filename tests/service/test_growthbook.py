"""GrowthBook's addresses: the payload under a client key, and what tracking plugins post."""

import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from experiments.counting import EXPOSURES
from experiments.keys import create_key
from experiments.keys import revoke_key
from experiments.storage.cells import CellRow
from service.current import EXTENSION
from service.installation import Installation
from tests.experiments.documents import at_home
from tests.experiments.documents import spring_mailing
from tests.service.conftest import DEED
from tests.service.conftest import bearer
from tests.service.conftest import count_rows

FANS = {"womens": True, "tags": ["news"]}


class Home:
    """A page whose experiments are evaluated in it."""

    def __init__(self, client: FlaskClient, keys: dict[str, str]) -> None:
        self.client = client
        self.keys = keys

    def start(self, document: dict[str, Any]) -> None:
        """Create an experiment and start it."""
        assert self.client.post("/v1/experiments", json=document, headers=self.admin).status_code == 201
        self.act(document["key"], "start")

    def act(self, key: str, act: str) -> None:
        """Take an experiment to another state."""
        assert self.client.post(f"/v1/experiments/{key}/{act}", headers=self.admin).status_code == 200

    @property
    def admin(self) -> dict[str, str]:
        """The headers of somebody who may do everything."""
        return bearer(self.keys["admin"])

    def features(self, key: str | None = None, **headers: str) -> TestResponse:
        """The response with the payload."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.get(f"/api/features/{key or self.keys['client']}", headers=named)

    def track(self, *events: object, key: str | None = None, **headers: str) -> TestResponse:
        """The response to a tracking plugin's post."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        address = f"/track?client_key={self.keys['client'] if key is None else key}"
        return self.client.post(address, data=json.dumps(events), content_type="text/plain", headers=named)

    def drawn(self, visitor: str, *, key: str = "at-home", **context: Any) -> str:
        """The arm that the server gives."""
        response = self.client.post(
            f"/ofrep/v1/evaluate/flags/{key}",
            json={"context": {"targetingKey": visitor, **context}},
            headers=bearer(self.keys["client"]),
        )
        return str(response.json["variant"])

    def exposures(self, key: str = "at-home", *, asserted: bool = False) -> int:
        """The exposures that are counted, or kept apart."""
        cells = current_cells(self.client.application, key)
        return sum(row.total for row in cells if row.key.metric == EXPOSURES and row.key.asserted == asserted)


def current_cells(app: Flask, key: str) -> list[CellRow]:
    """The counters of an experiment."""
    return app.extensions[EXTENSION].store.read(lambda session: session.cells.of(key))  # type: ignore[no-any-return]


@pytest.fixture(name="home")
def _home(client: FlaskClient, keys: dict[str, str]) -> Home:
    home = Home(client, keys)
    home.start(at_home())
    return home


def in_javascript(visitor: str, arm: str, *, epoch: int = 1, **attributes: Any) -> dict[str, Any]:
    """An exposure as the plugin for JavaScript posts it."""
    properties = {
        "experimentId": f"at-home@{epoch}", "variationId": arm, "hashAttribute": "id", "hashValue": visitor,
    }
    return {
        "event_name": "Experiment Viewed", "properties_json": properties, "device_id": visitor, "user_id": None,
        "sdk_language": "js", "sdk_version": "1.8.0", "url": "", "context_json": attributes, "page_id": None,
        "session_id": None,
    }


def in_python(visitor: str, arm: str, *, place: int = 0, epoch: int = 1, **attributes: Any) -> dict[str, Any]:
    """An exposure as the plugin for Python posts it."""
    properties = {
        "experiment_id": f"at-home@{epoch}", "variation_id": place, "variation_key": arm, "in_experiment": True,
        "hash_used": True, "hash_attribute": "id", "hash_value": visitor,
    }
    return {**in_javascript(visitor, arm, **attributes), "event_name": "$$experiment_viewed",
            "properties_json": properties, "sdk_language": "python"}


def outcome(visitor: str, name: str, **properties: Any) -> dict[str, Any]:
    """Something that a visitor did, as both plugins post it."""
    return {**in_javascript(visitor, ""), "event_name": name, "properties_json": properties}


def test_the_payload_is_short_lived_public_and_known_again(home: Home) -> None:
    first = home.features()
    assert (first.status_code, first.json["status"]) == (200, 200)
    assert set(first.json) == {"status", "features", "contextualBandits", "savedGroups", "dateUpdated"}
    assert first.headers["Cache-Control"] == "public, max-age=30"
    assert "Origin" in first.headers["Vary"]
    again = home.features(If_None_Match=first.headers["ETag"])
    assert (again.status_code, again.data) == (304, b"")
    home.act("at-home", "pause")
    changed = home.features(If_None_Match=first.headers["ETag"])
    assert changed.status_code == 200
    assert changed.json["dateUpdated"] > first.json["dateUpdated"]


def test_only_live_experiments_with_local_evaluation_stand_in_it(home: Home) -> None:
    home.start(spring_mailing())
    draft = at_home(key="draft")
    assert home.client.post("/v1/experiments", json=draft, headers=home.admin).status_code == 201
    home.start(at_home(key="archived"))
    home.act("archived", "stop")
    assert set(home.features().json["features"]) == {"at-home", "archived"}
    home.act("archived", "archive")
    assert set(home.features().json["features"]) == {"at-home"}


def test_the_key_in_the_address_must_be_a_client_key_that_was_not_revoked(home: Home) -> None:
    assert home.features("pk_unknown").json["code"] == "unauthorized"
    assert home.features("pk_unknown").status_code == 401
    for scope in ("server", "admin", "report"):
        response = home.features(home.keys[scope])
        assert (response.status_code, response.json["code"]) == (403, "secret_in_public")
        assert home.track(key=home.keys[scope]).json["code"] == "secret_in_public"
    assert home.track(key="").status_code == 401
    assert home.client.post("/track", json=[]).status_code == 401
    assert home.client.post("/track", json=[], headers=bearer(home.keys["server"])).status_code == 200
    revoked = home.keys["client"]
    assert home.features(revoked).status_code == 200
    revoke_key(home.client.application.extensions[EXTENSION].store, revoked[:12], deed=DEED)
    home.client.application.extensions[EXTENSION].snapshots.refresh()
    assert home.features(revoked).status_code == 401


def test_a_key_of_one_shop_is_no_good_in_another(home: Home, installation: Installation) -> None:
    key = create_key(
        installation.store, scope="client", name="shop", origins=["https://shop.example"],
        random=lambda size: b"k" * size, deed=DEED,
    )
    assert home.features(key, Origin="https://shop.example").status_code == 200
    assert home.features(key, Origin="https://elsewhere.example").json["code"] == "origin_not_allowed"


@pytest.mark.parametrize("shape", [in_javascript, in_python])
def test_both_plugins_report_exposures_and_outcomes(home: Home, shape: Any) -> None:
    arm = home.drawn("ann", **FANS)
    response = home.track(shape("ann", arm, **FANS), outcome("ann", "Page Viewed"), outcome("ann", "Page Viewed"))
    assert response.status_code == 200
    assert response.json == {
        "success": True, "accepted": 3, "duplicate": 0, "rejected": 0, "ignored": 0, "items": [],
        "deduplicated": False,
    }
    assert (home.exposures(), home.exposures(asserted=True)) == (1, 0)


def test_an_exposure_that_is_posted_again_is_a_duplicate(home: Home) -> None:
    event = in_javascript("ann", home.drawn("ann"))
    assert home.track(event, event).json["duplicate"] == 1
    assert home.track(event).json["duplicate"] == 1


def test_an_outcome_may_bring_its_own_id(home: Home) -> None:
    event = outcome("ann", "Page Viewed", messageId="page-1")
    answer = home.track(event, event, outcome("ann", "Page Viewed", messageId="page-2")).json
    assert (answer["accepted"], answer["duplicate"], "deduplicated" in answer) == (2, 1, False)


def test_a_goal_of_servers_hears_no_plugin(home: Home) -> None:
    answer = home.track(outcome("ann", "Order Completed")).json
    assert [item["code"] for item in answer["items"]] == ["server_only"]


@pytest.mark.parametrize("name", ["Feature Evaluated", "$$feature_evaluated"])
def test_an_evaluation_is_no_exposure(home: Home, name: str) -> None:
    answer = home.track(outcome("ann", name, feature="at-home", value={}, source="experiment")).json
    assert (answer["ignored"], [item["code"] for item in answer["items"]]) == (1, ["not_counted"])


def test_consent_is_an_attribute_and_a_signal_of_the_browser_outweighs_it(
    home: Home, installation: Installation
) -> None:
    refused = in_javascript("ann", "letter", consent="none")
    silent = {**outcome("ann", "Page Viewed"), "context_json": {"consent": "none"}}
    assert home.track(refused, silent).json["ignored"] == 2
    assert home.track(in_javascript("bob", home.drawn("bob")), Sec_GPC="1").json["ignored"] == 1
    assert count_rows(installation, "events") == 0
    arm = home.drawn("ann", consent="measure")
    assert home.track(in_javascript("ann", arm, consent="measure", **FANS)).json["accepted"] == 1
    assert (home.exposures(), home.exposures(asserted=True)) == (1, 0)


def test_attributes_that_plugins_move_are_put_back(home: Home) -> None:
    attributes = {"utmSource": "string", "pageTitle": "string", "first_name": "string"}
    document = at_home(key="campaigns", control_share=0, attributes=attributes, segments=[
        {"key": "from-mail", "kind": "behavioral", "rule": {"utmSource": "mail", "pageTitle": "Hi"}},
    ])
    document["arms"] = [arm for arm in document["arms"] if arm["role"] != "tailored"] + [
        {"key": "mailed", "role": "tailored", "segments": ["from-mail"], "message": {"text": "Welcome back"}},
    ]
    document["policy"] = {"kind": "fixed", "shares": {"letter": 0.05, "card": 0, "mailed": 0.95}}
    home.start(document)
    assert home.drawn("bob", key="campaigns", utmSource="mail", pageTitle="Hi") == "mailed"
    event = in_javascript("bob", "mailed")
    event["properties_json"]["experimentId"] = "campaigns@1"
    assert home.track({**event, "utm_source": "mail", "page_title": "Hi"}).json["accepted"] == 1
    assert (home.exposures("campaigns"), home.exposures("campaigns", asserted=True)) == (1, 0)


def test_a_number_is_a_visitor_as_javascript_writes_it(home: Home) -> None:
    event = in_javascript("42", home.drawn("42"))
    event["properties_json"]["hashValue"] = 42
    assert home.track(event).json["accepted"] == 1
    assert home.track(in_javascript("42", home.drawn("42"))).json["accepted"] == 1
    assert (home.exposures(), home.exposures(asserted=True)) == (2, 0)


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (None, "invalid_event"),
        ([], "invalid_event"),
        ({}, "invalid_event"),
        ({"event_name": "Page Viewed"}, "invalid_visitor"),
        ({"device_id": "ann"}, "invalid_event"),
        ({"device_id": "ann", "event_name": 1}, "invalid_event"),
        ({"device_id": ["ann"], "event_name": "Page Viewed"}, "invalid_visitor"),
        ({"device_id": "ann", "event_name": "Page Viewed", "properties_json": []}, "invalid_properties"),
        ({"device_id": "ann", "event_name": "Page Viewed", "context_json": "x"}, "invalid_context"),
        ({"device_id": "ann", "event_name": "Page Viewed", "context_json": {"consent": 1}}, "invalid_consent"),
        ({"event_name": "Experiment Viewed", "properties_json": {"hashValue": True}}, "invalid_visitor"),
        ({"device_id": "ann", "event_name": "$$experiment_viewed", "properties_json": {"hash_value": "ann"}},
         "unknown_experiment"),
        ({"device_id": "ann", "event_name": ["Feature Evaluated"]}, "invalid_event"),
    ],
)
def test_an_event_that_is_none_is_rejected_by_itself(home: Home, event: object, code: str) -> None:
    answer = home.track(event, outcome("bob", "Page Viewed")).json
    assert (answer["accepted"], [item["code"] for item in answer["items"]]) == (1, [code])


def test_a_body_that_is_no_array_or_too_long_is_refused(home: Home, installation: Installation) -> None:
    address = f"/track?client_key={home.keys['client']}"
    response = home.client.post(address, data="{}", content_type="text/plain")
    assert (response.status_code, response.json["code"]) == (400, "invalid_batch")
    assert home.track(*[outcome("ann", "Page Viewed")] * 1001).json["code"] == "batch_too_large"
    assert count_rows(installation, "events") == 0


def test_a_payload_too_large_for_a_page_is_refused_when_it_is_saved(home: Home) -> None:
    segments = [
        {"key": f"s{number}", "kind": "behavioral", "rule": {"recency": {"$eq": number}}} for number in range(60)
    ]
    arms = [{"key": "long", "role": "mass", "message": {"text": "x" * 20_000}}]
    document = at_home(key="long", control_share=0, segments=segments, arms=arms)
    response = home.client.post("/v1/experiments", json=document, headers=home.admin)
    assert response.status_code == 422
    [problem] = response.json["problems"]
    assert problem["field"] == "local_evaluation" and "too many for a page; at most 1048576" in problem["rule"]
    document["local_evaluation"] = False
    assert home.client.post("/v1/experiments", json=document, headers=home.admin).status_code == 201


def test_an_attribute_that_means_something_else_to_sdks_is_refused_when_it_is_saved(home: Home) -> None:
    document = at_home(key="ids", attributes={**at_home()["attributes"], "user_id": "string"})
    response = home.client.post("/v1/experiments", json=document, headers=home.admin)
    [problem] = response.json["problems"]
    assert (problem["field"], problem["value"]) == ("attributes.user_id", "user_id")
