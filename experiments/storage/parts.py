"""Parts of the visitors: how all rows of visitors are read and removed, in however many databases these are."""

from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Protocol
from typing import TypeVar

from experiments.partitions import EVERYBODY
from experiments.partitions import Span
from experiments.storage.session import Session

if TYPE_CHECKING:
    from experiments.storage.store import Store

T = TypeVar("T")


def nothing(session: Session) -> None:
    """What follows where nothing has to."""


class Part(Protocol):
    """The visitors of a span, all of whose rows are in one database."""

    @property
    def span(self) -> Span:
        """Who they are."""

    def read(self, work: Callable[[Session], T]) -> T:
        """Run `work` on one consistent state of the database that they are in.

        :raises StorageError: if it cannot be had.
        """

    def transact(self, work: Callable[[Session], T], *, then: Callable[[Session], None] = nothing) -> T:
        """Run `work` in one write transaction where they are, while nobody else writes of them.

        What follows is done where experiments are: in the same transaction where that is the same database, in one
        of its own after it where it is another.

        :raises StorageError: if it cannot be done now; done again, it is.
        """


class Whole:
    """All visitors, where a store is one database."""

    span = EVERYBODY

    def __init__(self, store: "Store") -> None:
        self._store = store

    def read(self, work: Callable[[Session], T]) -> T:
        """Run `work` on one consistent state of the database."""
        return self._store.read(work)

    def transact(self, work: Callable[[Session], T], *, then: Callable[[Session], None] = nothing) -> T:
        """Run `work`, and what follows, in one write transaction."""
        return self._store.transact(lambda session: both(session, work, then))


def both(session: Session, work: Callable[[Session], T], then: Callable[[Session], None]) -> T:
    """What comes of `work`, once what follows is done in the same transaction."""
    result = work(session)
    then(session)
    return result
