"""Allocations: shares of 1 become weights of ten-thousandths, one set for each segment."""

from collections.abc import Collection
from collections.abc import Mapping
from math import floor

from experiments.model import Allocation
from experiments.model import Experiment

#: Weights are integers of one `GRAIN`-th, the resolution of the hash that draws.
GRAIN = 10_000

#: An epoch is published only when some weight moves by this much, so that cells do not multiply.
PUBLISH_STEP = 50

Weights = dict[str, dict[str, int]]


def to_weights(share_by_arm: Mapping[str, float]) -> dict[str, int]:
    """Round shares that sum to 1 to weights that sum to `GRAIN`: largest remainder, ties in arm order, none below 1."""
    quotas = {arm: share * GRAIN for arm, share in share_by_arm.items()}
    # A share of .05 may be 499.99999999999994 ten-thousandths; it means 500.
    weights = {arm: floor(quota + 1e-7) for arm, quota in quotas.items()}
    by_remainder = sorted(quotas, key=lambda arm: weights[arm] - quotas[arm])
    for arm in by_remainder[: GRAIN - sum(weights.values())]:
        weights[arm] += 1
    return _at_least_one(weights)


def _at_least_one(weights: dict[str, int]) -> dict[str, int]:
    starved = [arm for arm, weight in weights.items() if weight < 1]
    for arm in starved:
        weights[max(weights, key=lambda other: weights[other])] -= 1
        weights[arm] += 1
    return weights


def with_controls(experiment: Experiment, segment: str, candidate_shares: Mapping[str, float]) -> dict[str, float]:
    """Shares of all open arms: the control share held evenly by controls, the rest as `candidate_shares` divide it."""
    controls = [arm.key for arm in experiment.open_arms(segment) if arm.role == "control"]
    held = {arm: experiment.control_share / len(controls) for arm in controls}
    free = 1 - experiment.control_share
    return held | {arm: free * share for arm, share in candidate_shares.items()}


def even_shares(experiment: Experiment, segment: str) -> dict[str, float]:
    """Every candidate alike."""
    candidates = experiment.candidates(segment)
    return {arm.key: 1 / len(candidates) for arm in candidates}


def starting_shares(experiment: Experiment, segment: str) -> dict[str, float]:
    """The policy's `shares`, renormalised over the candidates of the segment; even where there are none."""
    shares = experiment.policy.shares
    if shares is None:
        return even_shares(experiment, segment)
    candidates = {arm.key: shares[arm.key] for arm in experiment.candidates(segment)}
    total = sum(candidates.values())
    return {arm: share / total for arm, share in candidates.items()}


def first_allocation(experiment: Experiment, *, epoch: int = 1) -> Allocation:
    """The allocation before anything was learned."""
    return Allocation(epoch, {
        segment: to_weights(with_controls(experiment, segment, starting_shares(experiment, segment)))
        for segment in experiment.segment_keys
    })


def without(experiment: Experiment, weights: Mapping[str, Mapping[str, int]], barred: Collection[str]) -> Weights:
    """The weights with the traffic of barred arms on the first mass arm, but for the ten-thousandth that each keeps."""
    mass = experiment.first_mass.key
    return {
        segment: {
            arm: _freed(arms, barred) + weight if arm == mass else 1 if arm in barred else weight
            for arm, weight in arms.items()
        }
        for segment, arms in weights.items()
    }


def with_barred(experiment: Experiment, weights: Mapping[str, Mapping[str, int]]) -> Weights:
    """The weights of all open arms, of which barred ones have none and get a ten-thousandth."""
    return {
        segment: _at_least_one({arm.key: arms.get(arm.key, 0) for arm in experiment.open_arms(segment)})
        for segment, arms in weights.items()
    }


def _freed(arms: Mapping[str, int], barred: Collection[str]) -> int:
    return sum(weight - 1 for arm, weight in arms.items() if arm in barred)


def largest_move(old: Mapping[str, Mapping[str, int]], new: Mapping[str, Mapping[str, int]]) -> int:
    """The largest change of any weight, in ten-thousandths; an arm that was not there had 0."""
    return max(
        (
            abs(weight - old.get(segment, {}).get(arm, 0))
            for segment, arms in new.items()
            for arm, weight in arms.items()
        ),
        default=0,
    )
