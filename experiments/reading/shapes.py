"""Shapes: what a reader takes, kept beside the reader, so that reading and describing are one thing.

Every shape has a `schema`, the JSON Schema of the values it takes. Rules over several fields are not in it.
"""

from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from typing import Any
from typing import Generic
from typing import Protocol
from typing import TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Schema = Mapping[str, Any]


class Shape(Protocol):
    """Whatever says by a JSON Schema which values it takes."""

    @property
    def schema(self) -> Schema:
        """The JSON Schema."""


S_co = TypeVar("S_co", bound=Shape, covariant=True)


class Refusal(Exception):
    """The rule that a value breaks; it never leaves this package."""


@dataclass(frozen=True)
class Reading(Generic[T_co]):
    """A reader of a single value: takes any JSON value and returns the typed one, or raises `Refusal`."""

    read: Callable[[object], T_co]
    schema: Schema

    def __call__(self, value: object) -> T_co:
        return self.read(value)


def taking(schema: Schema) -> Callable[[Callable[[object], T]], Reading[T]]:
    """Make a function the reader of the values that a schema describes."""
    return lambda read: Reading(read, schema)


@dataclass(frozen=True)
class Field(Generic[S_co]):
    """A field of an object: its name, what it takes, what it means, and its default as one would write it."""

    name: str
    shape: S_co
    help: str
    default: Any = None
    is_required: bool = False

    @property
    def schema(self) -> Schema:
        """The schema of its value, with its meaning."""
        default = {} if self.default is None else {"default": self.default}
        return {**self.shape.schema, "description": self.help, **default}


def narrowed(field: Field[Reading[T]], rule: Callable[[T], T]) -> Field[Reading[T]]:
    """The field with one more rule, which depends on what other fields hold."""
    reading = field.shape
    return replace(field, shape=Reading(lambda value: rule(reading(value)), reading.schema))


@dataclass(frozen=True)
class Either:
    """One of several shapes."""

    shapes: tuple[Shape, ...]

    @property
    def schema(self) -> Schema:
        """Any of the schemas."""
        return {"anyOf": [shape.schema for shape in self.shapes]}


@dataclass(frozen=True)
class Cases:
    """What the value of one field says of others: those that must, and those that may be given with it.

    Of the fields named here every other one is refused, by the rule, in which {} is the value.
    """

    field: Field[Reading[Any]]
    rule: str
    must: Mapping[str, tuple[str, ...]]
    may: Mapping[str, tuple[str, ...]]

    def required(self, value: str) -> tuple[str, ...]:
        """The fields that must be given with a value."""
        return self.must.get(value, ())

    def foreign(self, value: str) -> tuple[str, ...]:
        """The fields that have no meaning with a value."""
        own = {*self.required(value), *self.may.get(value, ())}
        named = (name for names in (*self.must.values(), *self.may.values()) for name in names)
        return tuple(name for name in dict.fromkeys(named) if name not in own)

    @property
    def schema(self) -> Schema:
        """One schema for each value."""
        return {"oneOf": [self._case(value) for value in self.field.shape.schema["enum"]]}

    def _case(self, value: str) -> Schema:
        decided = [] if value == self.field.default else [self.field.name]
        properties = {self.field.name: {"const": value}, **{name: False for name in self.foreign(value)}}
        return {"properties": properties, "required": [*decided, *self.required(value)]}


@dataclass(frozen=True)
class Section:
    """An object of known fields."""

    title: str
    fields: tuple[Field[Shape], ...]
    cases: tuple[Cases, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the fields."""
        return tuple(field.name for field in self.fields)

    @property
    def schema(self) -> Schema:
        """An object that has these fields and no other."""
        cases = {"allOf": [cases.schema for cases in self.cases]} if self.cases else {}
        return {
            "title": self.title,
            "type": "object",
            "properties": {field.name: field.schema for field in self.fields},
            "required": [field.name for field in self.fields if field.is_required],
            "additionalProperties": False,
            **cases,
        }


@dataclass(frozen=True)
class Items:
    """A list of objects."""

    section: Section
    most: int
    least: int = 0

    @property
    def schema(self) -> Schema:
        """A list of so many."""
        return {"type": "array", "items": self.section.schema, "minItems": self.least, "maxItems": self.most}


@dataclass(frozen=True)
class Named:
    """An object whose names are the document's own, each with a value of one shape."""

    names: Shape
    shape: Shape
    most: int | None = None

    @property
    def schema(self) -> Schema:
        """An object of any such names."""
        most = {} if self.most is None else {"maxProperties": self.most}
        return {
            "type": "object", "propertyNames": self.names.schema, "additionalProperties": self.shape.schema, **most,
        }
