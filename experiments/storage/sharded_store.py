"""The store of nodes: a control database, and shards that have the visitors once there are any."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING
from typing import TypeVar

from experiments.errors import NotLookedUp
from experiments.errors import StorageUnreachable
from experiments.model import Exposure
from experiments.partitions import partition_of
from experiments.storage.location import CONTROL
from experiments.storage.movable_part import MovablePart
from experiments.storage.moves import turn_to_move
from experiments.storage.pace import Pace
from experiments.storage.parts import Part
from experiments.storage.placement import Placement
from experiments.storage.session import Session
from experiments.storage.shards import THIS_SHARD
from experiments.storage.store import Store
from experiments.storage.store import open_store

if TYPE_CHECKING:
    from experiments.storage.shared_store import SharedStore

A = TypeVar("A")
T = TypeVar("T")

_LOOKING_SECONDS = 1.0


class ShardedStore:
    """A control database as any other store, but that visitors are in shards.

    Without shards it is the control database alone; they are noticed when they are added.
    """

    def __init__(self, control: "SharedStore", placement: Placement) -> None:
        self._control = control
        self._looked = monotonic()
        self._seen: int | None = None
        self.placement = placement
        self.partitions = control.partitions

    def has_shards(self) -> bool:
        """Whether visitors are in shards, of which the control database may be one."""
        return self.placement.partitions > 0

    def read(self, work: Callable[[Session], T]) -> T:
        """Run `work` on one consistent state of the control database."""
        return self._control.read(work)

    def transact(self, work: Callable[[Session], T]) -> T:
        """Run `work` in one write transaction of the control database."""
        return self._control.transact(work)

    def transact_together(
        self, work: Callable[[Session, Sequence[A]], Sequence[T]], item: A, *, visitors: int = 1, partition: int = 0
    ) -> T:
        """Run `work` in one write transaction of the control database, beside others."""
        return self._control.transact_together(work, item, visitors=visitors, partition=partition)

    def exposures_of(self, visitor: bytes, experiments: Iterable[str]) -> dict[str, Exposure]:
        """What exposures of a visitor fixed, by those of the experiments where there is one.

        :raises NotLookedUp: if the visitor's shard cannot be asked.
        """
        if not self.has_shards():
            return self._control.exposures_of(visitor, experiments)
        partition = partition_of(visitor, self.placement.partitions)
        try:
            shard = self.placement.store_of(partition)
        except StorageUnreachable as error:
            raise NotLookedUp(str(error), {}) from error
        return shard.exposures_of(visitor, experiments)

    def forget_exposures(self) -> None:
        """Look up anew what exposures fixed."""
        self._control.forget_exposures()
        for shard in self.placement.shards():
            self.placement.store(shard).forget_exposures()

    def parts(self) -> Sequence[Part]:
        """The partitions, in order."""
        if not self.has_shards():
            return self._control.parts()
        return [self._part(number) for number in range(self.placement.partitions)]

    def part_of(self, visitor: bytes) -> Part:
        """The partition that a visitor is in."""
        if not self.has_shards():
            return self._control.part_of(visitor)
        return self._part(partition_of(visitor, self.placement.partitions))

    def databases(self) -> Mapping[str, Store]:
        """The control database, and the shards that are others."""
        here = self.read(lambda session: session.meta.get(THIS_SHARD))
        others = [name for name in self.placement.names() if name != here]
        return {CONTROL: self._control, **{f"shard={name}": self.placement.store(name) for name in others}}

    def _part(self, number: int) -> Part:
        return MovablePart(self._control, self.placement, number)

    def turn_to_move(self) -> AbstractContextManager[None]:
        """Let nobody else move partitions meanwhile, nor take out shards."""
        return turn_to_move(self._control.server)

    def changes(self) -> int:
        """A number that differs once anybody has changed what people and jobs configure."""
        self.placement.look()
        changes = self._control.changes()
        if changes != self._seen or self._is_late():
            self.placement.refresh()
            self._seen, self._looked = changes, monotonic()
        return changes

    def _is_late(self) -> bool:
        """Whether it is time to look where partitions are, though nothing is known to have changed."""
        return self.has_shards() and monotonic() - self._looked > _LOOKING_SECONDS

    def await_changes(self, stopped: Event, *, seconds: float) -> None:
        """Wait until somebody has changed what people and jobs configure, at most so long."""
        self._control.await_changes(stopped, seconds=seconds)

    def pace(self) -> Pace:
        """How the writer of the control database gets on."""
        return self._control.pace()

    def queued(self) -> int:
        """How many works wait for it."""
        return self._control.queued()

    def is_reached(self) -> bool:
        """Whether the control database answers."""
        return self._control.is_reached()

    def close(self) -> None:
        """Finish what waits and let all databases go."""
        self.placement.close()
        self._control.close()


def beside(store: Store, work: Callable[[Session], T]) -> T:
    """Run `work` in one write transaction, while others write of other visitors; its result once it is on disk."""

    def works(session: Session, asked: Sequence[None]) -> Sequence[T]:
        return [work(session) for _ in asked]

    return store.transact_together(works, None)


def open_shards(control: "SharedStore", *, fingerprint: str) -> ShardedStore:
    """A control database and the shards that it names, if any, as one store.

    :raises StorageError: if a shard cannot be opened.
    """
    return ShardedStore(control, Placement(control, open_shard=partial(open_store, fingerprint=fingerprint)))
