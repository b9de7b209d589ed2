"""The `attributes` section: what may be known about a visitor, by name and type."""

from itertools import pairwise
from typing import Any
from typing import get_args

from experiments.errors import Problem
from experiments.model import Attribute
from experiments.model import AttributeType
from experiments.reading.fields import Fields
from experiments.reading.shapes import Either
from experiments.reading.shapes import Field
from experiments.reading.shapes import Named
from experiments.reading.shapes import Reading
from experiments.reading.shapes import Refusal
from experiments.reading.shapes import Section
from experiments.reading.shapes import T
from experiments.reading.shapes import taking
from experiments.reading.values import flag
from experiments.reading.values import line
from experiments.reading.values import number
from experiments.reading.values import one_of
from experiments.reading.values import whole

MAX_ATTRIBUTES = 64
MAX_BANDS = 100
_LONGEST_PREFIX = 20
_LONGEST_NAME = 64
_LARGEST_NUMBER = 2.0**53
#: Names that mean something else in an evaluation context.
RESERVED_NAMES = ("targetingKey", "consent", "token")
_TYPES: tuple[AttributeType, ...] = get_args(AttributeType)
#: A dot would be a path to the rules, a dollar sign an operator.
_NAME = r"^[^.$\x00-\x1f\x7f-\xa0]*[^\s.$\x00-\x1f\x7f-\xa0][^.$\x00-\x1f\x7f-\xa0]*$"


def _listed(reading: Reading[T]) -> Reading[tuple[T, ...]]:

    @taking({"type": "array", "items": reading.schema, "minItems": 1, "maxItems": MAX_BANDS})
    def read(value: object) -> tuple[T, ...]:
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_BANDS:
            raise Refusal(f"must be a list of 1 to {MAX_BANDS}")
        return tuple(map(reading, value))

    return read


_NUMBERS = _listed(number(-_LARGEST_NUMBER, _LARGEST_NUMBER))
_TEXTS = _listed(line(200))


@taking(_NUMBERS.schema)
def _edges(value: object) -> tuple[float, ...]:
    """The edges between bands of numbers, ascending."""
    edges = _NUMBERS(value)
    if any(lower >= higher for lower, higher in pairwise(edges)):
        raise Refusal("must ascend strictly")
    return edges


@taking({**_TEXTS.schema, "uniqueItems": True})
def _kept_texts(value: object) -> tuple[str, ...]:
    """The texts that are stored as they are."""
    texts = _TEXTS(value)
    if len(set(texts)) < len(texts):
        raise Refusal("must not repeat")
    return texts


_TYPE = Field("type", one_of(_TYPES), "what its values are", is_required=True)
_STORE = Field("store", flag, "keep it, coarsened, so that segments can be discovered", default=False)
_NOT_STORED = Field("store", Reading(flag, {"const": False}), "nothing of it is kept", default=False)
_STORED = Field("store", Reading(flag, {"const": True}), "it is kept, coarsened", is_required=True)
_SPECIAL = Field("special", flag, "whether it is of a special category of personal data; its name tells where unsaid")


def _stored(types: tuple[AttributeType, ...], *coarsened: Field[Reading[Any]]) -> Section:
    """An attribute that is stored."""
    return Section(
        "Attribute",
        (Field("type", one_of(types), "what its values are", is_required=True), _STORED, *coarsened, _SPECIAL),
    )


def _bands_of(reading: Reading[tuple[Any, ...]], help: str) -> Field[Reading[Any]]:
    return Field("bands", reading, help, is_required=True)


_PREFIX = Field("prefix", whole(1, _LONGEST_PREFIX), "how many first characters are kept", is_required=True)
_OF_NUMBERS = _stored(("number",), _bands_of(_edges, "the edges between the bands, ascending"))
_OF_TEXTS = _stored(
    ("string", "version", "list"), _bands_of(_kept_texts, "the texts that are kept; others are stored as other")
)
_BEGINNINGS = _stored(("string", "version"), _PREFIX)
_AS_THEY_ARE = _stored(("boolean", "string", "version"))
_ATTRIBUTE = Either((
    _TYPE.shape, Section("Attribute", (_TYPE, _NOT_STORED, _SPECIAL)), _AS_THEY_ARE, _OF_NUMBERS, _OF_TEXTS, _BEGINNINGS
))
#: Everything that may be said of an attribute.
_ANY = Section("Attribute", (*_OF_NUMBERS.fields, _PREFIX))


@taking({"type": "string", "maxLength": _LONGEST_NAME, "pattern": _NAME, "not": {"enum": list(RESERVED_NAMES)}})
def _name(value: object) -> str:
    name = str(value)
    if name in RESERVED_NAMES:
        raise Refusal("cannot be the name of an attribute; the context gives it another meaning")
    if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable() or set(name) & {".", "$"}:
        raise Refusal(f"must be a name of 1 to {_LONGEST_NAME} printable characters without . and $")
    return name


ATTRIBUTES = Field(
    "attributes",
    Named(_name, _ATTRIBUTE, most=MAX_ATTRIBUTES),
    "what may be known of a visitor, by name: a type, or an object with one; everything else that is sent is dropped",
)


def read_attributes(document: Fields) -> dict[str, Attribute]:
    """The declared attributes by name, each from its type or from an object with a type."""
    section = document.inner(ATTRIBUTES.name)
    if len(section.values) > MAX_ATTRIBUTES:
        rule = f"attributes are too many; at most {MAX_ATTRIBUTES}"
        document.problems.append(Problem(ATTRIBUTES.name, len(section.values), rule))
        return {}
    return {name: _attribute(section, name) for name in section.values if _is_named_well(section, name)}


def _is_named_well(section: Fields, name: str) -> bool:
    try:
        _name(name)
    except Refusal as refusal:
        section.problems.append(Problem(section.path_of(name), name, str(refusal)))
        return False
    return True


def _attribute(section: Fields, name: str) -> Attribute:
    if isinstance(section.values[name], dict):
        return _described_attribute(section.inner(name))
    return Attribute(section.require(Field(name, _TYPE.shape, ""), "string"))


def _described_attribute(fields: Fields) -> Attribute:
    fields.only(_ANY)
    type_ = fields.require(_TYPE, None)
    store = fields.read(_STORE)
    if not store:
        fields.refuse_given("bands", rule="have no use without store: true")
        fields.refuse_given("prefix", rule="has no use without store: true")
    elif type_ in ("number", "list") and "bands" not in fields.values:
        fields.refuse("bands", f"are required to store a {type_}: as it is, it would tell visitors apart")
    return Attribute(
        type_ or "string", store, _bands(fields, type_) or (), _prefix(fields, type_), fields.find(_SPECIAL)
    )


def _bands(fields: Fields, type_: AttributeType | None) -> tuple[Any, ...] | None:
    if type_ is None:
        return None
    if type_ == "boolean":
        fields.refuse_given("bands", rule="have no use for an attribute of two values")
        return None
    reading: Reading[tuple[Any, ...]] = _edges if type_ == "number" else _kept_texts
    return fields.find(_bands_of(reading, ""))


def _prefix(fields: Fields, type_: AttributeType | None) -> int | None:
    if type_ not in (None, "string", "version"):
        fields.refuse_given("prefix", rule="is of texts only")
        return None
    if "bands" in fields.values:
        fields.refuse_given("prefix", rule="has no use where there are bands")
        return None
    return fields.find(_PREFIX)
