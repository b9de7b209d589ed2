from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from service.installation import Installation
from tests.experiments.documents import spring_mailing
from tests.service.conftest import SetClock
from tests.service.conftest import bearer
from tests.service.conftest import count_rows

DAY = 86_400


class Shop:
    """A front-end that asks for one experiment."""

    def __init__(self, client: FlaskClient, keys: dict[str, str]) -> None:
        self.client = client
        self.headers = bearer(keys["client"])

    def ask(self, context: Any, *, key: str = "spring-mailing", **headers: str) -> TestResponse:
        """The response to an evaluation."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(
            f"/ofrep/v1/evaluate/flags/{key}", json={"context": context}, headers={**self.headers, **named}
        )

    def evaluation(self, visitor: str, **attributes: Any) -> Any:
        """The body of an evaluation that goes well."""
        response = self.ask({"targetingKey": visitor, **attributes})
        assert response.status_code == 200, response.json
        return response.json

    def expose(self, visitor: str, token: str) -> None:
        """Say that the visitor reached the slot."""
        event = {
            "event": "Experiment Viewed",
            "userId": visitor,
            "properties": {"experiment_id": "spring-mailing", "token": token},
        }
        assert self.client.post("/v1/track", json=event, headers=self.headers).json["accepted"] == 1


@pytest.fixture(name="shop")
def _shop(client: FlaskClient, keys: dict[str, str], running: dict[str, Any]) -> Shop:
    return Shop(client, keys)


@pytest.fixture(name="act")
def _act(client: FlaskClient, keys: dict[str, str]) -> Any:
    """Take the experiment through its states."""

    def act(name: str) -> None:
        address = f"/v1/experiments/spring-mailing/{name}"
        assert client.post(address, headers=bearer(keys["admin"])).status_code == 200

    return act


@pytest.fixture(name="reweigh")
def _reweigh(client: FlaskClient, keys: dict[str, str]) -> Any:
    """Publish an epoch that sends everybody who may be sent to the tailored or to the mass arm."""

    def reweigh(**shares: float) -> None:
        policy = {"kind": "fixed", "shares": {name.replace("_", "-"): share for name, share in shares.items()}}
        document = spring_mailing(policy={**policy, "max_step": 1})
        response = client.put("/v1/experiments/spring-mailing", json=document, headers=bearer(keys["admin"]))
        assert response.status_code == 200, response.json

    return reweigh


def test_an_evaluation_answers_with_all_that_clients_read(shop: Shop) -> None:
    body = shop.evaluation("u1", womens=True, first_name="Ada")
    assert body["key"] == "spring-mailing"
    assert body["reason"] == "SPLIT"
    assert body["variant"] in ("nothing", "one-letter", "womens-letter")
    assert body["metadata"]["segment"] == "womens-shoppers"
    assert body["metadata"]["epoch"] == 1
    assert body["metadata"]["cause"] == "allocated"
    assert body["metadata"]["role"] in ("control", "mass", "tailored")
    assert isinstance(body["metadata"]["token"], str)
    assert all(isinstance(value, (str, int, float)) for value in body["metadata"].values())


def test_the_value_is_the_message_rendered_for_the_visitor(shop: Shop) -> None:
    bodies = [shop.evaluation(f"u{number}", first_name="Ada") for number in range(30)]
    letters = {body["variant"]: body["value"] for body in bodies}
    assert letters == {"nothing": {}, "one-letter": {"subject": "Spring is here", "body": "Hello Ada"}}


def test_a_propensity_of_one_is_written_as_a_float(shop: Shop) -> None:
    response = shop.ask({"targetingKey": "u1", "consent": "none"})
    assert b'"propensity":1.0' in response.data


def test_evaluating_stores_nothing(shop: Shop, installation: Installation) -> None:
    for number in range(20):
        shop.evaluation(f"u{number}", womens=True)
    for table in ("events", "exposures", "totals", "cells", "counters", "waiting"):
        assert count_rows(installation, table) == 0


def test_the_same_visitor_gets_the_same_answer_all_day(shop: Shop, clock: SetClock) -> None:
    first = shop.evaluation("u1", womens=True)
    clock.advance(seconds=3600)
    assert shop.evaluation("u1", womens=True) == first


def test_an_exposed_visitor_keeps_the_arm_whatever_becomes_of_weights(shop: Shop, reweigh: Any) -> None:
    first = shop.evaluation("u1", womens=True)
    shop.expose("u1", first["metadata"]["token"])
    other = "one_letter" if first["variant"] == "womens-letter" else "womens_letter"
    reweigh(**{"one_letter": 0.0001, "womens_letter": 0.0001, other: 0.9999})
    later = shop.evaluation("u1", womens=False)
    for name in ("segment", "propensity", "epoch"):
        assert later["metadata"][name] == first["metadata"][name]
    assert (later["variant"], later["reason"], later["metadata"]["cause"]) == (first["variant"], "SPLIT", "sticky")


def test_a_visitor_who_sends_the_token_back_keeps_the_arm_unexposed(shop: Shop, reweigh: Any) -> None:
    visitor, first = next(
        (visitor, body)
        for visitor in (f"u{number}" for number in range(50))
        if (body := shop.evaluation(visitor, womens=True))["variant"] == "one-letter"
    )
    reweigh(one_letter=0.0001, womens_letter=0.9999)
    kept = shop.evaluation(visitor, womens=True, token=first["metadata"]["token"])
    assert (kept["variant"], kept["metadata"]["epoch"]) == ("one-letter", 1)
    assert kept["metadata"]["propensity"] == first["metadata"]["propensity"]
    assert shop.evaluation(visitor, womens=True)["variant"] == "womens-letter"


@pytest.mark.parametrize("token", ["", "nonsense", "a.b", "é.é", 7, None, {}, ["a"]])
def test_a_token_that_is_none_is_passed_over(shop: Shop, token: Any) -> None:
    assert shop.evaluation("u1", womens=True, token=token) == shop.evaluation("u1", womens=True)


def test_a_token_of_somebody_else_is_passed_over(shop: Shop) -> None:
    token = shop.evaluation("u1", womens=True)["metadata"]["token"]
    assert shop.evaluation("u2", womens=True, token=token) == shop.evaluation("u2", womens=True)


def test_an_expired_token_is_passed_over(shop: Shop, clock: SetClock) -> None:
    token = shop.evaluation("u1", womens=True)["metadata"]["token"]
    clock.advance(seconds=92 * DAY)
    assert shop.evaluation("u1", womens=False, token=token)["metadata"]["segment"] == "everyone-else"


def test_who_does_not_consent_gets_the_mass_arm_and_no_token(shop: Shop) -> None:
    body = shop.evaluation("u1", womens=True, consent="none")
    assert (body["variant"], body["reason"]) == ("one-letter", "STATIC")
    assert body["metadata"]["cause"] == "no_consent"
    assert "token" not in body["metadata"]


def test_who_consents_to_measuring_only_gets_nothing_tailored(shop: Shop) -> None:
    bodies = [shop.evaluation(f"u{number}", womens=True, consent="measure") for number in range(40)]
    assert {body["metadata"]["segment"] for body in bodies} == {"no-personalisation"}
    assert {body["variant"] for body in bodies} == {"nothing", "one-letter"}
    assert {body["reason"] for body in bodies} == {"SPLIT"}


def test_the_signal_against_tracking_is_as_no_consent(shop: Shop) -> None:
    body = shop.ask({"targetingKey": "u1", "womens": True, "consent": "personalise"}, Sec_GPC="1").json
    assert body is not None
    assert (body["variant"], body["reason"], body["metadata"]["cause"]) == ("one-letter", "STATIC", "no_consent")


def test_paused_gives_the_mass_arm_to_whoever_is_not_exposed(shop: Shop, act: Any) -> None:
    exposed = shop.evaluation("u1", womens=True)
    shop.expose("u1", exposed["metadata"]["token"])
    act("pause")
    bodies = [shop.evaluation(f"v{number}", womens=True) for number in range(20)]
    assert {(body["variant"], body["reason"]) for body in bodies} == {("one-letter", "DISABLED")}
    kept = shop.evaluation("u1", womens=True)
    assert (kept["variant"], kept["reason"]) == (exposed["variant"], "DISABLED")
    assert kept["metadata"]["cause"] == "not_running"
    assert "token" not in kept["metadata"]


def test_stopped_gives_the_final_allocation(shop: Shop, act: Any) -> None:
    before = [shop.evaluation(f"v{number}", womens=True)["variant"] for number in range(20)]
    act("stop")
    bodies = [shop.evaluation(f"v{number}", womens=True) for number in range(20)]
    assert [body["variant"] for body in bodies] == before
    assert {(body["reason"], body["metadata"]["cause"]) for body in bodies} == {("DISABLED", "not_running")}


def test_resumed_goes_on_as_before(shop: Shop, act: Any) -> None:
    first = shop.evaluation("u1", womens=True)
    act("pause")
    act("resume")
    assert shop.evaluation("u1", womens=True) == first


def test_draft_and_archived_are_not_there(shop: Shop, client: FlaskClient, keys: dict[str, str], act: Any) -> None:
    client.post("/v1/experiments", json=spring_mailing(key="draft"), headers=bearer(keys["admin"]))
    assert shop.ask({"targetingKey": "u1"}, key="draft").status_code == 404
    act("stop")
    act("archive")
    assert shop.ask({"targetingKey": "u1"}).status_code == 404


@pytest.mark.parametrize("key", ["nowhere", "Spring-Mailing", "a/b c", "x" * 300, "%00", ".."])
def test_an_experiment_that_is_not_there_is_a_flag_not_found(shop: Shop, key: str) -> None:
    response = shop.ask({"targetingKey": "u1"}, key=key)
    assert response.status_code == 404
    assert response.json["errorCode"] == "FLAG_NOT_FOUND"
    assert response.json["errorDetails"]
    assert "key" in response.json


@pytest.mark.parametrize(
    ("context", "code"),
    [
        ({}, "TARGETING_KEY_MISSING"),
        ({"targetingKey": ""}, "TARGETING_KEY_MISSING"),
        ({"targetingKey": None}, "TARGETING_KEY_MISSING"),
        ({"targetingKey": 7}, "INVALID_CONTEXT"),
        ({"targetingKey": "a\x00b"}, "INVALID_CONTEXT"),
        ({"targetingKey": "a" * 513}, "INVALID_CONTEXT"),
        (None, "INVALID_CONTEXT"),
        ([], "INVALID_CONTEXT"),
        ("u1", "INVALID_CONTEXT"),
        ({"targetingKey": "u1", "womens": "true"}, "INVALID_CONTEXT"),
        ({"targetingKey": "u1", "recency": True}, "INVALID_CONTEXT"),
        ({"targetingKey": "u1", "recency": 2**70}, "INVALID_CONTEXT"),
        ({"targetingKey": "u1", "zip_code": 1234}, "INVALID_CONTEXT"),
        ({"targetingKey": "u1", "consent": "yes"}, "INVALID_CONTEXT"),
    ],
)
def test_a_context_that_cannot_be_used_is_refused_by_name(shop: Shop, context: Any, code: str) -> None:
    response = shop.ask(context)
    assert response.status_code == 400
    assert response.json["key"] == "spring-mailing"
    assert response.json["errorCode"] == code
    assert response.json["errorDetails"]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"context": NaN}', b"[" * 100_000, b'{"context": "\\ud800"}'])
def test_a_body_that_cannot_be_read_is_a_parse_error(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any], data: bytes
) -> None:
    response = client.post(
        "/ofrep/v1/evaluate/flags/spring-mailing", data=data, content_type="application/json",
        headers=bearer(keys["client"]),
    )
    assert response.status_code == 400
    assert (response.json["key"], response.json["errorCode"]) == ("spring-mailing", "PARSE_ERROR")


def test_undeclared_attributes_are_dropped(shop: Shop) -> None:
    assert shop.evaluation("u1", email="a@b.example", nested={"a": [1]}) == shop.evaluation("u1")


def test_without_a_key_there_is_no_body(client: FlaskClient, keys: dict[str, str]) -> None:
    unknown = client.post("/ofrep/v1/evaluate/flags/spring-mailing", json={})
    forbidden = client.post("/ofrep/v1/evaluate/flags/spring-mailing", json={}, headers=bearer(keys["report"]))
    assert (unknown.status_code, unknown.data) == (401, b"")
    assert (forbidden.status_code, forbidden.data) == (403, b"")
