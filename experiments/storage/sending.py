"""Sending: what waits to be published of one source, in the order of its numbers."""

import asyncio
from concurrent.futures import Future

from experiments.storage.spool import Entry

#: Some fifty are applied in one transaction, which should not last for long.
_MESSAGE_BYTES = 100_000

#: An entry, and who is told once it is replicated.
Pair = tuple[Entry, Future[None]]


class Sending:
    """What waits to be published of one source: whoever has kept an entry first may hand it on last."""

    def __init__(self) -> None:
        self.waiting: dict[int, Pair] = {}
        self.next_number = 1
        self.task: asyncio.Task[None] | None = None

    def take(self) -> list[Pair]:
        """As many as one message carries, from the next number on without a gap."""
        taken: list[Pair] = []
        size = 0
        while size < _MESSAGE_BYTES and (pair := self.waiting.pop(self.next_number, None)):
            taken.append(pair)
            size += len(pair[0].body)
            self.next_number += 1
        return taken
