"""Logs: one JSON object a line that can be followed by its trace, and holds nobody's secret."""

import io
import json
import logging
import re
import secrets
from collections.abc import Callable
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from service import create_app
from service.auth import public
from service.config import load_config
from service.current import EXTENSION
from service.installation import Installation
from service.operation.logs import JsonLines
from service.operation.logs import said
from service.reference.openapi import routes
from service.requests.traces import trace_of
from tests.experiments.documents import spring_mailing
from tests.service.conftest import SetClock
from tests.service.conftest import bearer
from tests.service.processes import Installed
from tests.service.processes import REPOSITORY
from tests.service.processes import ServerProcess

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
EVALUATE = "/ofrep/v1/evaluate/flags/spring-mailing"


@pytest.fixture(name="written")
def _written(app: Flask) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What our loggers write from now on."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    log = logging.getLogger("service")
    log.addHandler(handler)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    log.removeHandler(handler)


def formatted(message: str, **fields: Any) -> str:
    """A record as a line."""
    record = logging.LogRecord("service.test", logging.INFO, __file__, 1, "%s", (message,), None)
    vars(record).update(said("tested", **fields))
    return JsonLines().format(record)


@given(st.text(), st.text())
def test_whatever_is_said_is_one_line_of_printable_ascii(message: str, field: str) -> None:
    line = formatted(message, said=field)
    assert all(" " <= character <= "~" for character in line)
    read = json.loads(line)
    assert (read["message"], read["said"]) == (message, field)
    assert (read["event"], read["level"], read["logger"]) == ("tested", "info", "service.test")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", read["time"])


@pytest.mark.parametrize(
    ("parent", "trace"),
    [
        (PARENT, TRACE), (f"cc{PARENT[2:]}-what-comes-later", TRACE), (f"{PARENT}-more", None),
        (f"ff{PARENT[2:]}", None), (PARENT.upper(), None), ("", None), (None, None), (PARENT[:-1], None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None), (f" {PARENT}", None), (f"{PARENT}\n", None),
    ],
)
def test_a_trace_is_read_as_the_recommendation_has_it(parent: str | None, trace: str | None) -> None:
    assert trace_of(parent) == trace


@pytest.mark.parametrize("kind", ["application/json", "application/json;charset=UTF-8"])
def test_who_brings_a_trace_is_answered_with_it_by_the_express_lane_too(
    client: FlaskClient, running: dict[str, Any], keys: dict[str, str], kind: str
) -> None:
    ann, key = {"context": {"targetingKey": "ann"}}, bearer(keys["client"])
    traced = client.post(EVALUATE, json=ann, content_type=kind, headers={**key, "traceparent": PARENT})
    assert traced.status_code == 200
    assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-00", traced.headers["traceresponse"])
    assert "traceresponse" not in client.post(EVALUATE, json=ann, content_type=kind, headers=key).headers


def test_who_meets_a_failure_of_ours_is_told_the_trace_that_it_is_logged_under(
    client: FlaskClient, installation: Installation, written: Callable[[], list[dict[str, Any]]]
) -> None:
    assert "traceresponse" not in client.get("/nowhere").headers
    installation.store.transact(lambda session: session.connection.execute("DROP TABLE meta"))
    _, trace, _, _ = client.get("/readyz").headers["traceresponse"].split("-")
    assert [line["trace_id"] for line in written() if line["event"] == "request"] == [trace]


def test_a_fault_is_one_line_with_its_trace_route_and_way_and_without_its_text(
    app: Flask, client: FlaskClient, written: Callable[[], list[dict[str, Any]]]
) -> None:
    @public
    def fail(key: str) -> str:
        raise KeyError(f"the secret of {key}")

    app.add_url_rule("/faulty/<key>", view_func=fail)
    assert client.get("/faulty/my-secret", headers={"traceparent": PARENT}).status_code == 500
    [line] = written()
    assert (line["event"], line["level"], line["trace_id"]) == ("request", "error", TRACE)
    assert (line["method"], line["route"], line["status"]) == ("GET", "/faulty/<key>", 500)
    assert line["error"] == "KeyError" and line["stack"][-1].endswith(" fail")
    assert "secret" not in str({**line, "stack": None})


def test_a_failure_of_ours_is_a_warning_and_a_refusal_is_none(
    client: FlaskClient, keys: dict[str, str], installation: Installation, written: Callable[[], list[dict[str, Any]]]
) -> None:
    client.get("/nowhere")
    client.get("/v1/experiments")
    client.post(EVALUATE, json={}, headers=bearer(keys["client"]))
    assert written() == []
    installation.store.transact(lambda session: session.connection.execute("ALTER TABLE ledger RENAME TO hidden"))
    client.get("/v1/experiments/x/allocations", headers=bearer(keys["report"]))
    client.get("/readyz")
    installation.store.transact(lambda session: session.connection.execute("DROP TABLE meta"))
    assert client.get("/readyz").status_code == 503
    assert [(line["level"], line["route"], line["status"]) for line in written() if line["event"] == "request"] == [
        ("warning", "/readyz", 503)
    ]


