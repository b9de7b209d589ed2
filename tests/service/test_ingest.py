import gzip
import json
from base64 import b64encode
from typing import Any

import pytest
from flask.testing import FlaskClient

from experiments.times import iso
from service.installation import Installation
from tests.service.conftest import NOW_MS
from tests.service.conftest import SetClock
from tests.service.conftest import bearer
from tests.service.conftest import count_rows

HOUR = 3600


class Site:
    """A site with a key that posts events."""

    def __init__(self, client: FlaskClient, key: str) -> None:
        self.client = client
        self.headers = bearer(key)

    def token(self, visitor: str, **attributes: Any) -> str:
        """The token of an assignment."""
        context = {"targetingKey": visitor, **attributes}
        response = self.client.post(
            "/ofrep/v1/evaluate/flags/spring-mailing", json={"context": context}, headers=self.headers
        )
        return str(response.json["metadata"]["token"])

    def batch(self, *events: Any, **fields: Any) -> Any:
        """The answer to a batch."""
        response = self.client.post("/v1/batch", json={"batch": events, **fields}, headers=self.headers)
        assert response.status_code == 200, response.json
        return response.json


@pytest.fixture(name="site")
def _site(client: FlaskClient, keys: dict[str, str], running: dict[str, Any]) -> Site:
    return Site(client, keys["client"])


@pytest.fixture(name="server")
def _server(client: FlaskClient, keys: dict[str, str], running: dict[str, Any]) -> Site:
    return Site(client, keys["server"])


def viewed(visitor: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "event": "Experiment Viewed",
        "userId": visitor,
        "properties": {"experiment_id": "spring-mailing", **properties},
    }


def ordered(visitor: str, **fields: Any) -> dict[str, Any]:
    order = {"type": "track", "event": "Order Completed", "userId": visitor, "properties": {"revenue": 12.5}}
    return {**order, **fields}


def test_an_exposure_and_its_outcome_are_accepted_and_counted(site: Site, installation: Installation) -> None:
    answer = site.batch(viewed("u1", token=site.token("u1", womens=True)), ordered("u1", messageId="o1"))
    assert answer == {"success": True, "accepted": 2, "duplicate": 0, "rejected": 0, "ignored": 0, "items": []}
    assert count_rows(installation, "events") == 2
    assert count_rows(installation, "exposures") == 1


def test_only_what_was_not_accepted_is_told_one_by_one(site: Site) -> None:
    answer = site.batch(ordered("u1", messageId="o1"), "nonsense", ordered("u1", messageId="o1"))
    assert (answer["accepted"], answer["rejected"], answer["duplicate"]) == (1, 1, 1)
    assert [(item["index"], item["status"], item["code"]) for item in answer["items"]] == [
        (1, "rejected", "invalid_event"), (2, "duplicate", "duplicate"),
    ]
    assert all({"index", "status", "code", "detail"} == item.keys() for item in answer["items"])


def test_an_outcome_without_an_id_is_marked(site: Site) -> None:
    assert site.batch(ordered("u1"))["deduplicated"] is False
    assert "deduplicated" not in site.batch(ordered("u1", messageId="o1"))


def test_an_exposure_without_an_id_is_known_when_it_comes_again(site: Site) -> None:
    event = viewed("u1", token=site.token("u1"))
    assert site.batch(event)["accepted"] == 1
    assert site.batch(event)["duplicate"] == 1


def test_an_id_used_again_with_another_body_is_rejected(site: Site) -> None:
    site.batch(ordered("u1", messageId="o1"))
    answer = site.batch(ordered("u1", messageId="o1", properties={"revenue": 99}))
    assert [item["code"] for item in answer["items"]] == ["id_reused"]


def test_a_client_key_needs_a_token_to_expose(site: Site, installation: Installation) -> None:
    answer = site.batch(viewed("u1"), viewed("u2", variation_id="one-letter"), viewed("u3", token="forged.token"))
    assert [item["code"] for item in answer["items"]] == ["token_required", "token_required", "invalid_token"]
    assert count_rows(installation, "exposures") == 0


