"""The store: where use cases read and write, whichever database is behind it."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from threading import Event
from typing import Protocol
from typing import TypeVar

from experiments.errors import StorageError
from experiments.model import Exposure
from experiments.signing import Keyring
from experiments.signing import Succession
from experiments.storage.embedded_store import SqliteStore
from experiments.storage.embedded_store import migrate_embedded
from experiments.storage.embedded_store import pending_in
from experiments.storage.location import Location
from experiments.storage.location import Server
from experiments.storage.pace import Pace
from experiments.storage.parts import Part
from experiments.storage.seals import check_fingerprint
from experiments.storage.seals import fingerprint_of
from experiments.storage.seals import found_keys
from experiments.storage.seals import make_root
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

    def databases(self) -> Mapping[str, "Store"]:
        """Each database that may have visitors, by name; first the one that has the experiments.

        :raises StorageUnreachable: if one cannot be opened.
        """

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
    """Create or update a database of the installation with this fingerprint; the names of the steps taken.

    :raises StorageDamaged: if it is not sound, as far as a start has time to look.
    :raises StorageError: if a newer version has been at work on it.
    :raises SecretMismatch: if it is another installation's.
    """
    return _migrated(location, lambda session: check_fingerprint(session, fingerprint))


def migrate_own(location: Location, *, secrets: Succession, random: Callable[[int], bytes]) -> list[str]:
    """Create or update the database that an installation has its keys in; the names of the steps taken.

    :raises StorageDamaged: if it is not sound, as far as a start has time to look.
    :raises StorageError: if a newer version has been at work on it.
    :raises SecretMismatch: if none of the secrets opens the keys.
    """
    return _migrated(location, lambda session: make_root(session, secrets, random=random))


def _migrated(location: Location, check: Callable[[Session], None]) -> list[str]:
    taken = _migrate(location)
    store = _opened(location)
    try:
        # Whoever only looks must not need to write.
        is_new = store.read(lambda session: fingerprint_of(session) is None)
        (store.transact if is_new else store.read)(check)
    finally:
        store.close()
    return taken


def _migrate(location: Location) -> list[str]:
    if not isinstance(location, Server):
        return migrate_embedded(location)
    with _client():
        from experiments.storage.shared_store import migrate_shared
    return migrate_shared(location)


def open_store(location: Location, *, fingerprint: str, serving: bool = False, partitions: int = 1) -> OwnStore:
    """Open a database of the installation with this fingerprint, which is there and up to date.

    :raises StorageError: if it is missing or of another version.
    :raises SecretMismatch: if it is another installation's.
    """
    store = _opened(location, serving=serving, partitions=partitions)
    _asked(store, lambda session: check_fingerprint(session, fingerprint))
    return store


def open_own(location: Location, *, secrets: Succession, serving: bool = False) -> tuple[OwnStore, Keyring]:
    """Open the database that an installation has its keys in, which is there and up to date; and the keys.

    :raises StorageError: if it is missing or of another version.
    :raises SecretMismatch: if none of the secrets opens the keys.
    """
    store = _opened(location, serving=serving)
    return store, _asked(store, lambda session: found_keys(session, secrets))


def _asked(store: OwnStore, work: Callable[[Session], T]) -> T:
    """What a store says that was opened for this; one that says nothing is closed."""
    try:
        return store.read(work)
    except BaseException:
        store.close()
        raise


def _opened(location: Location, *, serving: bool = False, partitions: int = 1) -> OwnStore:
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
