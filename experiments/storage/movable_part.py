"""A partition as a part of the visitors: in its shard, wherever it is moved to meanwhile."""

from collections.abc import Callable
from time import monotonic
from time import sleep
from typing import TypeVar

from experiments.errors import StorageBusy
from experiments.partitions import Span
from experiments.partitions import span_of
from experiments.storage.parts import both
from experiments.storage.parts import nothing
from experiments.storage.placement import Placement
from experiments.storage.session import Session
from experiments.storage.shards import THIS_SHARD
from experiments.storage.store import OwnStore

T = TypeVar("T")

#: So long somebody waits for a partition that is being moved.
_PATIENCE_SECONDS = 5.0
_LOOKING_SECONDS = 0.1


class _Moved(Exception):
    """The partition is not, or not for writing, where this process took it to be."""


class MovablePart:
    """The visitors of a partition."""

    def __init__(self, control: OwnStore, placement: Placement, number: int) -> None:
        self._control = control
        self._placement = placement
        self._number = number

    @property
    def span(self) -> Span:
        """Who they are."""
        return span_of(self._number, self._placement.partitions)

    def read(self, work: Callable[[Session], T]) -> T:
        """Run `work` on one consistent state of the shard that they are in."""

        def reading(session: Session) -> T:
            if not session.fences.has(self._number):
                raise _Moved
            return work(session)

        return self._found(lambda: self._placement.store_of(self._number).read(reading))

    def transact(self, work: Callable[[Session], T], *, then: Callable[[Session], None] = nothing) -> T:
        """Run `work` in one write transaction of the shard that they are in, and what follows after it."""

        def writing(session: Session) -> T:
            if not session.fences.count(self._number):
                raise _Moved
            return work(session)

        return self._found(lambda: self._transacted(writing, then))

    def _transacted(self, work: Callable[[Session], T], then: Callable[[Session], None]) -> T:
        here = self._control.read(lambda session: session.meta.get(THIS_SHARD))
        if self._placement.shard_of(self._number) == here:
            return self._control.transact(lambda session: both(session, work, then))
        # Others have noticed already where the shard is away; a writer of its own would have to find it out.
        self._placement.store_of(self._number).read(lambda session: None)
        writer = self._placement.writer_of(self._number)
        try:
            result = writer.run(work, alone=True)
        finally:
            writer.close()
        if then is not nothing:
            self._control.transact(then)
        return result

    def _found(self, attempt: Callable[[], T]) -> T:
        """What an attempt gives where the partition is."""
        until = monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return attempt()
            except _Moved as error:
                if monotonic() > until:
                    raise StorageBusy(f"partition {self._number} is being moved to another shard; try again") from error
                sleep(_LOOKING_SECONDS)
                self._placement.refresh()
