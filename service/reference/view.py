"""What the page of the reference shows: operations by group, bodies as tables; from the OpenAPI document alone."""

import json
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

Schema = Mapping[str, Any]

_DEEPEST = 4
_LONGEST_PATTERN = 30


class Line(NamedTuple):
    """A field in a table: where it stands, what it takes, and what it means."""

    name: str
    kind: str
    help: str
    is_required: bool


class AnswerView(NamedTuple):
    """One status of an operation: its codes, or the shape of its body."""

    status: str
    phrase: str
    kind: str
    shape: str
    codes: tuple[str, ...]


class OperationView(NamedTuple):
    """One method at one address."""

    name: str
    method: str
    path: str
    summary: str
    scope: str
    parameters: tuple[Line, ...]
    body: str
    answers: tuple[AnswerView, ...]
    command: str


class SchemaView(NamedTuple):
    """A named schema as a table."""

    name: str
    help: str
    lines: tuple[Line, ...]


class ReferenceView(NamedTuple):
    """The page."""

    title: str
    version: str
    introduction: str
    groups: tuple[tuple[str, tuple[OperationView, ...]], ...]
    schemas: tuple[SchemaView, ...]


def reference_view(document: Schema) -> ReferenceView:
    """The page of a document."""
    info = document["info"]
    operations = [
        (operation["tags"][0], _operation(method, path, operation))
        for path, methods in document["paths"].items() for method, operation in methods.items()
    ]
    groups = {tag["name"]: tuple(one for name, one in operations if name == tag["name"]) for tag in document["tags"]}
    return ReferenceView(
        info["title"], info["version"], info["description"], tuple(groups.items()),
        tuple(_schema(name, schema) for name, schema in document["components"]["schemas"].items()),
    )


def _operation(method: str, path: str, operation: Schema) -> OperationView:
    scopes = [scope for one in operation["security"] for names in one.values() for scope in names]
    body = operation.get("requestBody", {}).get("content", {})
    return OperationView(
        operation["operationId"],
        method.upper(),
        path,
        operation["description"],
        scopes[0] if scopes else "public",
        tuple(_parameter(one) for one in operation["parameters"]),
        next((kind(one["schema"]) for one in body.values()), ""),
        tuple(_answer(status, answer) for status, answer in operation["responses"].items()),
        operation["x-codeSamples"][0]["source"],
    )


def _parameter(parameter: Schema) -> Line:
    place = "" if parameter["in"] == "path" else f" ({parameter['in']})"
    return Line(
        parameter["name"] + place, kind(parameter["schema"]), parameter["description"], parameter.get("required", False)
    )


def _answer(status: str, answer: Schema) -> AnswerView:
    contents: Schema = answer.get("content", {})
    media = next(iter(contents), "")
    content: Schema = contents.get(media, {})
    parts = content.get("schema", {}).get("allOf", ())
    codes = tuple(code for part in parts for code in part.get("properties", {}).get("code", {}).get("enum", ()))
    shape = "" if codes or not content else kind(content["schema"])
    return AnswerView(status, answer["description"], media.partition(";")[0], shape, codes)


def _schema(name: str, schema: Schema) -> SchemaView:
    return SchemaView(name, schema.get("description", ""), tuple(_lines(schema)))


def _lines(schema: Schema, prefix: str = "", depth: int = 1) -> Iterator[Line]:
    """The fields of an object, those of objects inside after it."""
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        if not field.get("readOnly"):
            yield Line(prefix + name, kind(field), _help(field), name in required)
            for inner, mark in _objects(field) if depth < _DEEPEST else ():
                yield from _lines(inner, f"{prefix}{name}{mark}.", depth + 1)


def _objects(schema: Schema) -> Iterator[tuple[Schema, str]]:
    """The objects that a field holds, and how their place in it is written."""
    if "properties" in schema:
        yield schema, ""
    elif "items" in schema and schema.get("type") == "array":
        yield schema["items"], "[]"
    elif "anyOf" in schema:
        # Of kinds that differ in one field only the last names them all.
        found = [inner for one in schema["anyOf"] for inner in _objects(one)]
        yield from found[-1:]
    elif isinstance(schema.get("additionalProperties"), Mapping):
        yield from ((inner, f".*{mark}") for inner, mark in _objects(schema["additionalProperties"]))


def _help(field: Schema) -> str:
    default = f" (default {_written(field['default'])})" if "default" in field else ""
    return str(field.get("description", "")) + default


def _written(value: Any) -> str:
    return str(value) if isinstance(value, str) else json.dumps(value)


def kind(schema: Schema) -> str:
    """What a schema takes, in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    for name, write in _KINDS.items():
        if name in schema:
            return write(schema)
    return str(schema.get("type", "any")) + _limits(schema)


def _limits(schema: Schema) -> str:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    if low is not None and "maximum" in schema:
        word = "above" if "exclusiveMinimum" in schema else "from"
        return f" {word} {low:,.15g} to {schema['maximum']:,.15g}"
    if len(schema.get("pattern", "")) in range(1, _LONGEST_PATTERN):
        return f" {schema['pattern'].strip('^$')}"
    return f" of at most {schema['maxLength']:,} characters" if "maxLength" in schema else ""


def _any_of(schema: Schema) -> str:
    return " or ".join(dict.fromkeys(kind(one) for one in schema["anyOf"]))


def _map(schema: Schema) -> str:
    inner = schema["additionalProperties"]
    return f"object of {kind(inner)}" if isinstance(inner, Mapping) else "object"


_KINDS: Mapping[str, Callable[[Schema], str]] = {
    "anyOf": _any_of,
    "enum": lambda schema: ", ".join(map(_written, schema["enum"])),
    "const": lambda schema: _written(schema["const"]),
    "prefixItems": lambda schema: f"array of {', '.join(kind(one) for one in schema['prefixItems'])}",
    "items": lambda schema: f"array of {kind(schema['items'])}",
    "additionalProperties": _map,
}
