"""Kinds of policies: how the candidates of a segment share its traffic, by what is known of each. Pure.

Packages bring further kinds under the entry point group `bespoke.policies`; each is a `PolicyKind` like those here.
What comes before and after is the same for all: burn-in, floor, control share, largest step, holds and cautions.
"""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import fields
from typing import Any
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray

from experiments.model import Policy
from experiments.model import Role
from experiments.plugin_errors import PolicyRefused
from experiments.plugins import Plugin
from experiments.plugins import plugins
from experiments.plugins import told
from experiments.reading.shapes import Field
from experiments.reading.shapes import Reading
from stats import weights

Shares = NDArray[np.float64]

_ROUNDING = 1e-9
_OF_EVERY_KIND = frozenset(field.name.removesuffix("_seconds") for field in fields(Policy))


class Candidate(NamedTuple):
    """An arm of a segment that competes for traffic, and what is known of it, all segments considered.

    Attributes:
        arm: its key; `role` is mass or tailored.
        visitors: of the segment who were exposed to it.
        probability_best: among the candidates, on the objective; 0 for kinds that are not ranked.
        mean, sd: of the objective per visitor.
    """

    arm: str
    role: Role
    visitors: int
    probability_best: float
    mean: float
    sd: float


@dataclass(frozen=True)
class PolicyKind:
    """A kind of policy.

    Attributes:
        shares: from the document's policy and a segment's candidates, their shares of its traffic, in the same order;
            they sum to 1. It must give the same for the same: every epoch is computed again to verify it.
        help: what it does, in words for marketers.
        parameters: what a document may say of this kind alone, beside the fields of every policy; the values are JSON,
            and stand in `policy.parameters`.
        is_ranked: whether it asks which arm is probably the best, the slowest of what is known.
        called: what people call it within a sentence; its name in documents where nothing is said.
    """

    shares: Callable[[Policy, Sequence[Candidate]], ArrayLike]
    help: str
    parameters: tuple[Field[Reading[Any]], ...] = ()
    is_ranked: bool = True
    called: str = ""


def _thompson(_: Policy, arms: Sequence[Candidate]) -> Shares:
    return weights.by_chance([arm.probability_best for arm in arms])


def _top_two(_: Policy, arms: Sequence[Candidate]) -> Shares:
    return weights.by_two_chances([arm.probability_best for arm in arms])


def _epsilon_greedy(policy: Policy, arms: Sequence[Candidate]) -> Shares:
    return weights.by_mean([arm.mean for arm in arms], epsilon=policy.epsilon)


#: To add a kind here, add its function and its name; the fixed one learns nothing.
LEARNING: dict[str, PolicyKind] = {
    "thompson": PolicyKind(_thompson, "Move traffic to what works", called="Thompson sampling"),
    "top_two_thompson": PolicyKind(
        _top_two, "Move traffic to what works, and keep the runner-up in play", called="top-two Thompson sampling"
    ),
    "epsilon_greedy": PolicyKind(
        _epsilon_greedy, "Give nearly all traffic to whatever leads", is_ranked=False, called="epsilon-greedy"
    ),
    # Of a segment as a whole; its contexts have weights of their own.
    "contextual_thompson": PolicyKind(
        _thompson, "Move traffic to what works, for each combination of stored attributes",
        called="Thompson by context",
    ),
}
FIXED = "fixed"
BUILT_IN = (FIXED, *LEARNING)


def installed_kinds() -> dict[str, PolicyKind]:
    """The kinds that packages bring and that can be used, by name."""
    return {
        name: plugin.value
        for name, plugin in plugins("bespoke.policies").items()
        if isinstance(plugin.value, PolicyKind) and not plugin_fault(plugin)
    }


def usable_kinds() -> dict[str, PolicyKind]:
    """The kinds that learn and can be used here, by name: the house's own, then those of packages."""
    return {**LEARNING, **installed_kinds()}


def kind_names() -> tuple[str, ...]:
    """Every kind that a document may name."""
    return (*BUILT_IN, *installed_kinds())


def kind_fault(name: str) -> str:
    """Why a kind cannot be used, by what it is; empty where it can."""
    if name in BUILT_IN:
        return ""
    plugin = plugins("bespoke.policies").get(name)
    if plugin is None:
        return f"is not installed: must be one of {', '.join(kind_names())}"
    return plugin_fault(plugin)


def plugin_fault(plugin: Plugin) -> str:
    """Why what a package brings is no kind that can be used; empty where it is."""
    if plugin.fault:
        return plugin.fault
    if plugin.name in BUILT_IN:
        return "has the name of a kind that is built in, which stays"
    if not isinstance(plugin.value, PolicyKind):
        return f"must be a PolicyKind; {plugin.package} brings a {type(plugin.value).__name__}"
    taken = sorted(_OF_EVERY_KIND.intersection(parameter.name for parameter in plugin.value.parameters))
    return f"declares {', '.join(taken)}, which every policy has" if taken else ""


def policy_kind(name: str) -> PolicyKind:
    """A kind that learns.

    :raises PolicyRefused: if it is not installed, or cannot be used.
    """
    if name in LEARNING:
        return LEARNING[name]
    if fault := kind_fault(name):
        raise PolicyRefused(f"policy.kind {name!r} {fault}")
    return installed_kinds()[name]


def shares_of(policy: Policy, arms: Sequence[Candidate]) -> Shares:
    """The shares that a policy gives its candidates.

    :raises PolicyRefused: if it cannot be used or fails, or they are no shares.
    """
    kind = policy_kind(policy.kind)
    try:
        shares = np.asarray(kind.shares(policy, arms), np.float64)
    except Exception as error:
        # Whatever code of others raises, traffic stays where it was.
        raise PolicyRefused(f"policy {policy.kind!r} failed: {told(error)}") from error
    if shares.shape != (len(arms),) or not (shares >= 0).all() or not abs(shares.sum() - 1) <= _ROUNDING:
        rule = f"must be {len(arms)} shares from 0 to 1 that sum to 1"
        raise PolicyRefused(f"policy {policy.kind!r} gave {str(shares.tolist())[:200]}, {rule}")
    return shares