def test_a_token_of_another_visitor_exposes_nobody(site: Site, installation: Installation) -> None:
    answer = site.batch(viewed("u2", token=site.token("u1")))
    assert [item["code"] for item in answer["items"]] == ["invalid_token"]
    assert count_rows(installation, "exposures") == 0


def test_a_server_key_is_believed(server: Site, installation: Installation) -> None:
    assert server.batch(viewed("u1", variation_id="one-letter"))["accepted"] == 1
    assert count_rows(installation, "exposures") == 1


def test_an_arm_that_is_none_is_rejected(server: Site) -> None:
    answer = server.batch(viewed("u1", variation_id="no-such-arm"), viewed("u1"))
    assert [item["code"] for item in answer["items"]] == ["unknown_arm", "unknown_arm"]


def test_an_experiment_that_is_none_is_rejected(server: Site) -> None:
    answer = server.batch(viewed("u1", experiment_id="nowhere"), viewed("u1", experiment_id=7))
    assert [item["code"] for item in answer["items"]] == ["unknown_experiment", "unknown_experiment"]


def test_an_event_that_no_metric_names_is_rejected(site: Site) -> None:
    assert site.batch(ordered("u1", event="Stared At The Wall"))["items"][0]["code"] == "unknown_event"


def test_who_does_not_consent_is_ignored(site: Site, installation: Installation) -> None:
    answer = site.batch(ordered("u1", context={"consent": "none"}))
    assert (answer["ignored"], answer["items"][0]["code"]) == (1, "no_consent")
    assert count_rows(installation, "events") == 0


def test_the_signal_against_tracking_ignores_everything(site: Site, installation: Installation) -> None:
    site.headers = {**site.headers, "Sec-GPC": "1"}
    answer = site.batch(ordered("u1"), ordered("u2", context={"consent": "personalise"}))
    assert answer["ignored"] == 2
    assert count_rows(installation, "events") == 0


def test_a_wrong_clock_is_corrected_by_when_it_was_sent(site: Site, installation: Installation) -> None:
    day_behind = NOW_MS - 24 * HOUR * 1000
    event = ordered("u1", timestamp=iso(day_behind - 60_000))
    site.batch(event, sentAt=iso(day_behind))
    (at_ms,) = installation.store.read(lambda session: [event.at_ms for _, event in session.events.in_order()])
    assert at_ms == NOW_MS - 60_000


def test_an_event_older_than_the_horizon_is_rejected(site: Site) -> None:
    event = ordered("u1", timestamp=iso(NOW_MS - 91 * 24 * HOUR * 1000))
    assert site.batch(event)["items"][0]["code"] == "too_old"


def test_an_outcome_before_its_exposure_waits_for_it(site: Site, installation: Installation, clock: SetClock) -> None:
    token = site.token("u1")
    exposed_at = iso(clock.now_ms() - 2 * HOUR * 1000)
    site.batch(ordered("u1", messageId="o1"))
    assert count_rows(installation, "waiting") == 1
    site.batch({**viewed("u1", token=token), "timestamp": exposed_at})
    assert count_rows(installation, "waiting") == 0
    assert count_rows(installation, "totals") >= 2


def test_paused_still_counts_outcomes_and_exposures_with_a_token(
    site: Site, client: FlaskClient, keys: dict[str, str]
) -> None:
    first, second = site.token("u1"), site.token("u2")
    site.batch(viewed("u1", token=first))
    client.post("/v1/experiments/spring-mailing/pause", headers=bearer(keys["admin"]))
    answer = site.batch(ordered("u1", messageId="o1"), viewed("u2", token=second))
    assert answer["accepted"] == 2


def test_paused_takes_no_new_exposure_on_a_server_s_word(
    server: Site, client: FlaskClient, keys: dict[str, str]
) -> None:
    client.post("/v1/experiments/spring-mailing/pause", headers=bearer(keys["admin"]))
    answer = server.batch(viewed("u1", variation_id="one-letter"))
    assert answer["items"][0]["code"] == "not_running"


