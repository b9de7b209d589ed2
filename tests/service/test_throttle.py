from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from service import create_app
from service.config import Config
from service.current import EXTENSION
from service.requests.rates import Rate
from service.requests.rates import Standing
from service.requests.throttle import network_of
from service.requests.throttle import rate_headers
from tests.experiments.guards import taken_away
from tests.service.conftest import SetClock
from tests.service.conftest import bearer
from tests.service.test_auth import new_key

EVALUATE = "/ofrep/v1/evaluate/flags"
BATCH = "/v1/batch"


@pytest.fixture
def config(config: Config) -> Config:
    """Three requests in a minute for each client key and address."""
    return replace(config, client_rate=Rate(3, 60))


def post(client: FlaskClient, path: str, key: str, *, address: str = "192.0.2.1", **headers: str) -> TestResponse:
    """A request from an address; its body is as good for an evaluation as for a batch."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(
        path, json={"batch": [], "context": {"targetingKey": "u1"}}, headers={**bearer(key), **named},
        environ_overrides={"REMOTE_ADDR": address},
    )


def exhaust(client: FlaskClient, key: str, **settings: Any) -> None:
    for _ in range(3):
        assert post(client, BATCH, key, **settings).status_code == 200


def test_every_answer_to_a_client_key_says_where_it_stands(client: FlaskClient, keys: dict[str, str]) -> None:
    first, second = post(client, EVALUATE, keys["client"]), post(client, BATCH, keys["client"])
    assert first.headers["RateLimit-Policy"] == second.headers["RateLimit-Policy"] == '"client";q=3;w=60'
    assert first.headers["RateLimit"] == '"client";r=2;t=20'
    assert second.headers["RateLimit"] == '"client";r=1;t=40'
    assert "Retry-After" not in second.headers


def test_an_answer_that_refuses_says_it_too(client: FlaskClient, keys: dict[str, str]) -> None:
    response = client.post(BATCH, data=b"{", headers=bearer(keys["client"]))
    assert response.status_code == 400
    assert response.headers["RateLimit"] == '"client";r=2;t=20'


def test_an_event_too_many_is_a_problem_that_says_when_to_come_back(
    client: FlaskClient, keys: dict[str, str], clock: SetClock
) -> None:
    exhaust(client, keys["client"])
    response = post(client, BATCH, keys["client"])
    assert response.status_code == 429
    assert response.content_type == "application/problem+json"
    assert response.json["code"] == "too_many_requests"
    assert "3 requests in 60 s" in response.json["detail"]
    assert response.headers["Retry-After"] == "20"
    assert response.headers["RateLimit"] == '"client";r=0;t=20'
    clock.advance(seconds=20)
    assert post(client, BATCH, keys["client"]).status_code == 200


@pytest.mark.parametrize("path", [EVALUATE, f"{EVALUATE}/spring-mailing"])
def test_an_evaluation_too_many_is_told_by_its_status_and_when_to_come_back(
    client: FlaskClient, keys: dict[str, str], path: str
) -> None:
    exhaust(client, keys["client"])
    response = post(client, path, keys["client"])
    assert (response.status_code, response.data, response.headers["Retry-After"]) == (429, b"", "20")


def test_nothing_of_a_batch_too_many_is_stored(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any]
) -> None:
    exhaust(client, keys["client"])
    events = {"batch": [{"type": "track", "userId": "u1", "event": "Order Completed", "messageId": "m1"}]}
    assert client.post(
        BATCH, json=events, headers=bearer(keys["client"]), environ_overrides={"REMOTE_ADDR": "192.0.2.1"}
    ).status_code == 429
    assert client.post(BATCH, json=events, headers=bearer(keys["server"])).json["accepted"] == 1


@pytest.mark.parametrize("scope", ["server", "admin"])
def test_other_keys_are_not_limited(client: FlaskClient, keys: dict[str, str], scope: str) -> None:
    responses = [post(client, BATCH, keys[scope]) for _ in range(10)]
    assert {response.status_code for response in responses} == {200}
    assert not any("RateLimit" in response.headers for response in responses)


def test_each_key_and_each_address_has_its_own_share(app: Flask, client: FlaskClient, keys: dict[str, str]) -> None:
    exhaust(client, keys["client"])
    assert post(client, BATCH, keys["client"], address="192.0.2.2").status_code == 200
    assert post(client, BATCH, new_key(app.extensions[EXTENSION])).status_code == 200
    assert post(client, BATCH, keys["client"]).status_code == 429


def test_what_a_visitor_says_of_the_address_is_not_believed(client: FlaskClient, keys: dict[str, str]) -> None:
    exhaust(client, keys["client"], X_Forwarded_For="198.51.100.1")
    assert post(client, BATCH, keys["client"], X_Forwarded_For="198.51.100.2").status_code == 429


def forged_arms(client: FlaskClient, key: str) -> int:
    """How many visitors that are made up somebody gets a token for, out of a hundred."""
    answers = [
        client.post(
            f"{EVALUATE}/spring-mailing", json={"context": {"targetingKey": f"forged-{number}"}}, headers=bearer(key)
        )
        for number in range(100)
    ]
    return sum(answer.status_code == 200 and "token" in answer.json["metadata"] for answer in answers)


def test_somebody_who_makes_visitors_up_gets_no_more_tokens_than_the_rate_lets_pass(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any]
) -> None:
    assert forged_arms(client, keys["client"]) == 3
    with taken_away("rates"):
        assert forged_arms(client, keys["client"]) == 100


def test_requests_with_no_good_key_take_nothing(client: FlaskClient, keys: dict[str, str]) -> None:
    for _ in range(10):
        assert post(client, BATCH, keys["client"] + "x").status_code == 401
    exhaust(client, keys["client"])


class Proxied:
    """An application behind so many proxies."""

    def __init__(self, app: Flask) -> None:
        self.client = app.test_client()
        self.key = new_key(app.extensions[EXTENSION])

    def ask(self, forwarded: str) -> int:
        """The status of the answer to what the nearest proxy passed on."""
        return post(self.client, BATCH, self.key, address="10.0.0.1", X_Forwarded_For=forwarded).status_code


@pytest.fixture(params=[1, 2])
def proxied(request: pytest.FixtureRequest, config: Config, clock: SetClock) -> Iterator[tuple[Proxied, str]]:
    """An application behind one or two proxies, and what the nearer of two appends."""
    app = create_app(replace(config, trusted_proxies=request.param), clock=clock)
    yield Proxied(app), ", 10.0.0.2" * (request.param - 1)
    app.extensions[EXTENSION].close()


def test_behind_proxies_the_address_is_what_the_first_of_them_saw(proxied: tuple[Proxied, str]) -> None:
    site, appended = proxied
    for number in range(3):
        # The visitor writes what it likes before what the proxies append.
        assert site.ask(f"203.0.113.{number}, 198.51.100.1{appended}") == 200
    assert site.ask(f"203.0.113.9, 198.51.100.1{appended}") == 429
    assert site.ask(f"198.51.100.2{appended}") == 200


def test_a_proxy_that_says_less_than_it_should_stands_for_all_behind_it(proxied: tuple[Proxied, str]) -> None:
    site, appended = proxied
    if appended:
        assert [site.ask(f"198.51.100.{number}") for number in range(4)] == [200, 200, 200, 429]
    assert site.ask(f"198.51.100.1{appended}") == 200


def test_without_a_rate_nobody_is_limited(config: Config, clock: SetClock) -> None:
    app = create_app(replace(config, client_rate=None), clock=clock)
    client, key = app.test_client(), new_key(app.extensions[EXTENSION])
    responses = [post(client, BATCH, key) for _ in range(10)]
    app.extensions[EXTENSION].close()
    assert {response.status_code for response in responses} == {200}
    assert not any("RateLimit-Policy" in response.headers for response in responses)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::1", "::/64"),
        ("", ""),
        ("unix:", "unix:"),
        ("x" * 5000, "x" * 45),
    ],
)
def test_who_shares_a_bucket(address: str, network: str) -> None:
    assert network_of(address) == network


def test_the_fields_are_structured_as_the_draft_says() -> None:
    assert rate_headers(Rate(100, 60), Standing(True, 7, 30)) == {
        "RateLimit-Policy": '"client";q=100;w=60', "RateLimit": '"client";r=7;t=30',
    }
    assert rate_headers(Rate(100, 60), Standing(False, 0, 1))["Retry-After"] == "1"
