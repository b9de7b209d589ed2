"""The ledger's rows: everything that one decision about weights was made of, as canonical JSON chained by its hash."""

from collections.abc import Collection
from collections.abc import Mapping
from itertools import chain
from typing import Any
from typing import Literal
from typing import NamedTuple
from typing import TypedDict

import msgspec

from experiments.allocation import GRAIN
from experiments.chains import canonical
from experiments.chains import digest
from experiments.final_allocation import Final
from experiments.inputs import Inputs
from experiments.inputs import read_inputs
from experiments.lost_epochs import numbers_left_free
from experiments.model import Allocation
from experiments.model import Policy
from experiments.restraints import Pairs
from experiments.restraints import pairs
from experiments.restraints import weights_of
from experiments.storage.ledger import LedgerRow
from experiments.storage.session import Session
from experiments.times import iso


#: What makes a row: somebody's act, or the policy's when its time has come.
LedgerAct = Literal[
    "start", "reallocate", "replace", "pause", "resume", "stop", "archive", "freeze", "unfreeze", "finish", "bar",
    "unbar",
]


class Decision(TypedDict):
    """A row of the ledger for people and programs: weights as shares of 1, the hashed body verbatim.

    `contexts` has the weights of contexts that have their own, `moved_by` what each attribute has of the differences
    between arms that these go by.

    `kind` is published where the row made a new epoch, unchanged where the policy looked and little would have moved,
    acted where somebody did something that leaves the weights. `frozen` says whether they are held from then on,
    `alarm` why the service itself holds them, `refused` why the policy's were not taken, `barred` which arms have lost
    their traffic to the mass arm, and by which guardrail; `finals` what a finish gives each segment. `inputs` and
    `body` are null where they would tell of fewer visitors than are shown, to whoever may not see them.
    """

    number: int
    epoch: int
    kind: Literal["published", "unchanged", "acted"]
    act: LedgerAct
    at: str
    reason: str
    actor: str
    slot: int | None
    code: str
    policy: Policy
    inputs: Inputs | None
    previous: dict[str, dict[str, float]]
    weights: dict[str, dict[str, float]]
    contexts: dict[str, dict[str, dict[str, float]]]
    moved_by: dict[str, float]
    frozen: bool
    alarm: str | None
    refused: str | None
    barred: dict[str, str]
    finals: dict[str, Final] | None
    previous_hash: str
    hash: str
    body: str | None


def ledger_row(
    experiment: str,
    last: LedgerRow | None,
    *,
    kind: str,
    at_ms: int,
    allocation: Allocation,
    details: Mapping[str, Any],
    restored_at: Collection[int] = (),
) -> LedgerRow:
    """The row that follows `last`: a published row makes the next epoch, an unchanged one leaves it."""
    number, epoch = (last.number + 1, last.epoch) if last else (1, 0)
    if kind == "published":
        epoch += 1 + numbers_left_free(epoch, restored_at)
    contexts = allocation.contexts
    body = canonical({
        **details,
        "experiment": experiment,
        "number": number,
        "epoch": epoch,
        "kind": kind,
        "at_ms": at_ms,
        "weights": pairs(allocation.weights),
        **({"contexts": {segment: pairs(of) for segment, of in contexts.items()}} if contexts else {}),
        "previous_hash": last.hash if last else "",
    })
    return LedgerRow(experiment, number, epoch, kind, at_ms, body, digest(body))


class _Weighed(msgspec.Struct):
    """What a snapshot or a report needs of a body; the rest is passed over unread."""

    weights: Pairs
    contexts: dict[str, Pairs] = {}


def allocation_of(row: LedgerRow) -> Allocation:
    """The allocation that a ledger row holds; its arms stand in the order of the draw."""
    weighed = msgspec.json.decode(row.body, type=_Weighed)
    contexts = {segment: weights_of(of_segment) for segment, of_segment in weighed.contexts.items()}
    return Allocation(row.epoch, weights_of(weighed.weights), contexts)


def ledger_of(session: Session, experiment: str) -> list[Decision]:
    """An experiment's ledger, the oldest row first."""
    return [ledger_json(row) for row in session.ledger.rows(experiment)]


class Excerpt(NamedTuple):
    """Rows that did something, the newest first, and how often the policy looked in vain after each of them.

    `before` selects those that come next, None where there are none.
    """

    rows: list[Decision]
    looks: list[int]
    before: int | None


def ledger_excerpt(session: Session, experiment: str, *, before: int | None, limit: int) -> Excerpt:
    """The newest rows of an experiment that did something, of those numbered below `before`."""
    # One more than is shown says whether there are more.
    rows = session.ledger.newest_decisions(experiment, before=before, limit=limit + 1)
    shown, last = rows[:limit], session.ledger.last(experiment)
    bounds = [before or (last.number + 1 if last else 1), *(row.number for row in shown)]
    looks = [newer - row.number - 1 for newer, row in zip(bounds, shown, strict=False)]
    return Excerpt([ledger_json(row) for row in shown], looks, shown[-1].number if len(rows) > limit else None)


def ledger_json(row: LedgerRow) -> Decision:
    """A ledger row for people and programs."""
    body = msgspec.json.decode(row.body)
    return {
        "number": row.number,
        "epoch": row.epoch,
        "kind": body["kind"],
        "act": body["act"],
        "at": iso(row.at_ms),
        "reason": body["reason"],
        "actor": body["actor"],
        "slot": body["slot"],
        "code": body["code"],
        "policy": body["policy"],
        "inputs": body["inputs"],
        "previous": _shares(body["previous"]),
        "weights": _shares(body["weights"]),
        "contexts": {segment: _shares(of_segment) for segment, of_segment in body.get("contexts", {}).items()},
        "moved_by": body.get("moved_by", {}),
        "frozen": body.get("hold") is not None,
        "alarm": body.get("alarm"),
        "refused": body.get("refused"),
        "barred": body.get("barred", {}),
        "finals": body.get("finals"),
        "previous_hash": body["previous_hash"],
        "hash": row.hash,
        "body": row.body,
    }


def without_small_cells(decision: Decision, *, min_cell: int) -> Decision:
    """The row for readers who see no figure about fewer visitors than `min_cell`: the others would tell it too."""
    segments = read_inputs(decision["inputs"] or {}).values()
    parts = chain.from_iterable((segment.arms, *segment.contexts.values()) for segment in segments)
    if any(0 < arm.visitors < min_cell for part in parts for arm in part.values()):
        return {**decision, "inputs": None, "body": None}
    return decision


def _shares(pairs: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    return {segment: {arm: weight / GRAIN for arm, weight in arms} for segment, arms in pairs.items()}
