"""The `frequency` section: how often a visitor is written to, and what it costs where that is too often."""

from decimal import Decimal

from experiments.currency import minor_digits
from experiments.model import Frequency
from experiments.reading.arms import EXTRA_DECIMALS
from experiments.reading.fields import Fields
from experiments.reading.metrics import MAX_CAP
from experiments.reading.shapes import Field
from experiments.reading.shapes import Named
from experiments.reading.shapes import Reading
from experiments.reading.shapes import Refusal
from experiments.reading.shapes import Section
from experiments.reading.shapes import narrowed
from experiments.reading.shapes import taking
from experiments.reading.values import decimals
from experiments.reading.values import duration
from experiments.reading.values import key
from experiments.reading.values import money
from experiments.reading.values import number
from experiments.reading.values import whole

MAX_EXPOSURES = 1000
MAX_CAPS = 5
_ONE = whole(1, MAX_EXPOSURES)
_LIST = {"type": "array", "items": _ONE.schema, "minItems": 2, "maxItems": MAX_CAPS, "uniqueItems": True}


@taking({"anyOf": [_ONE.schema, _LIST]})
def _caps(value: object) -> tuple[int, ...]:
    """One cap for everybody, or those from which each visitor's is drawn, in order."""
    if not isinstance(value, list):
        return (_ONE(value),)
    if not 2 <= len(value) <= MAX_CAPS:
        raise Refusal(f"must be a number, or a list of 2 to {MAX_CAPS}")
    caps = tuple(sorted(map(_ONE, value)))
    if len(set(caps)) < len(caps):
        raise Refusal("must not repeat")
    return caps


_CAP = Field(
    "cap", _caps, "the most exposures of a visitor in the span; of a list each visitor's own is drawn, evenly and for "
    "good, so that what one more brings can be told", is_required=True,
)
_PER = Field("per", duration(3600, 365 * 86_400), "the span, back from each exposure", is_required=True)
_COST: Reading[Decimal] = money(number(0, MAX_CAP))
_COSTS = Field("costs", Named(key, _COST), "by the keys of metrics, what one of each costs, in the currency")
_SECTION = Section("Frequency", (_CAP, _PER, _COSTS))
FREQUENCY = Field("frequency", _SECTION, "how often a visitor may be exposed; without it there is no cap")


def read_frequency(document: Fields, currency: str) -> Frequency | None:
    """The caps; None without the section."""
    if FREQUENCY.name not in document.values:
        return None
    fields = document.inner(FREQUENCY.name)
    fields.only(_SECTION)
    return Frequency(fields.require(_CAP, (1,)), fields.require(_PER, 1), _costs(fields, currency))


def _costs(fields: Fields, currency: str) -> dict[str, Decimal]:
    section = fields.inner(_COSTS.name)
    rule = decimals(minor_digits(currency) + EXTRA_DECIMALS)
    return {name: section.require(narrowed(Field(name, _COST, ""), rule), Decimal(0)) for name in section.values}
