"""Reading of JSON objects: every fault becomes a problem named by its path, and reading goes on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import TypeVar

from experiments.errors import Problem
from experiments.reading.shapes import Cases
from experiments.reading.shapes import Field
from experiments.reading.shapes import Items
from experiments.reading.shapes import Reading
from experiments.reading.shapes import Refusal
from experiments.reading.shapes import Section
from experiments.reading.soundness import shown_name

T = TypeVar("T")
D = TypeVar("D")


@dataclass(frozen=True)
class Fields:
    """One object of the document; `problems` is shared by the whole document and grows while reading."""

    values: Mapping[str, Any]
    path: str
    problems: list[Problem]

    def path_of(self, name: str) -> str:
        """The path of a field from the document's root."""
        return f"{self.path}.{shown_name(name)}" if self.path else shown_name(name)

    def refuse(self, name: str, rule: str) -> None:
        """Notes a problem with a field."""
        self.problems.append(Problem(self.path_of(name), self.values.get(name), rule))

    def only(self, section: Section) -> None:
        """Refuses every field that the section does not have, by its name."""
        for name in self.values:
            if name not in section.names:
                rule = f"is not a field here; known are {', '.join(section.names)}"
                self.problems.append(Problem(self.path_of(name), name, rule))

    def read(self, field: Field[Reading[T]], instead: T | None = None) -> T:
        """The field's value; its default, or `instead`, where it is absent, and also where it was refused."""
        found = self.find(field)
        if found is not None:
            return found
        return field.shape(field.default) if instead is None else instead

    def find(self, field: Field[Reading[T]]) -> T | None:
        """The field's value; None where it is absent or was refused."""
        if field.name not in self.values:
            return None
        try:
            return field.shape(self.values[field.name])
        except Refusal as refusal:
            self.refuse(field.name, str(refusal))
            return None

    def require(self, field: Field[Reading[T]], instead: D) -> T | D:
        """The value of a field that must be there; `instead` lets reading go on where it was refused."""
        if field.name not in self.values:
            self.refuse(field.name, "is required")
        found = self.find(field)
        return instead if found is None else found

    def where(self, cases: Cases, value: str | None, field: Field[Reading[T]]) -> T | None:
        """The value of a field that only some cases have; None in the others, and where the case is not known."""
        if value is None:
            return None
        if field.name in cases.foreign(value):
            self.refuse_given(field.name, rule=cases.rule.format(value))
            return None
        return self.require(field, None) if field.name in cases.required(value) else self.find(field)

    def refuse_given(self, name: str, *, rule: str) -> None:
        """Refuses a field that is given where it has no meaning."""
        if name in self.values:
            self.refuse(name, rule)

    def inner(self, name: str) -> "Fields":
        """The object in a field; an empty one where there is none or something else."""
        return self._object(self.values.get(name, {}), self.path_of(name)) or Fields({}, self.path_of(name), [])

    def items(self, field: Field[Items]) -> "list[Fields]":
        """The objects of the list in a field; what is no object is refused and left out, other fields in them too."""
        listed = enumerate(self._listed(field.name, most=field.shape.most))
        objects = (self._object(value, f"{self.path_of(field.name)}[{index}]") for index, value in listed)
        found = [fields for fields in objects if fields is not None]
        for fields in found:
            fields.only(field.shape.section)
        return found

    def _listed(self, name: str, *, most: int) -> list[Any]:
        found = self.values.get(name, [])
        if not isinstance(found, list):
            self.refuse(name, "must be a list")
        elif len(found) > most:
            self.problems.append(Problem(self.path_of(name), len(found), f"items are too many; at most {most}"))
        return found if isinstance(found, list) and len(found) <= most else []

    def _object(self, value: object, path: str) -> "Fields | None":
        if isinstance(value, dict):
            return Fields(value, path, self.problems)
        self.problems.append(Problem(path, value, "must be an object"))
        return None
