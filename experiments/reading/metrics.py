"""The `metrics` section: what is counted per visitor, and for what."""

from decimal import Decimal
from typing import Literal
from typing import get_args

from experiments.currency import minor_digits
from experiments.metric_kinds import METRIC_KINDS
from experiments.metric_kinds import MetricKind
from experiments.metric_kinds import MetricUnit
from experiments.model import Metric
from experiments.model import MetricRole
from experiments.reading.arms import EXTRA_DECIMALS
from experiments.reading.fields import Fields
from experiments.reading.shapes import Cases
from experiments.reading.shapes import Field
from experiments.reading.shapes import Items
from experiments.reading.shapes import Refusal
from experiments.reading.shapes import Section
from experiments.reading.shapes import narrowed
from experiments.reading.shapes import taking
from experiments.reading.values import above_zero
from experiments.reading.values import decimals
from experiments.reading.values import duration
from experiments.reading.values import key
from experiments.reading.values import line
from experiments.reading.values import money
from experiments.reading.values import number
from experiments.reading.values import one_of

MAX_METRICS = 100
MAX_CAP = 10**6
#: What announces an exposure, so no metric can count it.
EXPOSURE_EVENT = "Experiment Viewed"

_KINDS: tuple[MetricKind, ...] = get_args(MetricKind)
_ROLES: tuple[MetricRole, ...] = get_args(MetricRole)
_DIRECTIONS: tuple[Literal["increase", "decrease"], ...] = ("increase", "decrease")
_SOURCES: tuple[Literal["any", "server"], ...] = ("any", "server")
_DURATION = duration(1, 365 * 86_400)


@taking({**line(200).schema, "not": {"const": EXPOSURE_EVENT}})
def _event(value: object) -> str:
    if value == EXPOSURE_EVENT:
        raise Refusal("is the exposure itself, and no outcome")
    return line(200)(value)


_KEY = Field("key", key, "what reports call the metric by", is_required=True)
_EVENT = Field("event", _event, "the event that feeds it", is_required=True)
_KIND = Field("kind", one_of(_KINDS), "what is counted per visitor", is_required=True)
_ROLE = Field("role", one_of(_ROLES), "what for; exactly one metric is the goal", is_required=True)
_WINDOW = Field("window", _DURATION, "how long after the exposure events count", default="14d")
_DIRECTION = Field("direction", one_of(_DIRECTIONS), "which way is better", default="increase")
_SOURCE = Field("source", one_of(_SOURCES), "whose events count: anybody's, or those of server keys", default="any")
_LIMIT = Field("limit", above_zero(MAX_CAP), "for guardrails: the rate per visitor that no arm may pass")
_FROM = Field("from", _DURATION, "for retention: when after the exposure counting begins")
_PROPERTY = Field("property", line(100), "for kind value: the property of the event that holds the amount")
_CAP = Field(
    "cap", money(above_zero(MAX_CAP)), "for kinds value and count: the most that counts of one visitor; value needs it"
)
_VALUE = Field("value", money(number(0, MAX_CAP)), "what one is worth, in the currency; not for kind value")
_BY_KIND = Cases(
    _KIND,
    "is not for metrics of kind {}",
    must={kind: said.must for kind, said in METRIC_KINDS.items() if said.must},
    may={kind: said.may for kind, said in METRIC_KINDS.items() if said.may},
)
_BY_ROLE = Cases(_ROLE, "is for guardrails; this metric is {}", must={"guardrail": ("limit",)}, may={})
_SECTION = Section(
    "Metric",
    (_KEY, _EVENT, _KIND, _ROLE, _WINDOW, _DIRECTION, _SOURCE, _LIMIT, _FROM, _PROPERTY, _CAP, _VALUE),
    (_BY_KIND, _BY_ROLE),
)
METRICS = Field("metrics", Items(_SECTION, most=MAX_METRICS, least=1), "what is counted per visitor", is_required=True)


def read_metrics(document: Fields, currency: str) -> tuple[Metric, ...]:
    """The metrics in order, with caps and values in the currency."""
    return tuple(_metric(fields, currency) for fields in document.items(METRICS))


def _metric(fields: Fields, currency: str) -> Metric:
    kind = fields.require(_KIND, None)
    role = fields.require(_ROLE, None)
    return Metric(
        key=fields.require(_KEY, ""),
        event=fields.require(_EVENT, ""),
        kind=kind or "conversion",
        role=role or "secondary",
        window_seconds=fields.read(_WINDOW),
        from_seconds=fields.where(_BY_KIND, kind, _FROM) or 0,
        property=fields.where(_BY_KIND, kind, _PROPERTY),
        cap=_cap(fields, kind, currency),
        value=fields.where(_BY_KIND, kind, narrowed(_VALUE, decimals(minor_digits(currency) + EXTRA_DECIMALS))),
        direction=fields.read(_DIRECTION),
        source=fields.read(_SOURCE),
        limit=fields.where(_BY_ROLE, role, narrowed(_LIMIT, _rate) if _is(kind, "rate") else _LIMIT),
    )


def _cap(fields: Fields, kind: MetricKind | None, currency: str) -> Decimal | None:
    """What is counted has no cents."""
    digits = 0 if _is(kind, "count") else minor_digits(currency)
    return fields.where(_BY_KIND, kind, narrowed(_CAP, decimals(digits)))


def _is(kind: MetricKind | None, unit: MetricUnit) -> bool:
    return kind is not None and METRIC_KINDS[kind].unit == unit


def _rate(limit: float) -> float:
    """A visitor who counts once cannot exceed 1."""
    return number(0, 1)(limit)
