"""What may change in the document of an experiment that has started, and what may not.

Free: name, hypothesis, audience, policy (a new epoch follows), what is said of the impact of decisions, the segments'
names, review dates and legal bases, and further arms.
Frozen: everything else, since figures from before and after would not be of the same thing.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import fields
from dataclasses import is_dataclass
from decimal import Decimal
from typing import Any

from experiments.errors import Problem
from experiments.model import Arm
from experiments.model import Experiment
from experiments.model import Metric
from experiments.model import Segment

_FROZEN = ("key", "objective", "control_share", "currency", "local_evaluation", "frequency")
_FREE_IN_SEGMENTS = ("name", "review_by", "special", "legal_basis")
_WRITTEN_NAMES = {"window_seconds": "window", "from_seconds": "from", "tiers": "cost_per_exposure"}
_RULE = "cannot be changed once the experiment has started"

_Item = Segment | Arm | Metric


def changes_while_started(old: Experiment, new: Experiment) -> list[Problem]:
    """The changes from `old` to `new` that a running or paused experiment does not allow, each by its path in `new`."""
    return [
        *_frozen_fields(old, new),
        *_frozen_items("segments", old.segments, new.segments, free=_FREE_IN_SEGMENTS),
        *_frozen_arms(old, new),
        *_frozen_items("metrics", old.metrics, new.metrics),
    ]


def _frozen_fields(old: Experiment, new: Experiment) -> Iterator[Problem]:
    for name in _FROZEN:
        if getattr(old, name) != getattr(new, name):
            yield Problem(name, getattr(new, name), _RULE)
    if old.is_contextual != new.is_contextual:
        rule = f"{_RULE} to or from contextual_thompson: visitors are counted by context, or are not"
        yield Problem("policy.kind", new.policy.kind, rule)
    for name in {**old.attributes, **new.attributes}:
        if old.attributes.get(name) != new.attributes.get(name):
            yield Problem(f"attributes.{name}", _written(new.attributes.get(name)), _RULE)


def _frozen_items(
    section: str, old: Sequence[_Item], new: Sequence[_Item], *, free: tuple[str, ...] = ()
) -> Iterator[Problem]:
    if _keys(old) != _keys(new):
        yield Problem(section, _keys(new), f"{_RULE}: must stay {', '.join(_keys(old)) or 'empty'}, in this order")
        return
    for index, (before, after) in enumerate(zip(old, new, strict=True)):
        yield from _differences(f"{section}[{index}]", before, after, free=free)


def _frozen_arms(old: Experiment, new: Experiment) -> Iterator[Problem]:
    staying = [arm.key for arm in new.arms if arm.key in old.arm_by_key]
    if staying != _keys(old.arms):
        rule = f"cannot lose or reorder arms once the experiment has started: {', '.join(_keys(old.arms))}"
        yield Problem("arms", _keys(new.arms), rule)
    elif new.first_mass.key != old.first_mass.key:
        rule = f"cannot come before {old.first_mass.key}, the reference of all gains"
        yield Problem("arms", new.first_mass.key, rule)
    for index, arm in enumerate(new.arms):
        if arm.key in old.arm_by_key:
            yield from _differences(f"arms[{index}]", old.arm_by_key[arm.key], arm)


def _keys(items: Iterable[_Item]) -> list[str]:
    return [item.key for item in items]


def _differences(path: str, old: _Item, new: _Item, *, free: tuple[str, ...] = ()) -> Iterator[Problem]:
    for name in (field.name for field in fields(old) if field.name not in free):
        if not is_same(getattr(old, name), getattr(new, name)):
            yield Problem(f"{path}.{_WRITTEN_NAMES.get(name, name)}", _written(getattr(new, name)), _RULE)


def is_same(old: Any, new: Any) -> bool:
    """Equality of JSON: to Python true equals 1, in a rule they are two."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(is_same(old[name], new[name]) for name in old)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(is_same, old, new))
    return isinstance(old, bool) == isinstance(new, bool) and bool(old == new)


def _written(value: Any) -> Any:
    """A value of the model about as the document writes it."""
    if isinstance(value, Decimal):
        return float(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _written(inner) for name, inner in asdict(value).items()}
    return [_written(inner) for inner in value] if isinstance(value, tuple) else value
