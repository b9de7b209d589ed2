"""The reference: made from what the code reads and answers, so complete, valid and true."""

import json
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck
from hypothesis import Phase
from hypothesis import given
from hypothesis import settings
from openapi_spec_validator import validate
from schemathesis import GenerationMode

import service
from experiments.acts import do
from experiments.audit import Deed
from experiments.lifecycle import create
from experiments.reading.soundness import unsound_values
from service import create_app
from service.auth import public
from service.auth import scope_of
from service.config import load_config
from service.current import EXTENSION
from service.installation import Installation
from service.reference import pages as reference
from service.reference.examples import example_path
from service.reference.openapi import Route
from service.reference.openapi import routes
from service.reference.operations import Example
from service.reference.operations import KEY
from tests.experiments.documents import spring_mailing
from tests.experiments.house import bar
from tests.experiments.test_document_schema import beyond
from tests.experiments.test_document_schema import faults
from tests.service.conftest import NOW_MS
from tests.service.conftest import bearer

#: What these refuse is told by a page, in words.
PAGES = ("people/forms", "gallery/page", "people/login", "people/roles", "report/files", "setup/pages")

#: How an experiment comes to a state.
_WAYS: dict[str, tuple[Any, ...]] = {
    "draft": (), "running": ("start",), "paused": ("start", "pause"), "stopped": ("start", "stop"),
    "archived": ("start", "stop", "archive"), "frozen": ("start", "freeze"), "barred": ("start",),
}


@pytest.fixture(name="document", scope="module")
def _document(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What an application of its own answers: it is the same with each, and takes a while to make."""
    database = tmp_path_factory.mktemp("described") / "bespoke.db"
    app = create_app(load_config({"BESPOKE_DATABASE_URL": f"sqlite:///{database}"}))
    yield app.test_client().get("/openapi.json").json
    app.extensions[EXTENSION].close()


def described(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items() for method, operation in methods.items()
    }


def test_the_document_is_sound(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_every_route_of_the_application_is_in_it(app: Flask, document: dict[str, Any]) -> None:
    assert set(described(document)) == {(route.method, route.path) for route in routes(app)}


def test_a_view_that_says_nothing_of_itself_is_noticed(app: Flask) -> None:
    app.add_url_rule("/forgotten", view_func=public(lambda: ""))
    assert {route.path for route in routes(app) if route.operation is None} == {"/forgotten"}


def test_every_operation_has_a_name_of_its_own_a_summary_and_its_scope(app: Flask, document: dict[str, Any]) -> None:
    operations = described(document)
    assert len({operation["operationId"] for operation in operations.values()}) == len(operations)
    for route in routes(app):
        operation = operations[route.method, route.path]
        scope = scope_of(route.view)
        assert operation["summary"]
        assert [list(one.values()) for one in operation["security"]] == ([] if scope is None else [[[scope]]] * 3)
        assert ("401" in operation["responses"]) == (scope is not None)


def test_every_code_that_a_view_or_a_door_refuses_with_is_in_it(document: dict[str, Any]) -> None:
    folder = Path(service.__file__).parent
    modules = {str(path.relative_to(folder).with_suffix("")): path for path in folder.rglob("*.py")}
    sources = "\n".join(path.read_text() for name, path in modules.items() if name not in PAGES)
    refused = {(status, code) for status, code in re.findall(r'Refused\(\s*(\d+), "(\w+)"', sources)}
    known = {
        (status, code)
        for operation in described(document).values()
        for status, answer in operation["responses"].items()
        for one in answer.get("content", {}).values()
        for part in one["schema"].get("allOf", ())
        for code in part.get("properties", {}).get("code", {}).get("enum", ())
    }
    assert len(refused) > 15
    assert refused - known == set()


def test_it_is_sent_once_to_whoever_has_it(client: FlaskClient) -> None:
    for path in ("/openapi.json", "/docs"):
        first = client.get(path)
        again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (first.status_code, again.status_code, again.data) == (200, 304, b"")
        assert first.headers["Cache-Control"] == "public, no-cache"


def all_examples() -> list[Any]:
    """Every route with its example; found without an application, since tests are collected before there is one."""
    app = Flask("service", root_path=str(Path(service.__file__).parent))
    for module in walk_packages(service.__path__, "service."):
        endpoints = getattr(import_module(module.name), "bp", None)
        if endpoints is not None:
            app.register_blueprint(endpoints)
    reference.init_app(app)
    return [pytest.param(route, id=f"{route.method} {route.path}") for route in routes(app) if route.operation]


def prepared(installation: Installation, example: Example) -> None:
    """An experiment in the state that the example asks for."""
    if example.state is not None:
        deed = Deed("test", NOW_MS)
        create(installation.store, spring_mailing(), deed=deed)
        for name in _WAYS[example.state]:
            do(installation.store, "spring-mailing", name, deed=deed)
        if example.state == "barred":
            bar(installation.store, "spring-mailing", arm="womens-letter", metric="unsubscribe", now_ms=NOW_MS)
        installation.snapshots.refresh()


EXAMPLES = all_examples()


@pytest.mark.parametrize("route", EXAMPLES)
def test_every_example_does_what_it_shows(
    client: FlaskClient, installation: Installation, keys: dict[str, str], document: dict[str, Any], route: Route
) -> None:
    assert route.operation is not None
    example = route.operation.examples[route.word]
    prepared(installation, example)
    headers = bearer(keys[scope]) if (scope := scope_of(route.view)) else {}
    path = example_path(route.path, example).replace(KEY, keys.get(scope or "", ""))
    # A file stays open until its answer is closed.
    with client.open(path, method=route.method, json=example.body, headers=headers) as response:
        assert response.status_code == example.status, response.data
    if example.body is not None:
        body = described(document)[route.method, route.path]["requestBody"]["content"]["application/json"]
        assert body["example"] == example.body
        jsonschema_rs.validate({**body["schema"], "components": document["components"]}, body["example"])
        if response.is_json and "accepted" in response.json:
            assert response.json["rejected"] == 0


def test_documents_made_from_the_schema_have_no_fault_in_a_single_field(document: dict[str, Any]) -> None:
    operation = schemathesis.openapi.from_dict(document)["/v1/experiments"]["POST"]

    documents: list[Any] = []

    @settings(
        max_examples=25, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    def make(case: Any) -> None:
        documents.append(case.body)

    make()
    # What no store can keep may stand anywhere in a rule or a message.
    sound = [one for one in documents if not unsound_values(one)]
    assert len(sound) > 5
    assert [problem for one in sound for problem in faults(one) if not beyond([problem])] == []


@pytest.mark.parametrize("route", EXAMPLES)
def test_every_example_is_shown_as_a_command_that_asks_the_same(document: dict[str, Any], route: Route) -> None:
    assert route.operation is not None
    example = route.operation.examples[route.word]
    (sample,) = described(document)[route.method, route.path]["x-codeSamples"]
    words = shlex.split(sample["source"])
    assert words[0] == "curl"
    assert any(word.endswith(example_path(route.path, example)) for word in words)
    if example.body is not None:
        assert json.loads(words[words.index("-d") + 1]) == example.body
    method = words[words.index("-X") + 1] if "-X" in words else "POST" if "-d" in words else "GET"
    assert method == route.method
