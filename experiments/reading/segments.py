"""The `segments` section: who gets what, by rule, the first that holds."""

from typing import Literal
from typing import get_args

from experiments.model import EVERYONE_ELSE
from experiments.model import NO_PERSONALISATION
from experiments.model import Segment
from experiments.reading.fields import Fields
from experiments.reading.shapes import Field
from experiments.reading.shapes import Items
from experiments.reading.shapes import Refusal
from experiments.reading.shapes import Section
from experiments.reading.shapes import taking
from experiments.reading.values import any_object
from experiments.reading.values import flag
from experiments.reading.values import iso_date
from experiments.reading.values import key
from experiments.reading.values import line
from experiments.reading.values import one_of
from experiments.reading.values import paragraph

MAX_SEGMENTS = 5_000
MAX_NAME = 200
MAX_LEGAL_BASIS = 1_000
RESERVED_SEGMENTS = (EVERYONE_ELSE, NO_PERSONALISATION)
SegmentKind = Literal["demographic", "geographic", "psychographic", "behavioral", "firmographic"]
_KINDS: tuple[SegmentKind, ...] = get_args(SegmentKind)


@taking({**key.schema, "not": {"enum": list(RESERVED_SEGMENTS)}})
def _segment_key(value: object) -> str:
    if value in RESERVED_SEGMENTS:
        raise Refusal(f"is reserved; {' and '.join(RESERVED_SEGMENTS)} are always there")
    return key(value)


_KEY = Field("key", _segment_key, "what reports and arms call the segment by", is_required=True)
_NAME = Field("name", line(MAX_NAME), "a name for people; the key without one")
_KIND = Field("kind", one_of(_KINDS), "what the rule looks at", is_required=True)
_RULE = Field("rule", any_object, "a condition on declared attributes, as GrowthBook writes them", is_required=True)
_REVIEW_BY = Field("review_by", iso_date, "the day by which somebody looks whether the segment still makes sense")
_SPECIAL = Field("special", flag, "whether it is of a special category of personal data; its words tell where unsaid")
_LEGAL_BASIS = Field("legal_basis", paragraph(MAX_LEGAL_BASIS), "on which such a segment may be made; required then")
SEGMENTS = Field(
    "segments",
    Items(Section("Segment", (_KEY, _NAME, _KIND, _RULE, _REVIEW_BY, _SPECIAL, _LEGAL_BASIS)), most=MAX_SEGMENTS),
    "in order: a visitor belongs to the first whose rule holds",
)


def read_segments(document: Fields) -> tuple[Segment, ...]:
    """The segments in order; their rules are checked once the attributes are known."""
    return tuple(map(_segment, document.items(SEGMENTS)))


def _segment(fields: Fields) -> Segment:
    segment_key = fields.require(_KEY, "")
    return Segment(
        key=segment_key,
        name=fields.read(_NAME, segment_key),
        kind=fields.require(_KIND, _KINDS[0]),
        rule=fields.require(_RULE, {}),
        review_by=fields.find(_REVIEW_BY),
        special=fields.find(_SPECIAL),
        legal_basis=fields.find(_LEGAL_BASIS),
    )
