"""What a pre-flight reads: an experiment document, alone or with assumptions beside it."""

from typing import Any

from experiments.errors import InvalidDocument
from experiments.errors import Problem
from experiments.reading.fields import Fields
from experiments.reading.shapes import Field
from experiments.reading.shapes import Section
from experiments.reading.values import any_object

_FLIGHT = Section(
    "Flight",
    (Field("experiment", any_object, "the document"), Field("assumptions", any_object, "what is assumed of it")),
)


def read_flight(value: object) -> tuple[Any, Any]:
    """The document and the assumptions in a JSON value; no assumptions where it is the document itself.

    :raises InvalidDocument: if something else stands beside them.
    """
    if not isinstance(value, dict) or "experiment" not in value:
        return value, {}
    problems: list[Problem] = []
    Fields(value, "", problems).only(_FLIGHT)
    if problems:
        raise InvalidDocument(problems)
    return value["experiment"], value.get("assumptions", {})
