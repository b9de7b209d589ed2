import json
import secrets
from base64 import b64encode
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import AnyConverter
from werkzeug.routing import Rule

from experiments.audit import Deed
from experiments.errors import InvalidKey
from experiments.errors import UnknownKey
from experiments.keys import SCOPES
from experiments.keys import check_key
from experiments.keys import create_key
from experiments.keys import includes
from experiments.keys import list_keys
from experiments.keys import revoke_key
from service.config import Config
from service.installation import Installation
from service.installation import open_installation
from tests.service.conftest import DEED
from tests.service.conftest import NOW_MS
from tests.service.conftest import bearer
from tests.service.conftest import count_rows

#: Whoever opens these to everybody has thought about it.
PUBLIC = {
    "static", "health.healthz", "health.readyz", "preferences.support", "reference.docs", "reference.openapi_json",
    "sdk.newest", "sdk.pinned", "sdk.addresses", "sdk.types",
}
#: What people open, not keys; tests/service/test_people.py walks these.
PAGE = "door_for_people"
#: Opened by a key in the address alone, and with tests of their own too.
ADDRESSED = "growthbook.features"


def new_key(installation: Installation, scope: str = "client", *origins: str) -> str:
    return create_key(
        installation.store, scope=scope, name="", origins=origins, random=secrets.token_bytes, deed=DEED
    )


