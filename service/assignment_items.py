"""The answer's items for a list of visitors, as JSON: what many of them share is written once."""

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any
from typing import NotRequired
from typing import TypedDict

import msgspec

from experiments.assigning import Answers
from experiments.assignment import Assignment
from experiments.assignment import Cause
from experiments.errors import BespokeError
from experiments.event_shape import LONGEST_ID
from experiments.model import Role
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
    written = [*_assigned_items(answers, start=start)]
    for index, fault in answers.listed.faults.items():
        written[index] = error_item(start + index, visitors[index], fault)
    return written


def error_item(index: int, visitor: object, error: BespokeError) -> str:
    """The `Item` of a visitor who is not assigned."""
    return _json({"index": index, "id": _id(visitor), "code": error.code, "detail": str(error)})


def _assigned_items(answers: Answers, *, start: int) -> Iterator[str]:
    heads = [_members(_shared(answers, assignment)) for assignment in answers.decisions.different]
    rows = zip(
        answers.decisions.places.tolist(),
        _quoted(answers.listed.visitors),
        _encoded(answers.messages()),
        answers.tokens,
        answers.receipts,
        strict=True,
    )
    for index, (place, id, message, token, receipt) in enumerate(rows, start):
        # A token has no letters that JSON would write otherwise.
        said = "null" if token is None else f'"{token}"'
        exposure = "" if receipt is None else f',"exposure":"{receipt.status}"'
        yield f'{{"index":{index},"id":{id},{heads[place]},"message":{message},"token":{said}{exposure}}}'


def _shared(answers: Answers, assignment: Assignment) -> dict[str, Any]:
    return {
        "segment": assignment.segment,
        "arm": assignment.arm,
        "role": answers.plan.experiment.arm_by_key[assignment.arm].role,
        "propensity": assignment.propensity,
        "epoch": assignment.epoch,
        "cause": assignment.cause,
    }


def _quoted(ids: Sequence[str]) -> list[str]:
    """Ids as JSON; those of nearly all lists have nothing to escape."""
    together = "".join(ids)
    if '"' in together or "\\" in together:
        return [_json(id) for id in ids]
    return [f'"{id}"' for id in ids]


def _encoded(messages: Sequence[dict[str, Any]]) -> list[str]:
    """Messages as JSON, each object once."""
    message_by_id = {id(message): message for message in messages}
    text_by_id = {each: _json(message) for each, message in message_by_id.items()}
    return [text_by_id[id(message)] for message in messages]


def _members(item: Any) -> str:
    """An object's JSON without its braces."""
    return _json(item)[1:-1]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _id(visitor: object) -> str | None:
    """The id as it was sent, where it is one."""
    value = visitor.get("id") if isinstance(visitor, dict) else None
    return value if isinstance(value, str) and len(value) <= LONGEST_ID else None
