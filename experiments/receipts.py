"""Receipts: what became of one event."""

from typing import Literal
from typing import NamedTuple

Status = Literal["accepted", "duplicate", "rejected", "ignored"]


class Receipt(NamedTuple):
    """The fate of an event: a stable `code` and a sentence where it was not accepted.

    `deduplicated` is False for an outcome that came without an id: sent again, it would count again.
    """

    status: Status
    code: str | None = None
    detail: str | None = None
    deduplicated: bool = True
