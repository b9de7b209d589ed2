"""The `policy` section: what makes an allocation, how often, within which limits."""

from typing import Literal
from typing import get_args

from experiments.durations import format_duration
from experiments.model import Policy
from experiments.reading.fields import Fields
from experiments.reading.shapes import Cases
from experiments.reading.shapes import Field
from experiments.reading.shapes import Named
from experiments.reading.shapes import Section
from experiments.reading.values import above_zero
from experiments.reading.values import duration
from experiments.reading.values import key
from experiments.reading.values import number
from experiments.reading.values import one_of
from experiments.reading.values import whole

PolicyKind = Literal["fixed", "thompson", "top_two_thompson", "epsilon_greedy", "contextual_thompson"]
Maturity = Literal["observed", "corrected", "matured"]
MAX_MIN_SHARE = 0.5
MAX_BURN_IN = 10**9

_YEAR = 365 * 86_400
KINDS: tuple[PolicyKind, ...] = get_args(PolicyKind)
_MATURITIES: tuple[Maturity, ...] = get_args(Maturity)

_SHARE = number(0, 1)
_KIND = Field("kind", one_of(KINDS), "what moves the weights", default=Policy.kind)
_EVERY = Field("every", duration(1, _YEAR), "how often", default=format_duration(Policy.every_seconds))
_MIN_SHARE = Field(
    "min_share", number(0, MAX_MIN_SHARE), "the least that every arm but the control gets", default=Policy.min_share
)
_BURN_IN = Field(
    "burn_in", whole(0, MAX_BURN_IN), "visitors of every open arm and segment before weights move",
    default=Policy.burn_in,
)
_BURN_IN_CONVERSIONS = Field(
    "burn_in_conversions", whole(0, MAX_BURN_IN), "conversions of a segment before its weights move",
    default=Policy.burn_in_conversions,
)
_MAX_STEP = Field("max_step", above_zero(1), "the most by which an epoch changes a weight", default=Policy.max_step)
_MATURITY = Field(
    "maturity", one_of(_MATURITIES),
    "how visitors with open windows count; without it by the delay curve, as soon as there is one",
)
_SHARES = Field(
    "shares", Named(key, _SHARE), "for the fixed policy: the share of every arm but the control; they sum to 1"
)
_EPSILON = Field("epsilon", _SHARE, "for epsilon_greedy: the share that explores", default=Policy.epsilon)
_HALF_LIFE = Field(
    "half_life", duration(3600, _YEAR), "the age at which what a visitor says counts half; without it always whole"
)
_SHARED = Cases(_KIND, "are for the fixed policy; {} makes its own", must={}, may={"fixed": ("shares",)})
_SECTION = Section(
    "Policy",
    (
        _KIND, _EVERY, _MIN_SHARE, _BURN_IN, _BURN_IN_CONVERSIONS, _MAX_STEP, _MATURITY, _SHARES, _EPSILON,
        _HALF_LIFE,
    ),
    (_SHARED,),
)
POLICY = Field("policy", _SECTION, "what makes an allocation; without it even shares that stay")


def read_policy(document: Fields) -> Policy:
    """The policy; without the section the fixed one with even shares."""
    fields = document.inner(POLICY.name)
    fields.only(_SECTION)
    kind = fields.read(_KIND)
    return Policy(
        kind=kind,
        every_seconds=fields.read(_EVERY),
        min_share=fields.read(_MIN_SHARE),
        burn_in=fields.read(_BURN_IN),
        burn_in_conversions=fields.read(_BURN_IN_CONVERSIONS),
        max_step=fields.read(_MAX_STEP),
        maturity=fields.find(_MATURITY),
        shares=_shares(fields, kind),
        epsilon=fields.read(_EPSILON),
        half_life_seconds=fields.find(_HALF_LIFE),
    )


def _shares(fields: Fields, kind: PolicyKind) -> dict[str, float] | None:
    if _SHARES.name in _SHARED.foreign(kind):
        fields.refuse_given(_SHARES.name, rule=_SHARED.rule.format(kind))
        return None
    if _SHARES.name not in fields.values:
        return None
    section = fields.inner(_SHARES.name)
    return {name: section.require(Field(name, _SHARE, ""), 0.0) for name in section.values}
