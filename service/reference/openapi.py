"""The OpenAPI document of an application, made from its routes and from what its views say of themselves."""

import re
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from http import HTTPStatus
from inspect import getdoc
from typing import Any
from typing import NamedTuple

from flask import Flask
from werkzeug.routing import Rule

from experiments.reading.values import key
from experiments.version import VERSION
from service.auth import scope_of
from service.errors import PROBLEM
from service.errors import Problem
from service.reference.components import Components
from service.reference.examples import curl
from service.reference.operations import Answer
from service.reference.operations import Example
from service.reference.operations import Operation
from service.reference.operations import Parameter
from service.reference.operations import operation_of
from service.requests.answers import JSON
from service.requests.idempotency import PARAMETER
from service.requests.idempotency import REPLAYED
from service.requests.refusals import refusals

_SERVER = "http://127.0.0.1:8000"
_PLACEHOLDER = re.compile(r"<(?:(?P<kind>\w+)(?:\((?P<words>[^)]*)\))?:)?(?P<name>\w+)>")
_OUR_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_KEY = Parameter(key.schema, "the experiment's key")
_RETRY_AFTER = {"Retry-After": "the seconds after which to try again"}
_SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "basic": {"type": "http", "scheme": "basic", "description": "the key as user name; the password is passed over"},
}
#: What the groups of the reference are called, by blueprint, in order; others by the blueprint's own name.
_GROUPS = {
    "admin": "Experiments", "gallery": "Experiments", "ofrep": "Evaluation", "assignments": "Lists of visitors",
    "ingest": "Events",
    "growthbook": "GrowthBook's clients", "sdk": "Web pages", "pages": "Pages", "report_files": "Pages",
    "exports": "Experiments", "reference": "Reference", "users": "People", "audit": "Audit log", "visitors": "Privacy",
    "login": "Pages", "actions": "Pages", "setup": "Pages", "gallery_page": "Pages",
    "preflight": "Pages", "replay_page": "Pages", "discovery": "Pages", "review_page": "Pages",
    "frequency_page": "Pages", "people": "Pages", "health": "Health",
    "preferences": "Privacy", "opt_outs": "Privacy", "review": "Experiments", "privacy": "Pages",
}
_INTRODUCTION = (
    "Experiments that find out for whom a tailored message beats the one sent to everybody. Errors are RFC 9457 "
    "problems with a stable `code`, except where a protocol fixes its own shape."
)


class Route(NamedTuple):
    """One method at one address; `word` is what it has in place of a placeholder that knows few words."""

    path: str
    method: str
    endpoint: str
    word: str
    view: Any
    operation: Operation | None


def routes(app: Flask) -> Iterator[Route]:
    """Every method at every address of the application."""
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        for path, word in _paths(rule):
            for method in sorted((rule.methods or set()) & set(_OUR_METHODS)):
                yield Route(path, method, rule.endpoint, word, view, operation_of(view))


def _paths(rule: Rule) -> Iterator[tuple[str, str]]:
    """The addresses of a rule; a placeholder that knows few words makes one of each."""
    few = next((match for match in _PLACEHOLDER.finditer(rule.rule) if match["kind"] == "any"), None)
    if few is None:
        yield _PLACEHOLDER.sub(r"{\g<name>}", rule.rule), ""
        return
    for word in map(str.strip, few["words"].split(",")):
        yield _PLACEHOLDER.sub(r"{\g<name>}", rule.rule.replace(few[0], word)), word


def openapi(app: Flask) -> dict[str, Any]:
    """The document; views that say nothing of themselves are not in it."""
    described = [route for route in routes(app) if route.operation]
    shapes = [Problem, *(shape for route in described for shape in _shapes(route.operation))]
    components = Components(shapes)
    paths: dict[str, dict[str, Any]] = {}
    for route in described:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Bespoke", "version": VERSION, "description": _INTRODUCTION, "license": _LICENCE},
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in _groups(described)],
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": components.schemas, "securitySchemes": _SECURITY_SCHEMES},
    }


_LICENCE = {"name": "Apache 2.0", "identifier": "Apache-2.0"}


def _groups(described: Sequence[Route]) -> list[str]:
    """The groups that have routes, the known ones first."""
    found = dict.fromkeys(map(group_of, described))
    return sorted(found, key=lambda name: [*_GROUPS.values(), *found].index(name))


