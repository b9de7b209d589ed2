"""Restraints: what keeps the policy from moving weights freely, handed on from row to row of the ledger. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from experiments.allocation import Weights
from experiments.storage.ledger import LedgerRow

#: Pairs, not an object: the order of arms is the order of the draw.
Pairs = dict[str, list[tuple[str, int]]]


class Restraints(msgspec.Struct, frozen=True, omit_defaults=True):
    """What stands until somebody takes it back.

    Attributes:
        hold: the weights that come back when held ones are let go; None where they are not held.
        alarm: why the service holds them; None where a person does, or nobody.
        barred: the arms whose traffic goes to the mass arm, and the guardrail that each has broken.
        refused: why the policy's last weights were not taken; None where they were.
        excused: by the name of an alarm, the log evidence that somebody knew of and let traffic move all the same.
    """

    hold: Pairs | None = None
    alarm: str | None = None
    barred: dict[str, str] = {}
    refused: str | None = None
    excused: dict[str, float] = {}

    @property
    def is_frozen(self) -> bool:
        """Whether weights are held."""
        return self.hold is not None

    def details(self) -> dict[str, Any]:
        """What a ledger row says of them."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


FREE = Restraints()


def restraints_of(row: LedgerRow | None) -> Restraints:
    """The restraints as of an experiment's newest row."""
    return FREE if row is None else msgspec.json.decode(row.body, type=Restraints)


def pairs(weights: Mapping[str, Mapping[str, int]]) -> Pairs:
    """Weights as they stand in a row."""
    return {segment: list(arms.items()) for segment, arms in weights.items()}


def weights_of(found: Mapping[str, Any]) -> Weights:
    """Weights from how they stand in a row."""
    return {segment: dict(arms) for segment, arms in found.items()}
