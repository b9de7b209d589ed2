"""Components: the named schemas of the reference, made from the types and readers that the code itself uses."""

from collections.abc import Iterable
from collections.abc import Mapping
from inspect import cleandoc
from typing import Any

import msgspec

from experiments.document import DOCUMENT
from experiments.document import Standing
from experiments.reading.shapes import Section
from service.reference.operations import Shape

_ADDRESS = "#/components/schemas/"

#: An experiment as it is answered: its document, and what the service knows of it.
EXPERIMENT = {"$ref": f"{_ADDRESS}Experiment"}


class Components:
    """The schemas that several operations share, by name."""

    def __init__(self, shapes: Iterable[Shape]) -> None:
        types = [shape for shape in shapes if _is_type(shape)]
        found, shared = msgspec.json.schema_components([*types, Standing], ref_template=_ADDRESS + "{name}")
        self._by_type = dict(zip(types, found[:-1], strict=True))
        standing = shared.pop(Standing.__name__)
        self.schemas: dict[str, Any] = {
            **{name: _clean(schema) for name, schema in sorted(shared.items())},
            DOCUMENT.title: _request(standing),
            "Experiment": _answer(standing),
        }

    def schema(self, shape: Shape) -> Mapping[str, Any]:
        """The schema of a shape; named ones are referred to."""
        if isinstance(shape, Section):
            return {"$ref": _ADDRESS + shape.title}
        return shape if isinstance(shape, Mapping) else self._by_type[shape]


def _is_type(shape: Shape) -> bool:
    return shape is not None and not isinstance(shape, Section | Mapping)


def _request(standing: Mapping[str, Any]) -> dict[str, Any]:
    """A document, in which the fields of an answer are passed over."""
    ignored = {name: {"readOnly": True, "description": "passed over"} for name in standing["properties"]}
    return {**DOCUMENT.schema, "properties": {**DOCUMENT.schema["properties"], **ignored}}


def _answer(standing: Mapping[str, Any]) -> dict[str, Any]:
    document = DOCUMENT.schema
    return {
        **document,
        "title": "Experiment",
        "properties": {**document["properties"], **standing["properties"]},
        "required": [*document["required"], *standing["required"]],
    }


def _clean(schema: Any) -> Any:
    """The schema with docstrings as the plain texts that they are."""
    if isinstance(schema, dict):
        text = schema.get("description")
        described = {"description": cleandoc(text)} if isinstance(text, str) else {}
        return {name: _clean(inner) for name, inner in schema.items()} | described
    return [_clean(inner) for inner in schema] if isinstance(schema, list) else schema
