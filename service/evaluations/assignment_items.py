"""The answer's items for a list of visitors, as JSON: what many of them share is written once."""

from collections.abc import Sequence
from itertools import count
from typing import Any
from typing import NotRequired
from typing import TypedDict

import msgspec

from experiments.assigned_lists import Answers
from experiments.assignment import Assignment
from experiments.assignment import Cause
from experiments.errors import BespokeError
from experiments.event_shape import LONGEST_ID
from experiments.model import Role
from experiments.receipts import Receipt
from experiments.receipts import Status


class Item(TypedDict):
    """What became of one visitor: an assignment with its message, or `code` and `detail` of why there is none."""

    index: int
    id: str | None
    segment: NotRequired[str]
    arm: NotRequired[str]
    role: NotRequired[Role]
    propensity: NotRequired[float]
    epoch: NotRequired[int]
    cause: NotRequired[Cause]
    message: NotRequired[dict[str, Any]]
    token: NotRequired[str | None]
    exposure: NotRequired[Status]
    code: NotRequired[str]
    detail: NotRequired[str]


def items(answers: Answers, visitors: Sequence[object], *, start: int) -> list[str]:
    """An `Item` for each visitor; `start` is the index of the first."""
    written = _assigned_items(answers, start=start)
    for index, fault in answers.listed.faults.items():
        written[index] = error_item(start + index, visitors[index], fault)
    return written


def error_item(index: int, visitor: object, error: BespokeError) -> str:
    """The `Item` of a visitor who is not assigned."""
    return _json({"index": index, "id": _id(visitor), "code": error.code, "detail": str(error)})


def _assigned_items(answers: Answers, *, start: int) -> list[str]:
    messages = answers.messages()
    shared = [_members(_shared(answers, *each)) for each in messages.different]
    rows = zip(
        count(start),
        _quoted(answers.listed.visitors),
        map(shared.__getitem__, messages.places.tolist()),
        _ended(answers.tokens, answers.receipts),
    )
    return [f'{{"index":{index},"id":{id},{said},{ended}' for index, id, said, ended in rows]


def _ended(tokens: Sequence[str | None], receipts: Sequence[Receipt | None]) -> list[str]:
    """What differs from visitor to visitor. A token has no letters that JSON would write otherwise."""
    ends = ["}" if receipt is None else f',"exposure":"{receipt.status}"}}' for receipt in receipts]
    return [
        f'"token":null{end}' if token is None else f'"token":"{token}"{end}'
        for token, end in zip(tokens, ends, strict=True)
    ]


def _shared(answers: Answers, assignment: Assignment, message: dict[str, Any]) -> dict[str, Any]:
    return {
        "segment": assignment.segment,
        "arm": assignment.arm,
        "role": answers.plan.experiment.arm_by_key[assignment.arm].role,
        "propensity": assignment.propensity,
        "epoch": assignment.epoch,
        "cause": assignment.cause,
        "message": message,
    }


def _quoted(ids: Sequence[str]) -> list[str]:
    """Ids as JSON; those of nearly all lists have nothing to escape."""
    together = "".join(ids)
    if '"' in together or "\\" in together:
        return [_json(id) for id in ids]
    return [f'"{id}"' for id in ids]


def _members(item: Any) -> str:
    """An object's JSON without its braces."""
    return _json(item)[1:-1]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _id(visitor: object) -> str | None:
    """The id as it was sent, where it is one."""
    value = visitor.get("id") if isinstance(visitor, dict) else None
    return value if isinstance(value, str) and len(value) <= LONGEST_ID else None
