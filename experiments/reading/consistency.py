"""Rules over several fields, each checked only where the fields it needs were read without fault."""

import re
from collections import Counter
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from fnmatch import fnmatchcase

from experiments.contexts import MOST_COMBINATIONS
from experiments.contexts import combinations
from experiments.errors import Problem
from experiments.messages.message import check_message
from experiments.model import Arm
from experiments.model import EVERYONE_ELSE
from experiments.model import Experiment
from experiments.model import Metric
from experiments.model import Policy
from experiments.model import Segment
from experiments.reading.local_evaluation import local_attributes_mean_the_same
from experiments.reading.local_evaluation import local_payload_fits_a_page
from experiments.rules.checks import check_rule

_INDEX = re.compile(r"\[[0-9]+\]")
_TOLERANCE = 1e-6
_ROUNDING = 1e-9


def inconsistencies(experiment: Experiment, problems: Iterable[Problem]) -> Iterator[Problem]:
    """What does not fit together; `problems` are the faults of single fields found before."""
    faulty = {_INDEX.sub("", problem.field) for problem in problems}
    for needs, rule in _RULES:
        if not any(fnmatchcase(field, need) for field in faulty for need in needs):
            yield from rule(experiment)


def _keys_are_unique(section: str, items: Iterable[Segment | Arm | Metric]) -> Iterator[Problem]:
    seen = set()
    for index, item in enumerate(items):
        if item.key in seen:
            yield Problem(f"{section}[{index}].key", item.key, "is taken already")
        seen.add(item.key)


def _segment_keys_are_unique(experiment: Experiment) -> Iterator[Problem]:
    return _keys_are_unique("segments", experiment.segments)


def _arm_keys_are_unique(experiment: Experiment) -> Iterator[Problem]:
    return _keys_are_unique("arms", experiment.arms)


def _metric_keys_are_unique(experiment: Experiment) -> Iterator[Problem]:
    return _keys_are_unique("metrics", experiment.metrics)


def _some_arm_is_for_everybody(experiment: Experiment) -> Iterator[Problem]:
    if not any(arm.role == "mass" for arm in experiment.arms):
        yield Problem("arms", 0, "arms of role mass; must be at least one")


def _tailored_arms_name_segments_that_exist(experiment: Experiment) -> Iterator[Problem]:
    known = {segment.key for segment in experiment.segments}
    for index, arm in enumerate(experiment.arms):
        for place, name in enumerate(arm.segments):
            if name not in known:
                yield Problem(f"arms[{index}].segments[{place}]", name, "is not the key of a segment here")


def _control_share_has_a_control(experiment: Experiment) -> Iterator[Problem]:
    if experiment.control_share > 0 and not any(experiment.controls()):
        yield Problem("control_share", experiment.control_share, "must be 0 without an arm of role control")


def _one_metric_is_the_goal(experiment: Experiment) -> Iterator[Problem]:
    goals = sum(metric.role == "goal" for metric in experiment.metrics)
    if goals != 1:
        yield Problem("metrics", goals, "goals; must be exactly one")


def _goals(experiment: Experiment) -> Iterator[tuple[str, Metric]]:
    for index, metric in enumerate(experiment.metrics):
        if metric.role == "goal":
            yield f"metrics[{index}]", metric


def _the_goal_is_to_increase(experiment: Experiment) -> Iterator[Problem]:
    for path, goal in _goals(experiment):
        if goal.direction != "increase":
            yield Problem(f"{path}.direction", goal.direction, "is not for a goal; the goal must be to increase")


def _money_objectives_have_money(experiment: Experiment) -> Iterator[Problem]:
    for path, goal in _goals(experiment):
        if experiment.objective != "conversion" and goal.worth is None:
            rule = f"needs a goal of kind value, or a `value` of {path}"
            yield Problem("objective", experiment.objective, rule)


def _local_evaluation_has_a_server_goal(experiment: Experiment) -> Iterator[Problem]:
    for path, goal in _goals(experiment):
        if experiment.local_evaluation and goal.source != "server":
            rule = f"needs source: server at {path}, since its exposures carry no token"
            yield Problem("local_evaluation", experiment.local_evaluation, rule)


def _retention_starts_before_its_window_ends(experiment: Experiment) -> Iterator[Problem]:
    for index, metric in enumerate(experiment.metrics):
        if metric.from_seconds >= metric.window_seconds:
            rule = f"seconds must be before the window's end at {metric.window_seconds}"
            yield Problem(f"metrics[{index}].from", metric.from_seconds, rule)


def _floors_fit(experiment: Experiment) -> Iterator[Problem]:
    policy = experiment.policy
    # The fixed policy has no floor to keep, so the default one is nobody's wish.
    if policy.kind == "fixed" and policy.min_share == Policy.min_share:
        return
    segment, candidates = _most_candidates(experiment)
    if candidates * policy.min_share > 1 - experiment.control_share + _ROUNDING:
        room = f"{1 - experiment.control_share:.6g} beside the control share"
        yield Problem("policy.min_share", policy.min_share, f"times the {candidates} arms of {segment} exceeds {room}")


def _most_candidates(experiment: Experiment) -> tuple[str, int]:
    mass = sum(arm.role == "mass" for arm in experiment.arms)
    tailored = Counter(name for arm in experiment.arms for name in arm.segments)
    segment, most = max(tailored.items(), key=lambda item: item[1], default=(EVERYONE_ELSE, 0))
    return segment, mass + most


