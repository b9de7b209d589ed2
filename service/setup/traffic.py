"""What recent traffic says of a set-up: how large its segments are, and visitors like those who come. Pure."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from experiments.fits import SegmentFit
from experiments.fits import Typical
from experiments.fits import fits_of
from experiments.fits import typical_visitors
from experiments.model import Attribute
from experiments.reading.attributes import read_attributes
from experiments.reading.fields import Fields
from experiments.recent import Context
from experiments.recent import RecentTraffic
from experiments.rules.checks import check_rule
from experiments.times import iso
from service.setup.form import document_of
from service.setup.kinds import Sheet
from service.wording import count
from service.wording import moment
from service.wording import share

#: So many visitors are offered to write the messages for.
_SAMPLES = 5
_NOBODY = (
    "No recent traffic yet: once visitors are evaluated, how large each segment is and how far they overlap stands "
    "here."
)
_OFF = "How large each segment is and how far they overlap is not known: BESPOKE_RECENT_TRAFFIC is 0."


class SegmentsView(NamedTuple):
    """What stands above the segments, and beside each of them."""

    words: str
    notes: tuple[str, ...]


class Samples(NamedTuple):
    """Visitors to choose a sample from, in words, and the one that is chosen: 0 is nobody, its attributes are none."""

    words: tuple[str, ...]
    chosen: int
    attributes: Mapping[str, Any]


def segments_view(sheet: Sheet, recent: RecentTraffic, *, min_cell: int) -> SegmentsView:
    """How the segments of a form fit recent traffic."""
    rows, attributes = sheet["segments"], _attributes(sheet)
    # Without rows what stands there may be anything, kept as JSON.
    segments = document_of(sheet).document["segments"] if rows else []
    fits = fits_of([_rule(segment, attributes) for segment in segments], attributes, recent.contexts())
    if fits is None:
        return SegmentsView(_NOBODY if recent.is_on else _OFF, ("",) * len(rows))

    def part(n: int) -> str:
        return f"fewer than {min_cell}" if n < min_cell else share(n / fits.contexts)

    words = (
        f"Recent traffic: {count(fits.contexts)} visitors evaluated since {moment(iso(fits.since_ms))}, as often as "
        f"they came. Of them {part(fits.several)} fit several segments, and {part(fits.none)} fit none."
    )
    names = [row["name"] or row["key"] for row in rows]
    return SegmentsView(words, tuple("" if fit is None else _note(fit, part, names) for fit in fits.segments))


def _note(fit: SegmentFit, part: Any, names: Sequence[str]) -> str:
    if fit.taker is None:
        return f"{part(fit.fits)} of recent traffic"
    return f"{part(fit.fits)} of recent traffic fit; left: {part(fit.left)}, since most others go to {names[fit.taker]}"


def samples(sheet: Sheet, contexts: Sequence[Context], *, wanted: int | None, min_cell: int) -> Samples:
    """The visitors to choose from; without a wish the commonest."""
    found = typical_visitors(contexts, _attributes(sheet), min_cell=min_cell, most=_SAMPLES)
    chosen = min(1 if wanted is None else wanted, len(found))
    return Samples(tuple(map(_sample_words, found)), chosen, found[chosen - 1].attributes if chosen else {})


def _sample_words(typical: Typical) -> str:
    known = ", ".join(f"{name} {_value_words(value)}" for name, value in typical.attributes.items())
    return f"{known} ({count(typical.contexts)} came)"


def _value_words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(_value_words, value)) if isinstance(value, list) else str(value)


def _attributes(sheet: Sheet) -> dict[str, Attribute]:
    return dict(read_attributes(Fields(document_of(sheet).document, "", [])))


def _rule(segment: Mapping[str, Any], attributes: Mapping[str, Attribute]) -> Mapping[str, Any] | None:
    """The rule of a segment; None where it is not one yet."""
    rule = segment.get("rule")
    return rule if isinstance(rule, dict) and not check_rule(rule, attributes, "rule") else None
