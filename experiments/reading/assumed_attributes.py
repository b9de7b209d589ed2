"""The `attributes` section of assumptions: what is assumed of stored attributes, by the values that are kept."""

from experiments.contexts import kept_values
from experiments.model import Experiment
from experiments.reading.fields import Fields
from experiments.reading.shapes import Field
from experiments.reading.shapes import Named
from experiments.reading.shapes import Section
from experiments.reading.values import key
from experiments.reading.values import number
from experiments.simulation.context_world import AssumedValue
from experiments.simulation.context_world import kept_name

MAX_GAIN = 100.0
_TOLERANCE = 1e-6

_SHARE = Field("share", number(0, 1), "of the visitors; those of an attribute sum to 1")
_GAIN = number(-1, MAX_GAIN)
_UPLIFT = Field("uplift", Named(key, _GAIN), "by arm, what it gains over the segment's rate, as a share of it")
_VALUE = Section("Assumed value", (_SHARE, _UPLIFT))

ATTRIBUTES = Field(
    "attributes", Named(key, Named(key, _VALUE)), "of each stored attribute, by kept value: its share, and its uplifts"
)


def read_assumed_attributes(fields: Fields, experiment: Experiment) -> dict[str, dict[str, AssumedValue]]:
    """Every stored attribute by its kept values, which are equally likely and without effect where nothing is said."""
    if not experiment.is_contextual:
        rule = f"are for policy.kind contextual_thompson; this policy is {experiment.policy.kind}"
        fields.refuse_given(ATTRIBUTES.name, rule=rule)
        return {}
    section = fields.inner(ATTRIBUTES.name)
    stored = [name for name, attribute in experiment.attributes.items() if attribute.store]
    section.only(Section("Attributes", tuple(Field(name, ATTRIBUTES.shape.shape, "") for name in stored)))
    return {name: _attribute(section, experiment, name) for name in stored}


def _attribute(section: Fields, experiment: Experiment, name: str) -> dict[str, AssumedValue]:
    row = section.inner(name)
    names = [kept_name(kept) for kept in kept_values(experiment.attributes[name])]
    row.only(Section("Values", tuple(Field(kept, _VALUE, "") for kept in names)))
    faults_before, rest = len(row.problems), _rest(row, names)
    found = {kept: _value(row.inner(kept), experiment, rest=rest) for kept in names}
    total = sum(value.share for value in found.values())
    if len(row.problems) == faults_before and abs(total - 1) > _TOLERANCE:
        section.refuse(name, f"has shares that sum to {total:.6g}, must be 1")
    return found


def _rest(row: Fields, names: list[str]) -> float:
    """The share of each value of which none is given: an equal part of what the others leave."""
    given = [row.values[kept]["share"] for kept in names if _has_share(row.values.get(kept))]
    numbers = [share for share in given if isinstance(share, (int, float))]
    return max(1 - sum(numbers), 0.0) / max(len(names) - len(given), 1)


def _has_share(value: object) -> bool:
    return isinstance(value, dict) and _SHARE.name in value


def _value(fields: Fields, experiment: Experiment, *, rest: float) -> AssumedValue:
    fields.only(_VALUE)
    uplifts = fields.inner(_UPLIFT.name)
    uplifts.only(Section("Uplift", tuple(Field(arm.key, _GAIN, "") for arm in experiment.arms)))
    gains = {arm.key: uplifts.find(Field(arm.key, _GAIN, "")) for arm in experiment.arms}
    return AssumedValue(fields.read(_SHARE, rest), {arm: gain for arm, gain in gains.items() if gain is not None})
