"""Policies: from what is known of a segment's arms to the shares of its candidates. Pure; each is one function."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from experiments.allocation import Weights
from experiments.allocation import even_shares
from experiments.allocation import starting_shares
from experiments.allocation import to_weights
from experiments.allocation import with_barred
from experiments.allocation import with_controls
from experiments.inputs import Inputs
from experiments.inputs import SegmentInput
from experiments.model import Experiment
from experiments.model import Policy
from experiments.objective import Estimates
from experiments.pooling import pooled_objective
from stats import weights as stats_weights
from stats.pooled import PooledArm

Shares = NDArray[np.float64]

#: What is believed of each arm of a segment, all segments considered.
Beliefs = Mapping[str, PooledArm]


def _thompson(policy: Policy, arms: Sequence[PooledArm], floor: float) -> Shares:
    return stats_weights.by_chance([arm.probability_best for arm in arms], floor=floor)


def _top_two(policy: Policy, arms: Sequence[PooledArm], floor: float) -> Shares:
    return stats_weights.by_two_chances([arm.probability_best for arm in arms], floor=floor)


def _epsilon_greedy(policy: Policy, arms: Sequence[PooledArm], floor: float) -> Shares:
    return stats_weights.by_mean([arm.mean for arm in arms], epsilon=policy.epsilon, floor=floor)


#: To add a policy, add its function and its name here, and the name to `model.Policy.kind`.
LEARNING: dict[str, Callable[[Policy, Sequence[PooledArm], float], Shares]] = {
    "thompson": _thompson,
    "top_two_thompson": _top_two,
    "epsilon_greedy": _epsilon_greedy,
    # Of a segment as a whole; its contexts have weights of their own.
    "contextual_thompson": _thompson,
}


def next_weights(
    experiment: Experiment,
    inputs: Inputs,
    previous: Mapping[str, Mapping[str, int]],
    *,
    barred: Collection[str] = (),
) -> Weights:
    """The weights that the policy wants now, no further from `previous` than its largest step.

    Barred arms keep a ten-thousandth, and the others compete as if there were no more.
    """
    if not barred:
        return _wanted(experiment, inputs, previous)
    free = replace(experiment, arms=tuple(arm for arm in experiment.arms if arm.key not in barred))
    known = {
        segment: found._replace(arms={arm: one for arm, one in found.arms.items() if arm not in barred})
        for segment, found in inputs.items()
    }
    return with_barred(experiment, _wanted(free, known, previous))


def _wanted(experiment: Experiment, inputs: Inputs, previous: Mapping[str, Mapping[str, int]]) -> Weights:
    beliefs = _beliefs(experiment, inputs)
    return {
        segment: stepped(
            experiment,
            previous.get(segment, {}),
            with_controls(experiment, segment, _candidate_shares(experiment, segment, beliefs.get(segment))),
        )
        for segment in experiment.segment_keys
    }


def is_settled(experiment: Experiment) -> bool:
    """Whether nothing that is learned can move weights: a fixed policy, and top-two, which splits two arms evenly."""
    most = max(len(experiment.candidates(segment)) for segment in experiment.segment_keys)
    return experiment.policy.kind == "fixed" or experiment.policy.kind == "top_two_thompson" and most <= 2


def _beliefs(experiment: Experiment, inputs: Inputs) -> dict[str, Beliefs]:
    """What is believed of the arms of every segment that is past its burn-in; settled weights ask for nothing."""
    if is_settled(experiment):
        return {}
    ready = {segment for segment, known in inputs.items() if not is_burning_in(experiment, segment, known)}
    if not ready:
        return {}
    # In the document's order, not the ledger's: sums of another order differ by a bit, and a bit decides ties.
    evidence = {
        segment: _evidence(experiment, segment, inputs[segment])
        for segment in experiment.segment_keys
        if segment in inputs
    }
    pooled = pooled_objective(experiment, evidence, is_ranked=experiment.policy.kind != "epsilon_greedy")
    return {segment: arms for segment, arms in zip(evidence, pooled.arms, strict=True) if segment in ready}


def _evidence(experiment: Experiment, segment: str, known: SegmentInput) -> tuple[Estimates, Estimates]:
    """What is known of the goal and of the profit of a segment's arms."""
    arms = [arm.key for arm in experiment.open_arms(segment) if arm.key in known.arms]
    return {arm: known.arms[arm].goal for arm in arms}, {arm: known.arms[arm].profit for arm in arms}


def _candidate_shares(experiment: Experiment, segment: str, beliefs: Beliefs | None) -> dict[str, float]:
    policy = experiment.policy
    if policy.kind == "fixed":
        return starting_shares(experiment, segment)
    if beliefs is None:
        return even_shares(experiment, segment)
    candidates = [arm.key for arm in experiment.candidates(segment)]
    # The floor is a share of all traffic; candidates divide what the controls leave.
    floor = policy.min_share / (1 - experiment.control_share)
    shares = LEARNING[policy.kind](policy, [beliefs[arm] for arm in candidates], floor)
    return dict(zip(candidates, shares.tolist(), strict=True))


def is_burning_in(experiment: Experiment, segment: str, known: SegmentInput) -> bool:
    """Whether too little is known of a segment to move its traffic."""
    fewest = min(known.arms[arm.key].visitors for arm in experiment.candidates(segment))
    return fewest < experiment.policy.burn_in or known.conversions < experiment.policy.burn_in_conversions


def stepped(experiment: Experiment, previous: Mapping[str, int], target: Mapping[str, float]) -> dict[str, int]:
    """Weights as near to a target as the largest step allows."""
    weights = to_weights(target)
    if not previous:
        return weights
    # Of barred arms neither side has anything.
    whole = sum(previous.get(arm, 0) for arm in target)
    old = np.array([previous.get(arm, 0) / whole for arm in target])
    moved = stats_weights.limit_step(old, np.array(list(target.values())), max_step=experiment.policy.max_step)
    return to_weights(dict(zip(target, moved.tolist(), strict=True)))
