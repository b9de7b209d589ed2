"""The preview: what a sample visitor would be sent, as text. Pure."""

from collections.abc import Container
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from experiments.messages.message import check_message
from experiments.messages.message import compile_message
from experiments.model import Attribute
from experiments.reading.attributes import read_attributes
from experiments.reading.fields import Fields
from service.setup.form import document_of
from service.setup.kinds import Sheet
from service.setup.kinds import json_text
from service.setup.rules import read_value


class Preview(NamedTuple):
    """A message: the arm, its fields as written, or the reason why it cannot be."""

    arm: str
    fields: tuple[tuple[str, str], ...]
    reason: str


def previews(
    sheet: Sheet, sample: Mapping[str, str], *, known: Mapping[str, Any], hidden: Container[str] = ()
) -> list[Preview]:
    """The messages of the form but for the `hidden` rows, written for the sample visitor.

    What is typed of the visitor goes before what is `known`.
    """
    document = document_of(sheet).document
    attributes = read_attributes(Fields(document, "", []))
    typed = {name: read_value(sample[name], attributes[name].type) for name in attributes if sample.get(name)}
    return [
        _preview(arm, attributes, {**known, **typed}) for index, arm in enumerate(document.get("arms", []))
        if isinstance(arm, dict) and f"arms[{index}]" not in hidden
    ]


def _preview(arm: Mapping[str, Any], attributes: Mapping[str, Attribute], values: Mapping[str, Any]) -> Preview:
    name, message = str(arm.get("key", "")), arm.get("message", {})
    problems = check_message(message, attributes, "message")
    if problems:
        return Preview(name, (), str(problems[0]))
    channel = arm.get("channel")
    written = compile_message(message, channel if isinstance(channel, str) else None)(values)
    return Preview(name, tuple(_lines(written)), "")


def _lines(written: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in written.items():
        yield name, value if isinstance(value, str) else json_text(value)
