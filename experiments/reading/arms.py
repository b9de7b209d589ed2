"""The `arms` section: what can be shown, to whom, and what showing it costs."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from typing import get_args

from experiments.currency import minor_digits
from experiments.model import Arm
from experiments.model import Role
from experiments.model import Tier
from experiments.reading.fields import Fields
from experiments.reading.segments import MAX_SEGMENTS
from experiments.reading.shapes import Cases
from experiments.reading.shapes import Either
from experiments.reading.shapes import Field
from experiments.reading.shapes import Items
from experiments.reading.shapes import Refusal
from experiments.reading.shapes import Section
from experiments.reading.shapes import narrowed
from experiments.reading.shapes import taking
from experiments.reading.values import any_object
from experiments.reading.values import channel
from experiments.reading.values import decimals
from experiments.reading.values import key
from experiments.reading.values import money
from experiments.reading.values import number
from experiments.reading.values import one_of
from experiments.reading.values import whole

MAX_ARMS = 1_000
MAX_TIERS = 20
MAX_COST = 10**6
MAX_FIXED_COST = 10**12
#: Per-visitor profit resolves a ten-thousandth of the minor unit: four decimals more than the currency has.
EXTRA_DECIMALS = 4
_LARGEST_COUNT = 10**10
_ROLES: tuple[Role, ...] = get_args(Role)
_FREE = (Tier(0, Decimal(0)),)


@taking({"type": "array", "items": key.schema, "minItems": 1, "maxItems": MAX_SEGMENTS, "uniqueItems": True})
def _named_segments(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_SEGMENTS:
        raise Refusal("must be a list of one segment's key or more")
    if not all(isinstance(name, str) for name in value):
        raise Refusal("must be a list of keys of segments")
    if len(set(value)) < len(value):
        raise Refusal("must not name a segment twice")
    return tuple(value)


_KEY = Field("key", key, "what reports and answers call the arm by", is_required=True)
_ROLE = Field(
    "role", one_of(_ROLES), "control shows nothing, mass is for everybody, tailored for its segments", is_required=True
)
_SEGMENTS = Field("segments", _named_segments, "for tailored arms: the keys of the segments that may get it")
_CHANNEL = Field("channel", channel, "where the message goes, and so how values in it are escaped: web, email, …")
_MESSAGE = Field("message", any_object, "any object; texts in it are Liquid templates; a control's is {}", default={})
_PRICE = money(number(0, MAX_COST))
_FROM = Field("from", whole(0, _LARGEST_COUNT), "the first exposure at this cost; at first 0", is_required=True)
_COST = Field("cost", _PRICE, "what one exposure costs from there on", is_required=True)
_TIERS = Items(Section("Tier", (_FROM, _COST)), most=MAX_TIERS, least=1)
_COST_PER_EXPOSURE = Field(
    "cost_per_exposure", Either((_PRICE, _TIERS)), "one cost, or tiers that ascend by exposures", default=0
)
_FIXED_COST = Field("fixed_cost", money(number(0, MAX_FIXED_COST)), "what making the message costs once", default=0)
_BY_ROLE = Cases(
    _ROLE, "are for tailored arms; a {} arm is open to everybody", must={"tailored": ("segments",)}, may={}
)
_SECTION = Section(
    "Arm", (_KEY, _ROLE, _SEGMENTS, _CHANNEL, _MESSAGE, _COST_PER_EXPOSURE, _FIXED_COST), (_BY_ROLE,)
)
ARMS = Field(
    "arms", Items(_SECTION, most=MAX_ARMS, least=1), "what can be shown; at least one is of role mass", is_required=True
)


def read_arms(document: Fields, currency: str) -> tuple[Arm, ...]:
    """The arms in order, with costs in the currency."""
    exact = decimals(minor_digits(currency) + EXTRA_DECIMALS)
    return tuple(_arm(fields, exact) for fields in document.items(ARMS))


def _arm(fields: Fields, exact: Callable[[Decimal], Decimal]) -> Arm:
    role = fields.require(_ROLE, None)
    return Arm(
        key=fields.require(_KEY, ""),
        role=role or "mass",
        segments=fields.where(_BY_ROLE, role, _SEGMENTS) or (),
        channel=fields.find(_CHANNEL),
        message=fields.read(narrowed(_MESSAGE, _nothing) if role == "control" else _MESSAGE),
        tiers=_tiers(fields, exact),
        fixed_cost=fields.read(narrowed(_FIXED_COST, exact)),
    )


def _nothing(message: dict[str, Any]) -> dict[str, Any]:
    if message:
        raise Refusal("must be {} for a control arm, which shows nothing")
    return message


def _tiers(fields: Fields, exact: Callable[[Decimal], Decimal]) -> tuple[Tier, ...]:
    name = _COST_PER_EXPOSURE.name
    if not isinstance(fields.values.get(name), list):
        return (Tier(0, fields.read(narrowed(Field(name, _PRICE, "", default=0), exact))),)
    faults_before = len(fields.problems)
    tiers = tuple(_tier(item, exact) for item in fields.items(Field(name, _TIERS, "")))
    if len(fields.problems) == faults_before and not _ascend_from_zero(tiers):
        fields.refuse(name, "must be tiers of which the first is from 0 and each further one from more")
    return tiers or _FREE


def _ascend_from_zero(tiers: tuple[Tier, ...]) -> bool:
    starts = [tier.start for tier in tiers]
    return starts[:1] == [0] and sorted(set(starts)) == starts


def _tier(fields: Fields, exact: Callable[[Decimal], Decimal]) -> Tier:
    return Tier(fields.require(_FROM, 0), fields.require(narrowed(_COST, exact), Decimal(0)))
