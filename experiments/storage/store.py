"""The store: where use cases read and write, whichever database is behind it."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from threading import Event
from typing import Protocol
from typing import TypeVar

from experiments.errors import SecretMismatch
from experiments.errors import StorageError
from experiments.model import Exposure
from experiments.storage.embedded_store import SqliteStore
from experiments.storage.embedded_store import migrate_embedded
from experiments.storage.embedded_store import pending_in
from experiments.storage.location import Location
from experiments.storage.location import Server
from experiments.storage.pace import Pace
from experiments.storage.parts import Part
from experiments.storage.session import Session

A = TypeVar("A")
T = TypeVar("T")


class Store(Protocol):
    """What use cases ask of a database."""

    def read(self, work: Callable[[Session], T]) -> T:
        """Run `work` on one consistent state."""

    def transact(self, work: Callable[[Session], T]) -> T:
        """Run `work` in one write transaction; its result once it is on disk."""

    @property
    def partitions(self) -> int:
        """In how many parts visitors are written; a transaction is of one of them."""

    def transact_together(
        self,
        work: Callable[[Session, Sequence[A]], Sequence[T]],
        item: A,
        *,
        visitors: int = 1,
        partition: int = 0,
    ) -> T:
        """Run `work` in one write transaction, on this item and on those that come with equal work meanwhile.

        It gives one result for each item, as if it were run for one after another. Others may be writing of other
        visitors: it holds its own, so many at most, before it reads anything of them. They are of one partition.
        """

    def exposures_of(self, visitor: bytes, experiments: Iterable[str]) -> dict[str, Exposure]:
        """What exposures of a visitor fixed, by those of the experiments where there is one.

        :raises NotLookedUp: if the server that has them cannot be reached.
        """

    def parts(self) -> Sequence[Part]:
        """All visitors, in the order of their stand-ins, by the databases that they are in."""

    def part_of(self, visitor: bytes) -> Part:
        """The part that a visitor is in."""

    def changes(self) -> int:
        """A number that differs once anybody else has changed what people and jobs configure (per thread)."""

    def await_changes(self, stopped: Event, *, seconds: float) -> None:
        """Wait until somebody may have changed what people and jobs configure, at most so long; less when stopped."""

    def close(self) -> None:
        """Finish what waits and let the database go."""


class OwnStore(Store, Protocol):
    """A store as whoever opened it has it."""

    def pace(self) -> Pace:
        """How its writer gets on."""

    def queued(self) -> int:
        """How many works wait for the writer."""

    def is_reached(self) -> bool:
        """Whether its server answers; where it does not, evaluations go on by what is known."""

    def forget_exposures(self) -> None:
        """Look up anew what exposures fixed; for when some have been removed."""


def migrate_database(location: Location, *, fingerprint: str) -> list[str]:
    """Create or update the database; the names of the steps taken.

    :raises StorageDamaged: if it is not sound, as far as a start has time to look.
    :raises StorageError: if a newer version has been at work on it.
    :raises SecretMismatch: if it was made with another secret.
    """
    if isinstance(location, Server):
        return _migrate_shared(location, fingerprint=fingerprint)
    return migrate_embedded(location, check=lambda session: _check_fingerprint(session, fingerprint))


def _migrate_shared(server: Server, *, fingerprint: str) -> list[str]:
    with _client():
        from experiments.storage.shared_store import SharedStore
        from experiments.storage.shared_store import migrate_shared
    taken = migrate_shared(server)
    store = SharedStore(server)
    try:
        store.transact(lambda session: _check_fingerprint(session, fingerprint))
    finally:
        store.close()
    return taken


def open_store(location: Location, *, fingerprint: str, serving: bool = False, partitions: int = 1) -> OwnStore:
    """Open a database that is there and up to date.

    :raises StorageError: if it is missing or of another version.
    :raises SecretMismatch: if it was made with another secret.
    """
    store = _opened(location, serving=serving, partitions=partitions)
    try:
        store.read(lambda session: _check_fingerprint(session, fingerprint))
    except BaseException:
        store.close()
        raise
    return store


def _opened(location: Location, *, serving: bool, partitions: int) -> OwnStore:
    if isinstance(location, Server):
        with _client():
            from experiments.storage.shared_store import SharedStore
            from experiments.storage.shared_store import pending_of
        _check_steps(location, pending_of(location))
        return SharedStore(location, serving=serving, partitions=partitions)
    _check_steps(location, pending_in(location))
    return SqliteStore(location, serving=serving)


@contextmanager
def _client() -> Iterator[None]:
    """Say how to get PostgreSQL's client where it is missing: an embedded database does without."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise StorageError(f"PostgreSQL needs the package {error.name}: pip install -e '.[postgres]'") from error


def _check_steps(location: Location, missing: list[str]) -> None:
    if missing:
        raise StorageError(f"{location} lacks {', '.join(missing)}: `bespoke init` brings it up to date")


def _check_fingerprint(session: Session, fingerprint: str) -> None:
    kept = session.meta.get("secret_fingerprint")
    if kept is None:
        session.meta.set("secret_fingerprint", fingerprint)
    elif kept != fingerprint:
        raise SecretMismatch(
            "BESPOKE_SECRET is not the secret that this database was made with; with another one every visitor "
            "would be a stranger: bring the old secret back"
        )
