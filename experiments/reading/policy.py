"""The `policy` section: what makes an allocation, how often, within which limits."""

from collections.abc import Iterator
from collections.abc import Mapping
from functools import cache
from typing import Any
from typing import Literal
from typing import get_args

from experiments.durations import format_duration
from experiments.model import Policy
from experiments.policy_kinds import FIXED
from experiments.policy_kinds import installed_kinds
from experiments.policy_kinds import kind_fault
from experiments.policy_kinds import kind_names
from experiments.reading.fields import Fields
from experiments.reading.shapes import Cases
from experiments.reading.shapes import Field
from experiments.reading.shapes import Named
from experiments.reading.shapes import Reading
from experiments.reading.shapes import Refusal
from experiments.reading.shapes import Schema
from experiments.reading.shapes import Section
from experiments.reading.values import above_zero
from experiments.reading.values import duration
from experiments.reading.values import key
from experiments.reading.values import number
from experiments.reading.values import one_of
from experiments.reading.values import whole

Maturity = Literal["observed", "corrected", "matured"]
MAX_MIN_SHARE = 0.5
MAX_BURN_IN = 10**9

_YEAR = 365 * 86_400
_MATURITIES: tuple[Maturity, ...] = get_args(Maturity)

_SHARE = number(0, 1)
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
_OF_EVERY_KIND = (
    _EVERY, _MIN_SHARE, _BURN_IN, _BURN_IN_CONVERSIONS, _MAX_STEP, _MATURITY, _SHARES, _EPSILON, _HALF_LIFE,
)
#: The problem of a policy that is not installed, which a document that was saved before may have.
KIND_PATH = "policy.kind"


class _PolicySection:
    """The section, with the kinds that are installed and what each takes."""

    @property
    def schema(self) -> Schema:
        """An object that has the fields of its kind and no other."""
        return policy_section().schema


POLICY = Field("policy", _PolicySection(), "what makes an allocation; without it even shares that stay")


@cache
def policy_section() -> Section:
    """The section's fields; those of installed kinds are made when first asked for, since packages bring them."""
    own = {name: found.parameters for name, found in installed_kinds().items() if found.parameters}
    parameters = {one.name: one for fields in own.values() for one in fields}
    return Section("Policy", (_kind_field(), *_OF_EVERY_KIND, *parameters.values()), tuple(_cases(own)))


@cache
def _kind_field() -> Field[Reading[str]]:
    return Field("kind", Reading(_kind, one_of(kind_names()).schema), "what moves the weights", default=Policy.kind)


def _cases(own: Mapping[str, tuple[Field[Reading[Any]], ...]]) -> Iterator[Cases]:
    """What each kind takes that others do not."""
    rule = "are for the fixed policy; {} makes its own"
    yield Cases(_kind_field(), rule, must={}, may={FIXED: (_SHARES.name,)})
    if own:
        must = {kind: tuple(one.name for one in fields if one.is_required) for kind, fields in own.items()}
        may = {kind: tuple(one.name for one in fields) for kind, fields in own.items()}
        yield Cases(_kind_field(), "is for another kind of policy than {}", must=must, may=may)


def _kind(value: object) -> str:
    if not isinstance(value, str):
        return one_of(kind_names())(value)
    if fault := kind_fault(value):
        raise Refusal(fault)
    return value


def read_policy(document: Fields) -> Policy:
    """The policy; without the section the fixed one with even shares."""
    fields, section = document.inner(POLICY.name), policy_section()
    kind = _read_kind(fields)
    if not kind_fault(kind):
        fields.only(section)
        _refuse_foreign(fields, kind, section)
    return Policy(
        kind=kind,
        every_seconds=fields.read(_EVERY),
        min_share=fields.read(_MIN_SHARE),
        burn_in=fields.read(_BURN_IN),
        burn_in_conversions=fields.read(_BURN_IN_CONVERSIONS),
        max_step=fields.read(_MAX_STEP),
        maturity=fields.find(_MATURITY),
        shares=_shares(fields) if kind == FIXED else None,
        epsilon=fields.read(_EPSILON),
        half_life_seconds=fields.find(_HALF_LIFE),
        parameters=_parameters(fields, kind, section),
    )


def _read_kind(fields: Fields) -> str:
    """The kind; one that is not installed stays in the policy, with a problem that says so."""
    written = fields.values.get("kind")
    read = fields.read(_kind_field())
    return written if isinstance(written, str) else read


def _refuse_foreign(fields: Fields, kind: str, section: Section) -> None:
    for cases in section.cases:
        for name in cases.foreign(kind):
            fields.refuse_given(name, rule=cases.rule.format(kind))


def _parameters(fields: Fields, kind: str, section: Section) -> Mapping[str, Any]:
    """What the kind alone takes; of one that is not installed all that is not of every kind."""
    if kind_fault(kind):
        return {name: value for name, value in fields.values.items() if name not in section.names}
    own = installed_kinds()[kind].parameters if kind in installed_kinds() else ()
    found = {one.name: _parameter(fields, one) for one in own}
    return {name: value for name, value in found.items() if value is not None}


def _parameter(fields: Fields, field: Field[Reading[Any]]) -> Any:
    if field.is_required:
        return fields.require(field, None)
    return fields.find(field) if field.default is None else fields.read(field)


def _shares(fields: Fields) -> dict[str, float] | None:
    if _SHARES.name not in fields.values:
        return None
    section = fields.inner(_SHARES.name)
    return {name: section.require(Field(name, _SHARE, ""), 0.0) for name in section.values}
