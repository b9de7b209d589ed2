"""The `metrics` section: what is counted per visitor, and for what."""

from decimal import Decimal
from typing import Literal
from typing import get_args

from experiments.currency import minor_digits
from experiments.model import Metric
from experiments.model import MetricKind
from experiments.model import MetricRole
from experiments.reading.arms import EXTRA_DECIMALS
from experiments.reading.fields import Fields
from experiments.reading.values import Reading
from experiments.reading.values import Refusal
from experiments.reading.values import above_zero
from experiments.reading.values import duration
from experiments.reading.values import key
from experiments.reading.values import line
from experiments.reading.values import money
from experiments.reading.values import money_above_zero
from experiments.reading.values import one_of

MAX_METRICS = 100
MAX_CAP = 10**6
#: What announces an exposure, so no metric can count it.
EXPOSURE_EVENT = "Experiment Viewed"

_DAY = 86_400
_KINDS: tuple[MetricKind, ...] = get_args(MetricKind)
_ROLES: tuple[MetricRole, ...] = get_args(MetricRole)
_DIRECTIONS: tuple[Literal["increase", "decrease"], ...] = ("increase", "decrease")
_SOURCES: tuple[Literal["any", "server"], ...] = ("any", "server")
_COMMON = ("key", "event", "kind", "role", "window", "direction", "source", "limit")
#: The fields that only some kinds have.
_OWN: dict[MetricKind, tuple[str, ...]] = {
    "conversion": ("value",),
    "count": ("value", "cap"),
    "value": ("property", "cap"),
    "retention": ("value", "from"),
}
_SPECIAL = ("from", "property", "cap", "value")
_WINDOW = duration(1, 365 * _DAY)


def read_metrics(document: Fields, currency: str) -> tuple[Metric, ...]:
    """The metrics in order, with caps and values in the currency."""
    return tuple(_metric(fields, currency) for fields in document.items("metrics", most=MAX_METRICS))


def _metric(fields: Fields, currency: str) -> Metric:
    fields.only(*_COMMON, *_SPECIAL)
    kind = fields.require("kind", one_of(_KINDS), None)
    role = fields.require("role", one_of(_ROLES), None)
    _refuse_foreign(fields, kind)
    return Metric(
        key=fields.require("key", key, ""),
        event=fields.require("event", _event, ""),
        kind=kind or "conversion",
        role=role or "secondary",
        window_seconds=fields.read("window", _WINDOW, 14 * _DAY),
        from_seconds=fields.require("from", _WINDOW, 0) if kind == "retention" else 0,
        property=_property(fields, kind),
        cap=_cap(fields, kind, currency),
        value=fields.read("value", money(0, MAX_CAP, decimals=minor_digits(currency) + EXTRA_DECIMALS), None),
        direction=fields.read("direction", one_of(_DIRECTIONS), "increase"),
        source=fields.read("source", one_of(_SOURCES), "any"),
        limit=_limit(fields, kind, role),
    )


def _refuse_foreign(fields: Fields, kind: MetricKind | None) -> None:
    if kind is not None:
        foreign = (name for name in _SPECIAL if name not in _OWN[kind])
        fields.refuse_given(*foreign, rule=f"is not for metrics of kind {kind}")


def _event(value: object) -> str:
    if value == EXPOSURE_EVENT:
        raise Refusal("is the exposure itself, and no outcome")
    return line(200)(value)


def _property(fields: Fields, kind: MetricKind | None) -> str | None:
    return fields.require("property", line(100), None) if kind == "value" else None


def _cap(fields: Fields, kind: MetricKind | None, currency: str) -> Decimal | None:
    if kind == "value":
        return fields.require("cap", money_above_zero(MAX_CAP, decimals=minor_digits(currency)), None)
    if kind == "count":
        return fields.read("cap", money_above_zero(MAX_CAP, decimals=0), None)
    return None


def _limit(fields: Fields, kind: MetricKind | None, role: MetricRole | None) -> float | None:
    if role == "guardrail":
        return fields.require("limit", _rate(kind), None)
    if role is not None:
        fields.refuse_given("limit", rule=f"is for guardrails; this metric is {role}")
    return None


def _rate(kind: MetricKind | None) -> Reading[float]:
    """A rate per visitor; one that counts a visitor once cannot exceed 1."""
    return above_zero(1 if kind in ("conversion", "retention") else MAX_CAP)
