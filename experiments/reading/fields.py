"""Reading of JSON objects: every fault becomes a problem named by its path, and reading goes on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import TypeVar

from experiments.errors import Problem
from experiments.reading.soundness import shown_name
from experiments.reading.values import Reading
from experiments.reading.values import Refusal

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

    def only(self, *known: str) -> None:
        """Refuses every field that is not known, by its name."""
        for name in self.values:
            if name not in known:
                rule = f"is not a field here; known are {', '.join(known)}"
                self.problems.append(Problem(self.path_of(name), name, rule))

    def read(self, name: str, reading: Reading[T], default: D) -> T | D:
        """The field's value; `default` where it is absent, and also where it was refused."""
        if name not in self.values:
            return default
        try:
            return reading(self.values[name])
        except Refusal as refusal:
            self.refuse(name, str(refusal))
            return default

    def require(self, name: str, reading: Reading[T], instead: D) -> T | D:
        """The value of a field that must be there; `instead` lets reading go on where it was refused."""
        if name not in self.values:
            self.refuse(name, "is required")
        return self.read(name, reading, instead)

    def refuse_given(self, *names: str, rule: str) -> None:
        """Refuses those of the fields that are given, where they have no meaning."""
        for name in names:
            if name in self.values:
                self.refuse(name, rule)

    def inner(self, name: str) -> "Fields":
        """The object in a field; an empty one where there is none or something else."""
        return self._object(self.values.get(name, {}), self.path_of(name)) or Fields({}, self.path_of(name), [])

    def items(self, name: str, *, most: int) -> "list[Fields]":
        """The objects of the list in a field; what is no object is refused and left out."""
        listed = enumerate(self.listed(name, most=most))
        objects = (self._object(value, f"{self.path_of(name)}[{index}]") for index, value in listed)
        return [fields for fields in objects if fields is not None]

    def listed(self, name: str, *, most: int) -> list[Any]:
        """The list in a field; an empty one where there is none, something else, or more than `most` items."""
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
