"""The `arms` section: what can be shown, to whom, and what showing it costs."""

from decimal import Decimal
from typing import get_args

from experiments.currency import minor_digits
from experiments.model import Arm
from experiments.model import Role
from experiments.model import Tier
from experiments.reading.fields import Fields
from experiments.reading.segments import MAX_SEGMENTS
from experiments.reading.segments import any_object
from experiments.reading.values import Refusal
from experiments.reading.values import channel
from experiments.reading.values import key
from experiments.reading.values import money
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


def read_arms(document: Fields, currency: str) -> tuple[Arm, ...]:
    """The arms in order, with costs in the currency."""
    return tuple(_arm(fields, currency) for fields in document.items("arms", most=MAX_ARMS))


def _arm(fields: Fields, currency: str) -> Arm:
    fields.only("key", "role", "segments", "channel", "message", "cost_per_exposure", "fixed_cost")
    decimals = minor_digits(currency) + EXTRA_DECIMALS
    role = fields.require("role", one_of(_ROLES), None)
    return Arm(
        key=fields.require("key", key, ""),
        role=role or "mass",
        segments=_segments(fields, role),
        channel=fields.read("channel", channel, None),
        message=fields.read("message", _empty_object if role == "control" else any_object, {}),
        tiers=_tiers(fields, decimals),
        fixed_cost=fields.read("fixed_cost", money(0, MAX_FIXED_COST, decimals=decimals), Decimal(0)),
    )


def _segments(fields: Fields, role: Role | None) -> tuple[str, ...]:
    if role == "tailored":
        return fields.require("segments", _named_segments, ())
    if role is not None:
        fields.refuse_given("segments", rule=f"are for tailored arms; a {role} arm is open to everybody")
    return ()


def _named_segments(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_SEGMENTS:
        raise Refusal("must be a list of one segment's key or more")
    if not all(isinstance(name, str) for name in value):
        raise Refusal("must be a list of keys of segments")
    if len(set(value)) < len(value):
        raise Refusal("must not name a segment twice")
    return tuple(value)


def _empty_object(value: object) -> dict[str, object]:
    if value != {}:
        raise Refusal("must be {} for a control arm, which shows nothing")
    return {}


def _tiers(fields: Fields, decimals: int) -> tuple[Tier, ...]:
    if not isinstance(fields.values.get("cost_per_exposure"), list):
        cost = fields.read("cost_per_exposure", money(0, MAX_COST, decimals=decimals), Decimal(0))
        return (Tier(0, cost),)
    faults_before = len(fields.problems)
    tiers = tuple(_tier(item, decimals) for item in fields.items("cost_per_exposure", most=MAX_TIERS))
    if len(fields.problems) == faults_before and not _ascend_from_zero(tiers):
        fields.refuse("cost_per_exposure", "must be tiers of which the first is from 0 and each further one from more")
    return tiers or _FREE


def _ascend_from_zero(tiers: tuple[Tier, ...]) -> bool:
    starts = [tier.start for tier in tiers]
    return starts[:1] == [0] and sorted(set(starts)) == starts


def _tier(fields: Fields, decimals: int) -> Tier:
    fields.only("from", "cost")
    start = fields.require("from", whole(0, _LARGEST_COUNT), 0)
    return Tier(start, fields.require("cost", money(0, MAX_COST, decimals=decimals), Decimal(0)))
