"""Answers held against the reference: every one must have a status, a kind and a shape that the document knows."""

from functools import cache
from typing import Any
from typing import NamedTuple
from weakref import WeakKeyDictionary

import jsonschema_rs
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from service.reference.openapi import openapi
from service.reference.openapi import routes
from service.reference.operations import operation_of


class DescribedClient(FlaskClient):
    """A client that fails a test whose answers are not as described; views of the test's own are passed over."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """Make the request, and hold its answer against the document."""
        response = super().open(*args, **kwargs)
        # Whoever asks how it is buffered reads it piece by piece.
        if not response.history and "buffered" not in kwargs:
            check_answer(self.application, response)
        return response


def check_answer(app: Flask, response: TestResponse) -> None:
    """Fail where an answer is not as the reference says."""
    request = response.request
    try:
        rule, words = app.url_map.bind("localhost").match(request.path, request.method, return_rule=True)
    except HTTPException:
        return
    if request.method not in ("HEAD", "OPTIONS") and operation_of(app.view_functions[rule.endpoint]):
        reference = _reference(app)
        fault = _fault(reference, reference.operation(rule.endpoint, request.method, *words.values()), response)
        assert fault is None, f"{request.method} {request.path} answered {response.status_code}: {fault}"


class Reference(NamedTuple):
    """The document, and its operations by endpoint, method and the word that their address has."""

    document: dict[str, Any]
    operations: dict[tuple[str, str, str], dict[str, Any]]

    def operation(self, endpoint: str, method: str, *words: Any) -> dict[str, Any]:
        """The operation of a request whose address has these words."""
        known = ((endpoint, method, word) for word in ("", *words))
        return next(self.operations[key] for key in known if key in self.operations)


_references: WeakKeyDictionary[Flask, Reference] = WeakKeyDictionary()


def _reference(app: Flask) -> Reference:
    if app not in _references:
        document = _document_of(app)
        _references[app] = Reference(document, {
            (route.endpoint, route.method, route.word): document["paths"][route.path][route.method.lower()]
            for route in routes(app) if route.path in document["paths"]
        })
    return _references[app]


_documents: dict[tuple[Any, ...], dict[str, Any]] = {}


def _document_of(app: Flask) -> dict[str, Any]:
    # Every application has the same views, but for those of Flask and of tests.
    views = app.view_functions.values()
    known = tuple(view for view in views if operation_of(view) and view.__module__.startswith("service."))
    if known not in _documents:
        _documents[known] = openapi(app)
    return _documents[known]


def _fault(reference: Reference, operation: dict[str, Any], response: TestResponse) -> str | None:
    described = operation["responses"].get(str(response.status_code))
    if described is None:
        return f"the statuses are {', '.join(operation['responses'])}"
    content = described.get("content", {})
    if not content:
        return "there should be no body" if response.data else None
    if response.content_type not in content and "*/*" not in content:
        return f"{response.content_type} is not among {', '.join(content)}"
    if not response.is_json:
        return None
    schema = content[response.content_type]["schema"]
    errors = validator(_Frozen(schema), _Frozen(reference.document["components"])).iter_errors(response.json)
    return next((f"{error.message} at {error.instance_path}" for error in errors), None)


class _Frozen:
    """A dictionary that can be looked up by its identity."""

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Frozen) and self.value is other.value


@cache
def validator(schema: _Frozen, components: _Frozen) -> jsonschema_rs.Draft202012Validator:
    """What validates answers by a schema; stricter than the document, it wants nothing beyond what is described."""
    return jsonschema_rs.Draft202012Validator({**schema.value, "components": _strict_components(components)})


@cache
def _strict_components(components: _Frozen) -> Any:
    return _strict(components.value)


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: _strict(inner) for name, inner in schema.items()}
    # A problem stands beside the list of its codes, so that it cannot be closed by itself.
    if schema.get("type") == "object" and schema.get("properties") and schema.get("title") != "Problem":
        strict.setdefault("additionalProperties", False)
    return strict
