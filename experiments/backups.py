"""Backups: everything that was acknowledged before one began is in it, and it comes back as it was."""

from collections.abc import Callable
from collections.abc import Sequence
from datetime import datetime
from datetime import timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from experiments.audit import Change
from experiments.audit import Deed
from experiments.audit import configure
from experiments.batches import batched
from experiments.erasure import erase_all
from experiments.erasure import find_erased
from experiments.erasure import forget_all
from experiments.errors import InvalidBackup
from experiments.errors import StorageError
from experiments.partitions import EVERYBODY
from experiments.signing import Keyring
from experiments.snapshot import all_experiments
from experiments.storage.copies import asked_in
from experiments.storage.copies import make_copy
from experiments.storage.copies import make_ready
from experiments.storage.copies import put_in_place
from experiments.storage.copies import vacuum
from experiments.storage.location import Location
from experiments.storage.location import Server
from experiments.storage.opt_outs import OptOutRow
from experiments.storage.portable import pour_in
from experiments.storage.portable import pour_out
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store

_NEWEST = "backed_up_ms"
#: Those of the schema that brought what visitors ask for.
_STEPS = ("0012_opt_outs", "0013_erasure")


def back_up(store: Store, database: Location, target: Path, *, now_ms: int) -> None:
    """Copy the database into a new file, beside whoever serves it; the database remembers when.

    :raises InvalidBackup: if the file is there already, or visitors are in shards.
    """
    if isinstance(database, Server) and (shards := store.read(lambda session: session.shards.all())):
        raise InvalidBackup(
            f"{database} has shards ({', '.join(row.name for row in shards)}): a backup is of one database alone; use"
            " PostgreSQL's own for each of them"
        )
    make_copy(target, lambda draft: _write(store, database, draft))
    store.transact(lambda session: session.meta.set(_NEWEST, str(now_ms)))


def _write(store: Store, database: Location, draft: Path) -> None:
    if isinstance(database, Server):
        store.read(lambda session: pour_out(session, draft))
    else:
        vacuum(database, draft)


def backed_up_ms(session: Session) -> int | None:
    """When the newest backup was begun, in ms since 1970, UTC; None where there is none."""
    text = session.meta.get(_NEWEST)
    return None if text is None else int(text)


class Restored(NamedTuple):
    """Where the old database is kept, if there was one, and what came of erasures that the backup knows nothing of.

    `erased` are the visitors who were erased again; `fault` is why it is not known who should be.
    """

    aside: Path | None
    erased: int
    fault: StorageError | None


def restore(
    source: Path, database: Location, *, keyring: Keyring, erasures_of: Sequence[Location] = (), now_ms: int
) -> Restored:
    """Make a backup the database; whoever was erased in the old one, or in those others, is erased in it again.

    It may have been made of an embedded database or of PostgreSQL, and either may be made of it. A database of
    PostgreSQL must be empty.

    :raises StorageLocked: if a server or a command has the database open.
    :raises InvalidBackup: if the backup is damaged, of a newer version, or made with another secret.
    """
    moment = datetime.fromtimestamp(now_ms / 1000, timezone.utc)
    aside = Path(f"{database}.before-{moment:%Y%m%dT%H%M%SZ}")
    again = _Again(keyring)
    for other in erasures_of:
        again.read(other)
    if isinstance(database, Server):
        is_kept = False
        _load(source, database, fingerprint=keyring.fingerprint, now_ms=now_ms, revise=again)
    else:
        again.read_old(database)
        is_kept = put_in_place(
            source, database, fingerprint=keyring.fingerprint, aside=aside, now_ms=now_ms, revise=again
        )
    _tell(database, source, fingerprint=keyring.fingerprint, deed=Deed("command line", now_ms))
    return Restored(aside if is_kept else None, again.erased, again.fault)


class _Wishes(NamedTuple):
    """What visitors have asked for: to be erased, by marks with their ends, and not to be counted."""

    marks: list[tuple[bytes, int]]
    opt_outs: list[OptOutRow]


def _wishes(session: Session) -> _Wishes:
    return _Wishes(session.tombstones.all(), session.opt_outs.all())


class _Again:
    """Does again, in a backup, what visitors have asked for since, as far as other databases know."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._wishes = _Wishes([], [])
        self.erased = 0
        self.fault: StorageError | None = None

    def read(self, database: Location) -> None:
        """Take in what a database knows.

        :raises StorageError: if it cannot be read.
        """
        if isinstance(database, Server):
            found: _Wishes | None = self._ask(database)
        elif database.exists():
            found = asked_in(database, _wishes, steps=_STEPS)
        else:
            raise StorageError(f"{database} does not exist")
        if found:
            self._wishes.marks.extend(found.marks)
            self._wishes.opt_outs.extend(found.opt_outs)

    def _ask(self, server: Server) -> _Wishes:
        store = open_store(server, fingerprint=self._keyring.fingerprint)
        try:
            return store.read(_wishes)
        finally:
            store.close()

    def read_old(self, database: Path) -> None:
        """Take in what the old database knows, if there is one; that it is damaged may be why something is restored."""
        try:
            if database.exists():
                self.read(database)
        except StorageError as error:
            self.fault = error

    def __call__(self, session: Session) -> None:
        """Do it."""
        self._object(session)
        session.tombstones.keep(self._wishes.marks)
        marks, experiments = {mark for mark, _ in self._wishes.marks}, all_experiments(session)
        found = find_erased(session, EVERYBODY, marks, experiments=experiments, keyring=self._keyring)
        for visitors in batched(found):
            erase_all(session, visitors, experiments=experiments)
            forget_all(session, visitors)
        self.erased = len(found)

    def _object(self, session: Session) -> None:
        known = {row.visitor: row.at_ms for row in session.opt_outs.all()}
        newer = [row for row in self._wishes.opt_outs if row.at_ms > known.get(row.visitor, -1)]
        if newer:
            session.opt_outs.keep(newer, version=session.meta.next_opt_outs_version())


def _load(
    source: Path, server: Server, *, fingerprint: str, now_ms: int, revise: Callable[[Session], None]
) -> None:
    """Put a backup into a database of PostgreSQL, all of it or nothing."""
    with TemporaryDirectory() as folder:
        fresh = Path(folder) / "fresh.db"
        make_ready(source, fresh, fingerprint=fingerprint, now_ms=now_ms, revise=revise)
        migrate_database(server, fingerprint=fingerprint)
        store = open_store(server, fingerprint=fingerprint)
        try:
            store.transact(lambda session: pour_in(session, fresh))
        finally:
            store.close()


def _tell(database: Location, source: Path, *, fingerprint: str, deed: Deed) -> None:
    """Write into the audit log that everything is as it was then."""
    store = open_store(database, fingerprint=fingerprint)
    try:
        configure(store, lambda _: Change(None, "restore", source.name), deed=deed)
    finally:
        store.close()
