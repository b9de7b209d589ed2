from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from experiments.keys import revoke_key
from service import create_app
from service.auth import requires
from service.config import Config
from service.current import EXTENSION
from service.installation import Installation
from service.installation import open_installation
from service.requests.rates import Rate
from tests.service.conftest import DEED
from tests.service.conftest import SetClock
from tests.service.conftest import bearer
from tests.service.test_auth import address
from tests.service.test_auth import new_key

SHOP = "https://shop.example"
OTHER = "https://other.example"
EVALUATE = "/ofrep/v1/evaluate/flags"
ALLOW = "Access-Control-Allow-Origin"


def preflight(client: FlaskClient, path: str, origin: str, *, method: str = "POST") -> TestResponse:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type,if-none-match",
    }
    return client.options(path, headers=headers)


def post(client: FlaskClient, path: str, origin: str, key: str | None, **settings: Any) -> TestResponse:
    headers = {"Origin": origin, **(bearer(key) if key else {})}
    body = settings or {"json": {"batch": [], "context": {"targetingKey": "u1"}}}
    return client.post(path, headers=headers, **body)


@pytest.fixture(name="shop_key")
def _shop_key(installation: Installation) -> str:
    """The key that one shop's pages hold, and the only client key there is."""
    key = new_key(installation, "client", SHOP)
    installation.snapshots.refresh()
    return key


def client_routes(app: Flask) -> Iterator[tuple[str, str]]:
    """Every path and method that a client key may use."""
    for rule in app.url_map.iter_rules():
        if getattr(app.view_functions[rule.endpoint], "required_scope", None) == "client":
            yield from ((address(rule), method) for method in (rule.methods or set()) - {"OPTIONS", "HEAD"})


def test_a_preflight_is_answered_for_every_path_that_client_keys_may_use(
    app: Flask, client: FlaskClient, shop_key: str
) -> None:
    routes = list(client_routes(app))
    assert {(EVALUATE, "POST"), ("/v1/batch", "POST"), ("/v1/track", "POST")} <= set(routes)
    for path, method in routes:
        response = preflight(client, path, SHOP, method=method)
        assert (response.status_code, response.data) == (204, b""), path
        assert response.headers[ALLOW] == SHOP
        assert response.headers["Access-Control-Allow-Methods"] == method
        assert response.headers["Vary"] == "Origin"
        assert int(response.headers["Access-Control-Max-Age"]) > 0
        assert "Access-Control-Allow-Credentials" not in response.headers


def test_a_preflight_allows_the_headers_that_clients_send(client: FlaskClient, shop_key: str) -> None:
    allowed = preflight(client, EVALUATE, SHOP).headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {
        "authorization", "x-api-key", "content-type", "content-encoding", "if-none-match", "traceparent",
    } <= set(allowed)


@pytest.mark.parametrize("origin", [
    OTHER, "null", "http://shop.example", "https://shop.example:8443", "https://shop.example.evil.example",
    "https://evilshop.example", "HTTPS://SHOP.EXAMPLE", "https://shop.example/", "", "*", "x" * 5000,
])
def test_any_other_origin_is_refused_and_told_nothing(client: FlaskClient, shop_key: str, origin: str) -> None:
    asked = preflight(client, "/v1/batch", origin)
    answered = post(client, "/v1/batch", origin, shop_key)
    assert (asked.status_code, answered.status_code) == (403, 403)
    assert ALLOW not in asked.headers and ALLOW not in answered.headers
    assert asked.json["code"] == answered.json["code"] == "origin_not_allowed"


@pytest.mark.parametrize(("path", "method"), [
    ("/v1/experiments", "GET"), ("/v1/experiments", "POST"), ("/v1/experiments/spring-mailing/report", "GET"),
    ("/healthz", "GET"), ("/nowhere", "POST"), ("/v1/batch", "DELETE"), ("/v1/batch", "GET"), ("/v1/batch", "nonsense"),
])
def test_what_client_keys_may_not_use_is_not_for_pages(
    client: FlaskClient, shop_key: str, path: str, method: str
) -> None:
    response = preflight(client, path, SHOP, method=method)
    assert not any(name.startswith("Access-Control") for name in response.headers.keys())


def test_a_page_may_read_the_answer_to_its_key(client: FlaskClient, shop_key: str) -> None:
    for path in (EVALUATE, "/v1/batch"):
        response = post(client, path, SHOP, shop_key)
        assert response.status_code == 200
        assert response.headers[ALLOW] == SHOP
        assert response.headers.getlist("Vary") == ["Origin"]
        assert response.headers["Access-Control-Expose-Headers"] == "Retry-After, RateLimit, RateLimit-Policy"
        assert "Access-Control-Allow-Credentials" not in response.headers


def test_an_answer_without_an_origin_says_nothing_but_that_it_depends_on_it(client: FlaskClient, shop_key: str) -> None:
    response = client.post("/v1/batch", json={"batch": []}, headers=bearer(shop_key))
    assert response.headers["Vary"] == "Origin"
    assert not any(name.startswith("Access-Control") for name in response.headers.keys())


