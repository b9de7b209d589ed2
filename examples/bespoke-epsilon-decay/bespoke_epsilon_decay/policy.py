"""Epsilon-greedy whose exploration decays: the leader gets all but a share that shrinks as visitors are seen."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.model import Policy
from experiments.policy_kinds import Candidate
from experiments.policy_kinds import PolicyKind
from experiments.reading.shapes import Field
from experiments.reading.values import whole
from stats import weights

_HALVED = Field("halved_after", whole(1, 10**9), "the visitors of a segment after which half as many explore",
                default=10_000)


def _shares(policy: Policy, arms: Sequence[Candidate]) -> NDArray[np.float64]:
    seen = sum(arm.visitors for arm in arms)
    halved = policy.parameters[_HALVED.name]
    return weights.by_mean([arm.mean for arm in arms], epsilon=halved / (halved + seen))


EPSILON_DECAY = PolicyKind(
    _shares, "Give more and more traffic to whatever leads", parameters=(_HALVED,), is_ranked=False
)