def group_of(route: Route) -> str:
    """The group of the reference in which a route stands."""
    blueprint, _, _ = route.endpoint.rpartition(".")
    return _GROUPS.get(blueprint, blueprint.capitalize() or "Pages")


def _shapes(operation: Operation | None) -> Iterator[Any]:
    assert operation is not None, "only described routes are asked"
    yield operation.body
    yield from (answer.shape for answer in operation.answers.values())
    if operation.failures:
        yield operation.failures.shape


def _operation(route: Route, components: Components) -> dict[str, Any]:
    operation, scope = route.operation, scope_of(route.view)
    assert operation is not None, "only described routes are asked"
    example = operation.examples[route.word]
    text = (getdoc(route.view) or "").partition(":raises")[0].strip()
    body = {"requestBody": _body(operation, example, components)} if operation.body is not None else {}
    return {
        "operationId": "_".join(filter(None, (route.endpoint.rpartition(".")[2], route.word))),
        "summary": text.partition("\n")[0].rstrip("."),
        "description": text,
        "tags": [group_of(route)],
        "security": [] if scope is None else [{name: [scope]} for name in _SECURITY_SCHEMES],
        "parameters": list(_parameters(route, operation)),
        **body,
        "responses": _responses(operation, components, scope=scope, has_path="{" in route.path),
        "x-codeSamples": [{"lang": "Shell", "source": _command(route, example, scope=scope)}],
    }


def _command(route: Route, example: Example, *, scope: str | None) -> str:
    return curl(route.method, route.path, example, server=_SERVER, scope=scope)


def _parameters(route: Route, operation: Operation) -> Iterator[dict[str, Any]]:
    example = operation.examples[route.word]
    for name in re.findall(r"{(\w+)}", route.path):
        found = operation.path.get(name, _KEY)
        yield {**_parameter(name, "path", found), "required": True, "example": example.path[name]}
    for name, found in operation.query.items():
        yield _parameter(name, "query", found)
    for name, found in {**operation.headers, **(PARAMETER if operation.is_repeatable else {})}.items():
        yield _parameter(name, "header", found)


def _parameter(name: str, place: str, parameter: Parameter) -> dict[str, Any]:
    return {"name": name, "in": place, "description": parameter.help, "schema": parameter.schema}


def _body(operation: Operation, example: Example, components: Components) -> dict[str, Any]:
    content = {"schema": components.schema(operation.body), "example": example.body}
    also = {kind: {"schema": components.schema(shape)} for kind, shape in operation.also.items()}
    return {"required": operation.is_body_needed, "content": {**{kind: content for kind in operation.kinds}, **also}}


def _responses(
    operation: Operation, components: Components, *, scope: str | None, has_path: bool
) -> dict[str, Any]:
    refused = refusals(operation, scope=scope, has_path=has_path)
    answers = {status: _answer(status, answer, operation, components) for status, answer in operation.answers.items()}
    failures = {
        status: _failure(status, codes, operation, components)
        for status, codes in refused.items() if status not in answers
    }
    return {str(status): answer for status, answer in sorted({**answers, **failures}.items())}


def _answer(status: int, answer: Answer, operation: Operation, components: Components) -> dict[str, Any]:
    headers = dict(answer.headers)
    if operation.is_repeatable and status < 400:
        headers[REPLAYED] = "true where the request was answered before, and this is the answer of then"
    shapes = {} if answer.shape is None else {answer.kind: answer.shape, **answer.also}
    content = {kind: {"schema": components.schema(shape)} for kind, shape in shapes.items()}
    return _response(status, content, headers)


def _failure(status: int, codes: list[str], operation: Operation, components: Components) -> dict[str, Any]:
    headers = _RETRY_AFTER if status in (429, 503, 507) else {}
    if operation.failures is None:
        code = {"properties": {"code": {"enum": codes}}}
        return _response(status, {PROBLEM: {"schema": {"allOf": [components.schema(Problem), code]}}}, headers)
    if status in operation.failures.silent:
        return _response(status, {}, headers)
    return _response(status, {JSON: {"schema": components.schema(operation.failures.shape)}}, headers)


def _response(status: int, content: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if content:
        response["content"] = content
    if headers:
        response["headers"] = {
            name: {"description": help, "schema": {"type": "string"}} for name, help in headers.items()
        }
    return response