def test_a_key_for_any_page_opens_to_all_of_them(
    client: FlaskClient, installation: Installation, shop_key: str
) -> None:
    unbound = new_key(installation)
    installation.snapshots.refresh()
    for origin in (SHOP, OTHER, "null"):
        assert preflight(client, EVALUATE, origin).headers[ALLOW] == "*"
        assert post(client, EVALUATE, origin, unbound).headers[ALLOW] == "*"
    assert post(client, EVALUATE, SHOP, shop_key).headers[ALLOW] == SHOP
    refused = post(client, EVALUATE, OTHER, shop_key)
    assert (refused.status_code, refused.data) == (403, b"")
    assert ALLOW not in refused.headers


def test_a_key_for_several_origins_tells_each_its_own(client: FlaskClient, installation: Installation) -> None:
    key = new_key(installation, "client", SHOP, OTHER)
    for origin in (SHOP, OTHER):
        assert preflight(client, "/v1/batch", origin).headers[ALLOW] == origin
        assert post(client, "/v1/batch", origin, key).headers[ALLOW] == origin


def test_an_origin_may_be_given_with_the_port_that_browsers_leave_out(
    client: FlaskClient, installation: Installation
) -> None:
    key = new_key(installation, "client", f"{SHOP}:443", "http://shop.example:80", "http://[::1]:443")
    for origin in (SHOP, "http://shop.example", "http://[::1]:443"):
        assert post(client, "/v1/batch", origin, key).headers[ALLOW] == origin


def test_a_preflight_knows_a_key_that_another_process_made_a_moment_ago(client: FlaskClient, config: Config) -> None:
    assert preflight(client, "/v1/batch", SHOP).status_code == 403
    beside = open_installation(config)
    new_key(beside, "client", SHOP)
    beside.close()
    assert preflight(client, "/v1/batch", SHOP).headers[ALLOW] == SHOP


def test_the_origin_of_a_revoked_key_is_forgotten(
    client: FlaskClient, installation: Installation, shop_key: str
) -> None:
    revoke_key(installation.store, shop_key[:12], deed=DEED)
    installation.snapshots.refresh()
    assert preflight(client, "/v1/batch", SHOP).status_code == 403
    assert ALLOW not in post(client, "/v1/batch", SHOP, shop_key).headers


@pytest.mark.parametrize("scope", ["server", "report", "admin"])
def test_secret_keys_are_not_for_pages(client: FlaskClient, installation: Installation, scope: str) -> None:
    key = new_key(installation, scope)
    new_key(installation, scope, SHOP)
    assert preflight(client, "/v1/batch", SHOP).status_code == 403
    assert ALLOW not in post(client, "/v1/batch", SHOP, key).headers


def test_a_page_may_read_why_it_was_refused(client: FlaskClient, shop_key: str) -> None:
    unreadable = post(client, "/v1/batch", SHOP, shop_key, data=b"{")
    unknown = post(client, f"{EVALUATE}/nowhere", SHOP, shop_key)
    keyless = post(client, "/v1/batch", SHOP, None)
    mistyped = post(client, EVALUATE, SHOP, shop_key[:-1])
    assert [each.status_code for each in (unreadable, unknown, keyless, mistyped)] == [400, 404, 401, 401]
    assert {each.headers.get(ALLOW) for each in (unreadable, unknown, keyless, mistyped)} == {SHOP}


def test_a_page_that_no_key_is_for_may_not_read_that_it_has_none(client: FlaskClient, shop_key: str) -> None:
    response = post(client, "/v1/batch", OTHER, None)
    assert response.status_code == 401
    assert ALLOW not in response.headers


@pytest.mark.parametrize("path", ["/v1/batch", EVALUATE])
def test_a_page_may_read_when_to_come_back(config: Config, clock: SetClock, path: str) -> None:
    app = create_app(replace(config, client_rate=Rate(1, 60)), clock=clock)
    key = new_key(app.extensions[EXTENSION], "client", SHOP)
    client = app.test_client()
    post(client, path, SHOP, key)
    response = post(client, path, SHOP, key)
    app.extensions[EXTENSION].close()
    assert (response.status_code, response.headers["Retry-After"]) == (429, "60")
    assert response.headers[ALLOW] == SHOP
    assert "Retry-After" in response.headers["Access-Control-Expose-Headers"]


def test_the_tag_of_an_evaluation_is_readable_where_the_settings_say_so(config: Config, clock: SetClock) -> None:
    app = create_app(replace(config, expose_etag=True), clock=clock)
    response = post(app.test_client(), EVALUATE, SHOP, new_key(app.extensions[EXTENSION], "client", SHOP))
    app.extensions[EXTENSION].close()
    assert "ETag" in response.headers["Access-Control-Expose-Headers"].split(", ")


def test_a_view_for_client_keys_is_for_pages_without_saying_more(
    app: Flask, client: FlaskClient, shop_key: str
) -> None:
    app.add_url_rule("/fresh", view_func=requires("client")(lambda: "new"), endpoint="new")
    assert preflight(client, "/fresh", SHOP, method="GET").headers[ALLOW] == SHOP
    assert client.get("/fresh", headers={"Origin": SHOP, **bearer(shop_key)}).headers[ALLOW] == SHOP
