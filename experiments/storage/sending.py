"""Sending: what waits to be published of one source, in the order of its numbers."""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future

from experiments.storage.spool import Entry

#: Some fifty are applied in one transaction, which should not last for long.
_MESSAGE_BYTES = 100_000

#: An entry, and who is told once it is replicated.
Pair = tuple[Entry, Future[None]]


class Sending:
    """What waits to be published of one source, by one task; whoever has kept an entry first may hand it on last."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self._waiting: dict[int, Pair] = {}
        self._repeated: deque[Pair] = deque()
        self._next_number = 1

    def add(self, pair: Pair) -> None:
        """Let an entry wait for its turn."""
        number = pair[0].number
        if number < self._next_number:
            # It was repeated before it came, and somebody waits for it.
            self._repeated.append(pair)
        else:
            self._waiting[number] = pair

    def repeat(self, pairs: Sequence[Pair]) -> None:
        """Have entries published once more, before all that waits; what comes after them goes on where it was."""
        self._next_number = max(self._next_number, pairs[-1][0].number + 1)
        passed = {number for number in self._waiting if number < self._next_number}
        # Of one for which somebody waits already, it is that one which is published.
        repeated = {pair[0].number: pair for pair in (*pairs, *self._repeated)}
        repeated |= {number: self._waiting.pop(number) for number in passed}
        self._repeated = deque(repeated[number] for number in sorted(repeated))

    def take(self) -> list[Pair]:
        """As many as one message carries, without a gap: those that are repeated first."""
        taken: list[Pair] = []
        size = 0
        while size < _MESSAGE_BYTES and (pair := self._next(taken)):
            taken.append(pair)
            size += len(pair[0].body)
        return taken

    def _next(self, taken: list[Pair]) -> Pair | None:
        """What comes next, or what follows on the last that was taken."""
        number = self._repeated[0][0].number if self._repeated else self._next_number
        if taken and taken[-1][0].number + 1 != number:
            return None
        if self._repeated:
            return self._repeated.popleft()
        if pair := self._waiting.pop(number, None):
            self._next_number += 1
        return pair