def guarded(app: Flask) -> Iterator[tuple[Rule, str]]:
    """Every route and method that asks for a key."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint not in (*PUBLIC, ADDRESSED) and not hasattr(app.view_functions[rule.endpoint], PAGE):
            yield from ((rule, method) for method in sorted(rule.methods or ()))


def address(rule: Rule) -> str:
    values = {"key": "spring-mailing", "call": "track", "name": "start"}
    words = {name: min(part.items) for name, part in rule._converters.items() if isinstance(part, AnyConverter)}
    built = rule.build({name: values.get(name, words.get(name, "x")) for name in rule.arguments})
    assert built is not None
    return built[1]


def test_every_route_refuses_without_a_key(app: Flask, client: FlaskClient) -> None:
    for rule, method in guarded(app):
        assert client.open(address(rule), method=method).status_code == 401, f"{method} {rule}"


def test_every_route_refuses_keys_of_too_small_a_scope(app: Flask, client: FlaskClient, keys: dict[str, str]) -> None:
    for rule, method in guarded(app):
        if method == "OPTIONS":
            # Several views share an address; which of them hears this is nobody's choice, and none says anything.
            continue
        wanted = getattr(app.view_functions[rule.endpoint], "required_scope", None)
        for scope in SCOPES:
            response = client.open(address(rule), method=method, headers=bearer(keys[scope]))
            if wanted is None or not includes(scope, wanted):
                assert response.status_code == 403, f"{method} {rule} as {scope}"
            else:
                assert response.status_code not in (401, 403), f"{method} {rule} as {scope}"


def test_every_route_refuses_a_revoked_key(app: Flask, client: FlaskClient, installation: Installation) -> None:
    key = new_key(installation, "admin")
    revoke_key(installation.store, key[:12], deed=DEED)
    installation.snapshots.refresh()
    for rule, method in guarded(app):
        assert client.open(address(rule), method=method, headers=bearer(key)).status_code == 401, f"{method} {rule}"


def test_every_route_refuses_a_key_from_another_origin(
    app: Flask, client: FlaskClient, installation: Installation
) -> None:
    headers = bearer(new_key(installation, "admin", "https://shop.example"))
    for rule, method in guarded(app):
        if method != "OPTIONS":
            response = client.open(address(rule), method=method, headers={**headers, "Origin": "https://evil.example"})
            assert (response.status_code, client.get("/v1/audit", headers=headers).status_code) == (403, 200)


def test_a_view_that_says_nothing_lets_nobody_in(app: Flask, client: FlaskClient, keys: dict[str, str]) -> None:
    app.add_url_rule("/forgotten", view_func=lambda: "secret", endpoint="forgotten")
    assert client.get("/forgotten").status_code == 401
    assert client.get("/forgotten", headers=bearer(keys["admin"])).status_code == 403


def basic(key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{key}:".encode()).decode()}


def plain(key: str) -> dict[str, str]:
    return {"X-API-Key": key}


@pytest.mark.parametrize("headers", [bearer, basic, plain])
def test_a_key_may_come_in_three_ways(
    client: FlaskClient, keys: dict[str, str], headers: Callable[[str], dict[str, str]]
) -> None:
    assert client.get("/v1/experiments", headers=headers(keys["report"])).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic"},
        {"Authorization": "Digest username=x"},
        {"Authorization": "nonsense"},
        {"X-API-Key": ""},
        {"X-API-Key": "sk_"},
        {"X-API-Key": "é" * 55},
        {"X-API-Key": "x" * 5000},
    ],
    ids=str,
)
def test_what_is_no_key_is_unknown(client: FlaskClient, headers: dict[str, str]) -> None:
    response = client.get("/v1/experiments", headers=headers)
    assert (response.status_code, response.json["code"]) == (401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_a_key_with_another_end_is_unknown(client: FlaskClient, keys: dict[str, str]) -> None:
    other = keys["admin"][:-1] + ("A" if keys["admin"][-1] != "A" else "B")
    assert client.get("/v1/experiments", headers=bearer(other)).status_code == 401


def test_a_key_in_the_address_is_not_looked_at(client: FlaskClient, keys: dict[str, str]) -> None:
    assert client.get(f"/v1/experiments?client_key={keys['admin']}").status_code == 401


TRACKING = {
    "/v1/batch": {"batch": []},
    "/v1/track": {"userId": "ann", "event": "Order Completed", "messageId": "m"},
    "/v1/page": {"userId": "ann", "messageId": "n"},
    "/v1/identify": {"userId": "ann"},
}


@pytest.mark.parametrize("path", TRACKING)
def test_events_may_bring_a_client_key_in_the_body_as_a_beacon_must(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any], path: str
) -> None:
    body = json.dumps({**TRACKING[path], "writeKey": keys["client"]})
    response = client.post(path, data=body, headers={"Content-Type": "text/plain;charset=UTF-8"})
    assert response.status_code == 200, response.json
    assert response.json["rejected"] == 0


@pytest.mark.parametrize("written", ["", "pk_", "x" * 5000, 5, True, [], {}], ids=str)
def test_what_is_no_key_in_a_body_is_unknown(client: FlaskClient, written: object) -> None:
    response = client.post("/v1/batch", json={"batch": [], "writeKey": written})
    assert (response.status_code, response.json["code"]) == (401, "unauthorized")


@pytest.mark.parametrize("body", [{"batch": []}, {"batch": [], "writeKey": None}], ids=str)
def test_a_body_without_a_key_is_refused(client: FlaskClient, body: dict[str, object]) -> None:
    assert client.post("/v1/batch", json=body).status_code == 401


@pytest.mark.parametrize("scope", ["server", "report", "admin"])
def test_only_client_keys_may_stand_in_a_body(client: FlaskClient, keys: dict[str, str], scope: str) -> None:
    response = client.post("/v1/batch", json={"batch": [], "writeKey": keys[scope]})
    assert (response.status_code, response.json["code"]) == (403, "secret_in_public")
    assert scope in response.json["detail"]


def test_a_key_in_a_header_wins_over_one_in_the_body(client: FlaskClient, keys: dict[str, str]) -> None:
    body = {"batch": [], "writeKey": keys["client"]}
    assert client.post("/v1/batch", json=body, headers=bearer("pk_nobody")).status_code == 401
    unread = {"batch": [], "writeKey": "pk_nobody"}
    assert client.post("/v1/batch", json=unread, headers=bearer(keys["client"])).status_code == 200


def test_a_key_in_a_body_may_be_used_by_its_origins_only(client: FlaskClient, installation: Installation) -> None:
    body = {"batch": [], "writeKey": new_key(installation, "client", "https://shop.example")}
    statuses = [
        client.post("/v1/batch", json=body, headers={"Origin": origin}).status_code
        for origin in ("https://shop.example", "https://evil.example")
    ]
    assert statuses == [200, 403]


def test_no_other_address_looks_for_a_key_in_the_body(client: FlaskClient, keys: dict[str, str]) -> None:
    body = {"context": {"targetingKey": "ann"}, "writeKey": keys["client"]}
    assert client.post("/ofrep/v1/evaluate/flags/spring-mailing", json=body).status_code == 401


def test_a_body_that_cannot_be_read_is_told_so_without_a_key(client: FlaskClient) -> None:
    # The key may stand in it: that there was none would be the wrong answer.
    assert client.post("/v1/batch", data="{", headers={"Content-Type": "text/plain"}).status_code == 400


def test_a_key_that_another_process_made_a_moment_ago_is_known_at_once(client: FlaskClient, config: Config) -> None:
    beside = open_installation(config)
    key = new_key(beside, "report")
    beside.close()
    assert client.get("/v1/experiments", headers=bearer(key)).status_code == 200


def test_a_key_may_be_used_by_its_origins_only(client: FlaskClient, installation: Installation) -> None:
    headers = bearer(new_key(installation, "client", "https://Shop.example/"))
    allowed = client.post("/v1/batch", json={"batch": []}, headers={**headers, "Origin": "https://shop.example"})
    refused = client.post("/v1/batch", json={"batch": []}, headers={**headers, "Origin": "https://evil.example"})
    server = client.post("/v1/batch", json={"batch": []}, headers=headers)
    assert (allowed.status_code, refused.status_code, server.status_code) == (200, 403, 200)
    assert refused.json["code"] == "origin_not_allowed"


def test_a_key_is_kept_as_a_digest_only(installation: Installation, config: Config) -> None:
    key = new_key(installation)
    installation.close()
    stored = b"".join(path.read_bytes() for path in config.database_path.parent.glob("bespoke.db*"))
    assert key[:12].encode() in stored
    assert key[12:].encode() not in stored


def test_keys_say_what_they_are_and_hold_256_bits(installation: Installation) -> None:
    assert new_key(installation, "client").startswith("pk_")
    assert new_key(installation, "admin").startswith("sk_")
    assert len(new_key(installation, "server")) == 12 + 43


def test_revoking_ends_a_key_once(installation: Installation) -> None:
    key = new_key(installation)
    revoke_key(installation.store, key[:12], deed=Deed("test", NOW_MS + 1))
    with pytest.raises(UnknownKey, match=key[:12]):
        revoke_key(installation.store, key[:12], deed=Deed("test", NOW_MS + 2))
    assert [row.revoked_ms for row in list_keys(installation.store)] == [NOW_MS + 1]


def test_a_key_is_checked_by_its_prefix_and_its_digest(installation: Installation) -> None:
    key = new_key(installation)
    row = list_keys(installation.store)[0]
    assert check_key(key, {row.prefix: row}.get) == row
    assert check_key(key + "A", {row.prefix: row}.get) is None
    assert check_key(key, {}.get) is None
    assert check_key(key, {row.prefix: row._replace(revoked_ms=1)}.get) is None


@pytest.mark.parametrize(
    ("scope", "name", "origin"),
    [
        ("root", "", "https://shop.example"),
        ("client", "a\nb", "https://shop.example"),
        ("client", "a" * 201, "https://shop.example"),
        ("client", "", "shop.example"),
        ("client", "", "https://shop.example/path"),
        ("client", "", "*"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(installation: Installation, scope: str, name: str, origin: str) -> None:
    with pytest.raises(InvalidKey):
        create_key(
            installation.store, scope=scope, name=name, origins=[origin], random=secrets.token_bytes, deed=DEED
        )
    assert count_rows(installation, "keys") == 0