def test_each_request_is_logged_where_that_is_asked_for_and_none_takes_the_express_lane(
    tmp_path: Path, clock: SetClock, written: Callable[[], list[dict[str, Any]]]
) -> None:
    settings = {"BESPOKE_DATABASE_URL": f"sqlite:///{tmp_path}/other.db", "BESPOKE_LOG_LEVEL": "debug"}
    app = create_app(load_config(settings), clock=clock)
    try:
        client = app.test_client()
        client.get("/healthz")
        client.post(EVALUATE, json={}, headers={"X-API-Key": "pk_unknown"})
    finally:
        app.extensions[EXTENSION].close()
    lines = [line for line in written() if line["event"] == "request"]
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("GET", "/healthz", 200), ("POST", "/ofrep/v1/evaluate/flags/<path:key>", 401),
    ]
    assert all(line["milliseconds"] >= 0 and len(line["trace_id"]) == 32 for line in lines)


def test_what_the_express_lane_answers_is_no_news(
    client: FlaskClient, running: dict[str, Any], keys: dict[str, str], written: Callable[[], list[dict[str, Any]]]
) -> None:
    answer = client.post(EVALUATE, json={"context": {"targetingKey": "ann"}}, headers=bearer(keys["client"]))
    assert answer.status_code == 200
    assert written() == []


def test_the_runbook_says_what_each_event_means() -> None:
    runbook = (REPOSITORY / "docs" / "runbook.md").read_text()
    sources = [path.read_text() for name in ("service", "experiments") for path in (REPOSITORY / name).rglob("*.py")]
    named = set(re.findall(r'said\(\s*"(\w+)"|"event": "(\w+)"\}', "\n".join(sources)))
    events = {one or other for one, other in named}
    assert len(events) > 8
    assert {event for event in events if f"| `{event}` |" not in runbook} == set()


PLANTED = "planted-"


def planted(seen: list[str]) -> Iterator[str]:
    """Words that nobody may find again, none of them twice."""
    while True:
        seen.append(PLANTED + secrets.token_hex(12))
        yield seen[-1]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the secret's, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".secret"}


def requests_of(app: Flask, words: Iterator[str]) -> Iterator[tuple[str, str, dict[str, str], bytes]]:
    """Two requests to each route that have a word wherever one can stand: address, query, headers and body."""
    for route in routes(app):
        for is_event in (True, False):
            path = re.sub(r"\{key\}", "spring-mailing" if is_event else next(words), route.path)
            path = re.sub(r"\{\w+\}", lambda _: next(words), path)
            event = {
                "type": "track", "userId": next(words), "anonymousId": next(words), "messageId": next(words),
                "event": "Order Completed", "properties": {next(words): next(words), "token": next(words)},
                "context": {"traits": {"womens": next(words), next(words): 1}, "ip": next(words)},
            }
            body = event | {"batch": [event], "context": {"targetingKey": next(words), "token": next(words)}}
            headers = {
                "Cookie": f"session={next(words)}", "User-Agent": next(words),
                "Content-Type": "application/json", "Referer": next(words),
            }
            query = f"link={next(words)}&{next(words)}={next(words)}"
            yield route.method, f"{path}?{query}", headers, json.dumps(body).encode()


def test_nothing_of_what_requests_carry_is_in_the_log_the_files_a_backup_or_the_refusals(
    app: Flask, tmp_path: Path
) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    installed = Installed(folder)
    installed.environ["BESPOKE_LOG_LEVEL"] = "debug"
    installed.run_experiment(spring_mailing())
    keys = [installed.key(scope) for scope in ("client", "server", "admin")]
    server, seen, refusals = ServerProcess(installed), list(keys), ""
    try:
        for key in ("", *keys):
            for method, address, headers, body in requests_of(app, planted(seen)):
                status, answer = ask(server.port, method, address, {**headers, "X-API-Key": key or PLANTED}, body)
                assert status < 500, (method, address, answer)
                refusals += answer if status in (401, 403) else ""
        installed.done("backup", str(folder / "copy.db"))
        live = contents(folder)
    finally:
        server.end()
    assert {"bespoke.db", "bespoke.db-wal", "copy.db", "log.txt"} <= live.keys()
    everything = b"".join([*live.values(), *contents(folder).values()])
    assert len(seen) > 2000 and PLANTED.encode() not in everything
    assert [word for word in seen if word.encode() in everything or word in refusals] == []
    assert live["log.txt"].count(b'"event": "request"') > 300
    assert all(json.loads(line) for line in live["log.txt"].splitlines())


def ask(port: int, method: str, address: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
    """One request to the real server."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, address, body if method not in ("GET", "HEAD") else None, headers)
        response = connection.getresponse()
        return response.status, response.read().decode("utf-8", "replace")
    finally:
        connection.close()
