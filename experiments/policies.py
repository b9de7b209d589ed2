"""Policies: from what is known of a segment's arms to its weights, whatever the kind, within the same limits. Pure."""

from collections.abc import Collection
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from experiments.allocation import Weights
from experiments.allocation import even_shares
from experiments.allocation import starting_shares
from experiments.allocation import to_weights
from experiments.allocation import with_barred
from experiments.allocation import with_controls
from experiments.inputs import Inputs
from experiments.inputs import SegmentInput
from experiments.model import Experiment
from experiments.objective import Estimates
from experiments.policy_kinds import FIXED
from experiments.policy_kinds import Candidate
from experiments.policy_kinds import policy_kind
from experiments.policy_kinds import shares_of
from experiments.pooling import pooled_objective
from stats import weights as stats_weights
from stats.pooled import PooledArm

#: What is believed of each arm of a segment, all segments considered.
Beliefs = Mapping[str, PooledArm]


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
            with_controls(experiment, segment, _candidate_shares(experiment, segment, beliefs.get(segment), inputs)),
        )
        for segment in experiment.segment_keys
    }


def is_settled(experiment: Experiment) -> bool:
    """Whether nothing that is learned can move weights: a fixed policy, and top-two, which splits two arms evenly."""
    most = max(len(experiment.candidates(segment)) for segment in experiment.segment_keys)
    return experiment.policy.kind == FIXED or experiment.policy.kind == "top_two_thompson" and most <= 2


def _beliefs(experiment: Experiment, inputs: Inputs) -> dict[str, Beliefs]:
    """What is believed of the arms of every segment that is past its burn-in; settled weights ask for nothing."""
    if is_settled(experiment):
        return {}
    # A kind that is not installed is refused from the first day on, not only once it would move weights.
    is_ranked = policy_kind(experiment.policy.kind).is_ranked
    ready = {segment for segment, known in inputs.items() if not is_burning_in(experiment, segment, known)}
    if not ready:
        return {}
    # In the document's order, not the ledger's: sums of another order differ by a bit, and a bit decides ties.
    evidence = {
        segment: _evidence(experiment, segment, inputs[segment])
        for segment in experiment.segment_keys
        if segment in inputs
    }
    pooled = pooled_objective(experiment, evidence, is_ranked=is_ranked)
    return {segment: arms for segment, arms in zip(evidence, pooled.arms, strict=True) if segment in ready}


def _evidence(experiment: Experiment, segment: str, known: SegmentInput) -> tuple[Estimates, Estimates]:
    """What is known of the goal and of the profit of a segment's arms."""
    arms = [arm.key for arm in experiment.open_arms(segment) if arm.key in known.arms]
    return {arm: known.arms[arm].goal for arm in arms}, {arm: known.arms[arm].profit for arm in arms}


def _candidate_shares(
    experiment: Experiment, segment: str, beliefs: Beliefs | None, inputs: Inputs
) -> dict[str, float]:
    policy = experiment.policy
    if policy.kind == FIXED:
        return starting_shares(experiment, segment)
    if beliefs is None:
        return even_shares(experiment, segment)
    visitors = {arm: known.visitors for arm, known in inputs[segment].arms.items()}
    candidates = [
        Candidate(arm.key, arm.role, visitors[arm.key], *beliefs[arm.key]) for arm in experiment.candidates(segment)
    ]
    # The floor is a share of all traffic; candidates divide what the controls leave.
    floor = policy.min_share / (1 - experiment.control_share)
    shares = stats_weights.floored(shares_of(policy, candidates), floor)
    return dict(zip((arm.arm for arm in candidates), shares.tolist(), strict=True))


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