def _shares_name_every_candidate(experiment: Experiment) -> Iterator[Problem]:
    shares = experiment.policy.shares or {}
    candidates = {arm.key for arm in experiment.arms if arm.role != "control"}
    for name in shares:
        if name not in candidates:
            yield Problem(f"policy.shares.{name}", name, "is not the key of an arm here that is not control")
    for name in sorted(candidates - shares.keys()):
        yield Problem("policy.shares", name, "has no share; every arm that is not control needs one")


def _shares_sum_to_one(experiment: Experiment) -> Iterator[Problem]:
    shares = experiment.policy.shares or {}
    if abs(sum(shares.values()) - 1) > _TOLERANCE:
        yield Problem("policy.shares", dict(shares), f"sum to {sum(shares.values()):.6g}, must be 1")


def _contexts_are_few(experiment: Experiment) -> Iterator[Problem]:
    if not experiment.is_contextual:
        return
    kind = experiment.policy.kind
    if not any(attribute.store for attribute in experiment.attributes.values()):
        yield Problem("policy.kind", kind, "needs an attribute with store: true, by which weights may differ")
    if experiment.local_evaluation:
        yield Problem("policy.kind", kind, "cannot be had with local_evaluation, whose payload knows segments only")
    try:
        number = combinations(experiment.attributes)
    except ValueError as error:
        yield Problem("policy.kind", kind, str(error))
        return
    if number > MOST_COMBINATIONS:
        rule = f"has {number} combinations of stored values, other and unknown included; at most {MOST_COMBINATIONS}"
        yield Problem("policy.kind", kind, rule)


def _every_segment_has_a_share(experiment: Experiment) -> Iterator[Problem]:
    # Where no tailored arm is open, the mass arms are all there is to renormalise.
    shares = experiment.policy.shares or {}
    if not any(shares.get(arm.key, 0) > 0 for arm in experiment.arms if arm.role == "mass"):
        rule = f"must be above 0 for a mass arm, the only ones open to {EVERYONE_ELSE}"
        yield Problem("policy.shares", dict(shares), rule)


def _if_shared(rule: Callable[[Experiment], Iterator[Problem]]) -> Callable[[Experiment], Iterable[Problem]]:
    return lambda experiment: rule(experiment) if experiment.policy.shares is not None else ()


def _rules_hold_up(experiment: Experiment) -> Iterator[Problem]:
    for index, segment in enumerate(experiment.segments):
        yield from check_rule(
            segment.rule,
            experiment.attributes,
            f"segments[{index}].rule",
            local_evaluation=experiment.local_evaluation,
        )


def _messages_can_be_written(experiment: Experiment) -> Iterator[Problem]:
    for index, arm in enumerate(experiment.arms):
        if arm.message:
            yield from check_message(arm.message, experiment.attributes, f"arms[{index}].message")


def _costs_name_metrics(experiment: Experiment) -> Iterator[Problem]:
    known = {metric.key for metric in experiment.metrics}
    for name in experiment.frequency.costs if experiment.frequency else ():
        if name not in known:
            yield Problem(f"frequency.costs.{name}", name, f"must be the key of a metric: {', '.join(known)}")


_ARM_ROLES = ("arms", "arms.role")
_GOAL = ("metrics", "metrics.role")
_SHARES = ("policy*", "arms", "arms.key", "arms.role")


_RULES: tuple[tuple[tuple[str, ...], Callable[[Experiment], Iterable[Problem]]], ...] = (
    (("segments", "segments.key"), _segment_keys_are_unique),
    (("arms", "arms.key"), _arm_keys_are_unique),
    (("metrics", "metrics.key"), _metric_keys_are_unique),
    (_ARM_ROLES, _some_arm_is_for_everybody),
    (("segments", "segments.key", "arms", "arms.segments"), _tailored_arms_name_segments_that_exist),
    (("control_share", *_ARM_ROLES), _control_share_has_a_control),
    (_GOAL, _one_metric_is_the_goal),
    ((*_GOAL, "metrics.direction"), _the_goal_is_to_increase),
    (("objective", *_GOAL, "metrics.kind", "metrics.value"), _money_objectives_have_money),
    (("frequency*", "metrics", "metrics.key"), _costs_name_metrics),
    (("local_evaluation", *_GOAL, "metrics.source"), _local_evaluation_has_a_server_goal),
    (("metrics", "metrics.from", "metrics.window"), _retention_starts_before_its_window_ends),
    (("policy", "policy.kind", "policy.min_share", "control_share", *_ARM_ROLES, "arms.segments"), _floors_fit),
    (("policy", "policy.kind", "attributes*", "local_evaluation"), _contexts_are_few),
    (_SHARES, _if_shared(_shares_name_every_candidate)),
    (_SHARES, _if_shared(_shares_sum_to_one)),
    (_SHARES, _if_shared(_every_segment_has_a_share)),
    (("attributes*", "local_evaluation", "segments", "segments.rule"), _rules_hold_up),
    (("attributes*", "local_evaluation"), local_attributes_mean_the_same),
    ((*_ARM_ROLES, "arms.key", "arms.message", "arms.segments", "segments", "segments.key"), local_payload_fits_a_page),
    (("attributes*", "arms", "arms.message", "arms.role"), _messages_can_be_written),
)
