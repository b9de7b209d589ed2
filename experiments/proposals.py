"""Proposals: the weights that follow from a past, by the policy. Pure."""

from collections.abc import Collection
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from experiments.allocation import Weights
from experiments.columns import Table
from experiments.contextual import by_context
from experiments.inputs import Inputs
from experiments.model import Allocation
from experiments.model import Experiment
from experiments.plugin_errors import PolicyRefused
from experiments.policies import next_weights
from experiments.restraints import Restraints
from experiments.storage.ledger import LedgerRow


class Past(NamedTuple):
    """What a decision is made from: what the policy sees, the ledger that it follows, and what restrains it."""

    experiment: Experiment
    inputs: Inputs
    columns: Table
    last: LedgerRow | None
    allocations: Mapping[int, Allocation]
    restraints: Restraints

    @property
    def previous(self) -> Allocation:
        """The allocation in force; one without weights before the start."""
        return self.allocations[max(self.allocations)] if self.allocations else Allocation(0, {})


class Wanted(NamedTuple):
    """The weights of segments and of contexts that are wanted, and what moved the latter."""

    weights: Weights
    contexts: Mapping[str, Weights] = MappingProxyType({})
    moved_by: Mapping[str, float] = MappingProxyType({})


class Proposal(NamedTuple):
    """The weights that follow from a past."""

    past: Past
    wanted: Wanted


def propose(past: Past) -> Proposal:
    """The weights that the policy wants; those in force, and why, where it cannot be used or makes no sense."""
    previous, restraints = past.previous, msgspec.structs.replace(past.restraints, refused=None)
    try:
        wanted = by_policy(past.experiment, past.inputs, previous, barred=restraints.barred)
    except PolicyRefused as refusal:
        wanted = Wanted(dict(previous.weights), {segment: dict(of) for segment, of in previous.contexts.items()})
        restraints = msgspec.structs.replace(restraints, refused=str(refusal))
    return Proposal(past._replace(restraints=restraints), wanted)


def by_policy(
    experiment: Experiment, inputs: Inputs, previous: Allocation, *, barred: Collection[str]
) -> Wanted:
    """The weights that the policy wants of these inputs.

    :raises PolicyRefused: if the policy cannot be used.
    """
    weights = next_weights(experiment, inputs, previous.weights, barred=barred)
    return Wanted(weights, *by_context(experiment, inputs, previous, barred=barred))
