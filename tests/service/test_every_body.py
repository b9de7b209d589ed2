"""What no body may be, on every route that takes one: refused alike, by the express lane too, and nothing is stored."""

import gzip
import json
import zlib
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import Client
from werkzeug.test import TestResponse

from experiments.lifecycle import apply_document
from service.installation import Installation
from tests.experiments.documents import tiny
from tests.service.bodies import BODILESS
from tests.service.bodies import ID
from tests.service.bodies import NUMBER
from tests.service.bodies import TAKING
from tests.service.bodies import Taking
from tests.service.bodies import taking
from tests.service.conftest import DEED
from tests.service.conftest import bearer
from tests.service.people import add_user
from tests.service.test_bodies import MB
from tests.service.test_bodies import Zeros

Send = Callable[..., TestResponse]


def rows(installation: Installation) -> dict[str, int]:
    """How many rows each table has."""

    def count(session: Any) -> dict[str, int]:
        run = session.connection.execute
        names = [name for (name,) in run("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: run(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}

    return installation.store.read(count)


@pytest.fixture(name="send")
def _send(app: Flask, installation: Installation, keys: dict[str, str], running: dict[str, Any]) -> Iterator[Send]:
    """Send a body by the lane and by the whole way, which must say the same; afterwards nothing may be stored."""
    installation.buckets = None
    apply_document(installation.store, tiny(key="ann"), deed=DEED)
    add_user(installation, "viewer", email="ann@shop.example")
    before = rows(installation)

    def send(route: Taking, data: Any, *, headers: dict[str, str] | None = None, **request: Any) -> TestResponse:
        key = keys[route.scope]
        path = f"{route.path}{route.query}{key if route.query else ''}"
        sent = {"Content-Type": "application/json", **({} if route.query else bearer(key)), **(headers or {})}
        # The application without what stands before it.
        ways = (Client(app), Client(lambda *call: Flask.wsgi_app(app, *call)))
        short, whole = (way.open(path, method=route.method, data=data, headers=sent, **request) for way in ways)
        assert (short.status_code, short.data) == (whole.status_code, whole.data), route.path
        return whole

    yield send
    assert rows(installation) == before


def test_no_route_that_takes_a_body_is_forgotten(app: Flask) -> None:
    assert set(taking(app)) == TAKING.keys() | BODILESS


def test_the_bodies_are_good_where_nothing_is_wrong_with_them(
    client: FlaskClient, installation: Installation, keys: dict[str, str], running: dict[str, Any]
) -> None:
    add_user(installation, "viewer", email="ann@shop.example")
    for route in TAKING.values():
        key = keys[route.scope]
        path = f"{route.path}{route.query}{key if route.query else ''}"
        response = client.open(
            path, method=route.method, data=route.text(), content_type="application/json", headers=bearer(key)
        )
        assert response.status_code in (200, 201), response.data
        assert "rejected" not in response.json or response.json["rejected"] == 0, response.json


def told(response: TestResponse) -> str:
    """What a refusal says, in the form of its protocol."""
    body = json.loads(response.data)
    return str(body.get("detail") or body.get("errorDetails"))


UNREADABLE = {
    "NaN": ({NUMBER: "NaN"}, 400, "NaN is not a finite number"),
    "infinite": ({NUMBER: "-Infinity"}, 400, "-Infinity is not a finite number"),
    "1e999": ({NUMBER: "1e999"}, 400, "1e999 is not a finite number"),
    "5,000 digits": ({NUMBER: "1" * 5000}, 400, "thousands of digits"),
    "depth 100,000": ({NUMBER: "[" * 100_000 + "]" * 100_000}, 400, "nests deeper than 32"),
    "never closed": ({NUMBER: "[" * 100_000}, 400, "nests deeper than 32"),
    "half a pair": ({ID: '"a\\ud800"'}, 400, "half of a surrogate pair"),
    "a raw control": ({ID: '"a\x00b"'}, 400, "is not JSON"),
    "a name twice": ({NUMBER: '1, "x": 1, "x": 2'}, 400, "stands twice"),
    "not JSON": ({NUMBER: "1,"}, 400, "is not JSON"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_refused_on_every_route(send: Send, name: str) -> None:
    places, status, rule = UNREADABLE[name]
    for route in TAKING.values():
        response = send(route, route.text(**places).encode())
        assert response.status_code == status, (route.path, response.data)
        assert rule in told(response), (route.path, response.data)


def bomb() -> bytes:
    """20 kB that unpack to 20 MB."""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return b"".join(packer.compress(bytes(MB)) for _ in range(20)) + packer.flush()


ODD = {
    "UTF-16": (lambda text: text.encode("utf-16"), {}, 415),
    "UTF-16 that says so": (lambda text: text.encode("utf-16-le"), {"Content-Type": "text/plain; charset=utf-16"}, 415),
    "no UTF-8": (lambda text: text.encode().replace(b"ann", b"\xff"), {}, 400),
    "multipart": (str.encode, {"Content-Type": "multipart/form-data; boundary=x"}, 415),
    "a form": (str.encode, {"Content-Type": "application/x-www-form-urlencoded"}, 415),
    "brotli": (str.encode, {"Content-Encoding": "br"}, 415),
    "no gzip": (str.encode, {"Content-Encoding": "gzip"}, 400),
    "half a gzip": (lambda text: gzip.compress(text.encode())[:-4], {"Content-Encoding": "gzip"}, 400),
    "a bomb": (lambda text: bomb(), {"Content-Encoding": "gzip"}, 413),
    "9 MB": (lambda text: text.encode() + b" " * 9 * MB, {}, 413),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_too_large_or_of_another_kind_is_refused_on_every_route(send: Send, name: str) -> None:
    made, headers, status = ODD[name]
    for route in TAKING.values():
        response = send(route, made(route.text()), headers=headers)
        # To OFREP, another kind or encoding is a body that cannot be parsed: its protocol knows no 415.
        expected = 400 if status == 415 and route.path.startswith("/ofrep") else status
        assert response.status_code == expected, (route.path, response.data)


def test_60_mb_without_a_length_are_read_no_further_than_the_limit(client: FlaskClient, keys: dict[str, str]) -> None:
    for route in TAKING.values():
        body = Zeros(60 * MB)
        path = f"{route.path}{route.query}{keys[route.scope] if route.query else ''}"
        response = client.open(
            path, method=route.method, content_type="application/json", headers=bearer(keys[route.scope]),
            environ_overrides={
                "wsgi.input": body, "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked",
            },
        )
        assert response.status_code == 413, route.path
        assert body.taken < 10 * MB, route.path


def is_refused(response: TestResponse) -> bool:
    """Whether a request is refused, or else every item of it."""
    if response.status_code != 200:
        return response.status_code in (400, 422)
    body = json.loads(response.data)
    if "flags" in body:
        return all("errorCode" in flag and "variant" not in flag for flag in body["flags"])
    if "assignments" in body:
        return all("code" in item and "arm" not in item for item in body["assignments"])
    return "rejected" in body and bool(body["rejected"] == 1 and body["accepted"] == 0)


CONTROLS = [f'"a\\u{number:04x}b"' for number in range(0x20)]
NO_IDS = ["[]", '["a"]', "null", "{}", "true", "false", '""', f'"{"a" * 1001}"', *CONTROLS]


NO_NUMBERS = [str(2**70), "1" * 400, '"NaN"', '"12"', "true", "[]", "{}"]


def test_what_is_no_id_is_refused_on_every_route(send: Send) -> None:
    for route in TAKING.values():
        for text in NO_IDS if route.has_id else ():
            response = send(route, route.text(**{ID: text}))
            assert is_refused(response), (route.path, text[:20], response.data)


def test_what_is_no_number_of_ours_is_refused_on_every_route(send: Send) -> None:
    for route in TAKING.values():
        for text in NO_NUMBERS if route.has_number else ():
            response = send(route, route.text(**{NUMBER: text}))
            assert is_refused(response), (route.path, text[:20], response.data)


@pytest.mark.parametrize("text", ["Zoë", "Zoe\N{COMBINING DIAERESIS}", "a\N{ZERO WIDTH JOINER}b", "a\x7fb"])
def test_an_id_is_kept_as_it_came_and_is_no_other(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any], text: str
) -> None:
    others = {"Zoë", "Zoe\N{COMBINING DIAERESIS}", "Zoe", "ab"} - {text}
    events = [
        {"type": "track", "userId": visitor, "messageId": "m1", "event": "Experiment Viewed",
         "properties": {"experiment_id": "spring-mailing", "variation_id": "one-letter"}}
        for visitor in (text, text, *others)
    ]
    answer = client.post("/v1/batch", json={"batch": events}, headers=bearer(keys["server"])).json
    assert (answer["accepted"], answer["duplicate"]) == (1 + len(others), 1)
