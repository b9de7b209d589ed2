"""The `segments` section: who gets what, by rule, the first that holds."""

from typing import Any
from typing import Literal
from typing import get_args

from experiments.model import EVERYONE_ELSE
from experiments.model import NO_PERSONALISATION
from experiments.model import Segment
from experiments.reading.fields import Fields
from experiments.reading.values import Refusal
from experiments.reading.values import iso_date
from experiments.reading.values import key
from experiments.reading.values import line
from experiments.reading.values import one_of

MAX_SEGMENTS = 5_000
MAX_NAME = 200
RESERVED_SEGMENTS = (EVERYONE_ELSE, NO_PERSONALISATION)
SegmentKind = Literal["demographic", "geographic", "psychographic", "behavioral", "firmographic"]
_KINDS: tuple[SegmentKind, ...] = get_args(SegmentKind)


def read_segments(document: Fields) -> tuple[Segment, ...]:
    """The segments in order; their rules are checked once the attributes are known."""
    return tuple(map(_segment, document.items("segments", most=MAX_SEGMENTS)))


def _segment(fields: Fields) -> Segment:
    fields.only("key", "name", "kind", "rule", "review_by")
    segment_key = fields.require("key", _segment_key, "")
    return Segment(
        key=segment_key,
        name=fields.read("name", line(MAX_NAME), segment_key),
        kind=fields.require("kind", one_of(_KINDS), _KINDS[0]),
        rule=fields.require("rule", any_object, {}),
        review_by=fields.read("review_by", iso_date, None),
    )


def _segment_key(value: object) -> str:
    if value in RESERVED_SEGMENTS:
        raise Refusal(f"is reserved; {' and '.join(RESERVED_SEGMENTS)} are always there")
    return key(value)


def any_object(value: object) -> dict[str, Any]:
    """A JSON object, whose inside is checked elsewhere."""
    if not isinstance(value, dict):
        raise Refusal("must be an object")
    return value