def test_the_calls_of_stock_clients_are_understood(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any], installation: Installation
) -> None:
    body = {
        "batch": [
            {"type": "identify", "userId": "u1", "traits": {"email": "a@b.example"}, "messageId": "m1"},
            {"type": "page", "anonymousId": "a1", "properties": {"path": "/"}, "messageId": "m2", "context": {}},
            {**ordered("u1"), "anonymousId": None, "integrations": {}, "messageId": "m3"},
        ],
        "sentAt": iso(NOW_MS),
    }
    headers = {
        "Authorization": "Basic " + b64encode(f"{keys['client']}:".encode()).decode(),
        "Content-Type": "application/json",
        "Content-Encoding": "gzip",
    }
    response = client.post("/v1/batch", data=gzip.compress(json.dumps(body).encode()), headers=headers)
    assert response.status_code == 200
    assert (response.json["accepted"], response.json["ignored"]) == (2, 1)
    assert count_rows(installation, "events") == 2


def test_a_beacon_may_come_as_plain_text(client: FlaskClient, keys: dict[str, str], running: dict[str, Any]) -> None:
    response = client.post(
        "/v1/track", data=json.dumps(ordered("u1", messageId="o1")), content_type="text/plain;charset=UTF-8",
        headers=bearer(keys["client"]),
    )
    assert (response.status_code, response.json["accepted"]) == (200, 1)


@pytest.mark.parametrize(
    ("call", "fields", "fate"),
    [
        ("track", {"event": "Order Completed"}, "accepted"),
        ("page", {"name": "Home"}, "accepted"),
        ("identify", {"traits": {}}, "ignored"),
        ("track", {"event": "Order Completed", "type": "identify"}, "accepted"),
        ("track", {"event": "Order Completed", "context": {"consent": "none"}}, "ignored"),
    ],
)
def test_a_single_call_is_what_its_address_says(site: Site, call: str, fields: dict[str, Any], fate: str) -> None:
    response = site.client.post(f"/v1/{call}", json={"userId": "u1", **fields}, headers=site.headers)
    assert response.status_code == 200
    assert (response.json["success"], response.json[fate]) == (True, 1)


def test_a_single_call_that_is_repeated_is_a_duplicate(site: Site) -> None:
    event = ordered("u1", messageId="o1")
    site.client.post("/v1/track", json=event, headers=site.headers)
    response = site.client.post("/v1/track", json=event, headers=site.headers)
    assert (response.status_code, response.json["duplicate"]) == (200, 1)


def test_a_single_call_that_cannot_be_counted_is_a_problem(site: Site, installation: Installation) -> None:
    response = site.client.post("/v1/track", json={"userId": "u1", "event": "Nothing"}, headers=site.headers)
    assert response.status_code == 422
    assert response.content_type == "application/problem+json"
    assert (response.json["success"], response.json["code"], response.json["rejected"]) == (False, "unknown_event", 1)
    assert response.json["items"][0]["code"] == "unknown_event"
    assert count_rows(installation, "events") == 0


def test_an_empty_batch_is_nothing_to_complain_about(site: Site) -> None:
    assert site.batch()["accepted"] == 0


def test_a_thousand_events_fit_and_one_more_does_not(site: Site, installation: Installation) -> None:
    events = [ordered(f"u{number}", messageId="o") for number in range(1001)]
    response = site.client.post("/v1/batch", json={"batch": events}, headers=site.headers)
    assert (response.status_code, response.json["code"]) == (413, "batch_too_large")
    assert count_rows(installation, "events") == 0
    assert site.batch(*events[:1000])["accepted"] == 1000
    assert count_rows(installation, "events") == 1000


def test_a_visitor_s_id_is_nowhere_on_disk(site: Site, installation: Installation) -> None:
    visitor = "somebody-who-must-not-be-found"
    site.batch(viewed(visitor, token=site.token(visitor)), ordered(visitor, messageId=visitor))
    installation.close()
    folder = installation.config.database_path.parent
    assert visitor.encode() not in b"".join(path.read_bytes() for path in folder.iterdir())
