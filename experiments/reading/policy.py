"""The `policy` section: what makes an allocation, how often, within which limits."""

from typing import Literal
from typing import get_args

from experiments.model import Policy
from experiments.reading.fields import Fields
from experiments.reading.values import Refusal
from experiments.reading.values import above_zero
from experiments.reading.values import duration
from experiments.reading.values import number
from experiments.reading.values import one_of
from experiments.reading.values import whole

PolicyKind = Literal["fixed", "thompson", "top_two_thompson", "epsilon_greedy"]
Maturity = Literal["observed", "corrected", "matured"]
MAX_MIN_SHARE = 0.5
MAX_BURN_IN = 10**9

KINDS: tuple[PolicyKind, ...] = get_args(PolicyKind)
_MATURITIES: tuple[Maturity, ...] = get_args(Maturity)
#: Named by the contract for later, so refused by another sentence than a misspelling.
_LATER = ("contextual_thompson",)
_FIELDS = (
    "kind", "every", "min_share", "burn_in", "burn_in_conversions", "max_step", "maturity", "shares", "epsilon",
    "half_life",
)


def read_policy(document: Fields) -> Policy:
    """The policy; without the section the fixed one with even shares."""
    fields = document.inner("policy")
    fields.only(*_FIELDS)
    kind = fields.read("kind", _kind, Policy.kind)
    return Policy(
        kind=kind,
        every_seconds=fields.read("every", duration(1, 365 * 86_400), Policy.every_seconds),
        min_share=fields.read("min_share", number(0, MAX_MIN_SHARE), Policy.min_share),
        burn_in=fields.read("burn_in", whole(0, MAX_BURN_IN), Policy.burn_in),
        burn_in_conversions=fields.read("burn_in_conversions", whole(0, MAX_BURN_IN), Policy.burn_in_conversions),
        max_step=fields.read("max_step", above_zero(1), Policy.max_step),
        maturity=fields.read("maturity", one_of(_MATURITIES), Policy.maturity),
        shares=_shares(fields, kind),
        epsilon=fields.read("epsilon", number(0, 1), Policy.epsilon),
        half_life_seconds=fields.read("half_life", duration(3600, 365 * 86_400), Policy.half_life_seconds),
    )


def _kind(value: object) -> PolicyKind:
    if value in _LATER:
        raise Refusal("is not available yet")
    return one_of(KINDS)(value)


def _shares(fields: Fields, kind: PolicyKind) -> dict[str, float] | None:
    if "shares" not in fields.values:
        return None
    if kind != "fixed":
        fields.refuse_given("shares", rule=f"are for the fixed policy; {kind} makes its own")
        return None
    section = fields.inner("shares")
    return {name: section.require(name, number(0, 1), 0.0) for name in section.values}
