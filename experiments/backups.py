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
from experiments.errors import InvalidBackup
from experiments.errors import StorageError
from experiments.partitions import EVERYBODY
from experiments.privacy.erasure import erase_all
from experiments.privacy.erasure import find_erased
from experiments.privacy.erasure import forget_all
from experiments.signing import Succession
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
from experiments.storage.seals import fingerprint_of
from experiments.storage.seals import found_keys
from experiments.storage.seals import seal_anew
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.storage.store import migrate_own
from experiments.storage.store import open_own

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
    source: Path,
    database: Location,
    *,
    secrets: Succession,
    random: Callable[[int], bytes],
    erasures_of: Sequence[Location] = (),
    now_ms: int,
) -> Restored:
    """Make a backup the database; whoever was erased in the old one, or in those others, is erased in it again.

    It may have been made of an embedded database or of PostgreSQL, and either may be made of it. A database of
    PostgreSQL must be empty. Only the current secret opens it from then on.

    :raises StorageLocked: if a server or a command has the database open.
    :raises InvalidBackup: if the backup is damaged, of a newer version, or made with another secret.
    """
    moment = datetime.fromtimestamp(now_ms / 1000, timezone.utc)
    aside = Path(f"{database}.before-{moment:%Y%m%dT%H%M%SZ}")
    again = _Again(secrets, random, now_ms)
    for other in erasures_of:
        again.read(other)
    if isinstance(database, Server):
        is_kept = False
        _load(source, database, secrets=secrets, revise=again)
    else:
        again.read_old(database)
        is_kept = put_in_place(source, database, secrets=secrets, aside=aside, revise=again)
    _tell(database, source, secrets=secrets, deed=Deed("command line", now_ms))
    return Restored(aside if is_kept else None, again.erased, again.fault)


class _Wishes(NamedTuple):
    """What visitors have asked an installation for: to be erased, by marks with their ends, and not to be counted."""

    fingerprint: str | None
    marks: list[tuple[bytes, int]]
    opt_outs: list[OptOutRow]


def _wishes(session: Session) -> _Wishes:
    return _Wishes(fingerprint_of(session), session.tombstones.all(), session.opt_outs.all())


class _Again:
    """Does again, in a backup, what visitors have asked for since, as far as other databases know."""

    def __init__(self, secrets: Succession, random: Callable[[int], bytes], now_ms: int) -> None:
        self._secrets = secrets
        self.random = random
        self._now_ms = now_ms
        self._wishes: dict[Location, _Wishes] = {}
        self._old: Location | None = None
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
            self._wishes[database] = found

    def _ask(self, server: Server) -> _Wishes:
        store, _ = open_own(server, secrets=self._secrets)
        try:
            return store.read(_wishes)
        finally:
            store.close()

    def read_old(self, database: Path) -> None:
        """Take in what the old database knows, if there is one; that it is damaged may be why something is restored."""
        self._old = database
        try:
            if database.exists():
                self.read(database)
        except StorageError as error:
            self.fault = error

    def __call__(self, session: Session) -> None:
        """Do it; and let the database know that it was restored, and what may have been lost with that."""
        session.restores.mark(now_ms=self._now_ms)
        seal_anew(session, self._secrets, random=self.random, now_ms=self._now_ms)
        keyring, wishes = found_keys(session, self._secrets), self._of_this_installation(session)
        self._object(session, wishes.opt_outs)
        session.tombstones.keep(wishes.marks)
        marks, experiments = {mark for mark, _ in wishes.marks}, all_experiments(session)
        found = find_erased(session, EVERYBODY, marks, experiments=experiments, keyring=keyring)
        for visitors in batched(found):
            erase_all(session, visitors, experiments=experiments)
            forget_all(session, visitors)
        self.erased = len(found)

    def _of_this_installation(self, session: Session) -> _Wishes:
        """All wishes together: marks and stand-ins of another installation mean nothing here.

        :raises StorageError: if a database was named that is another installation's.
        """
        together = _Wishes(fingerprint_of(session), [], [])
        for database, wishes in self._wishes.items():
            if wishes.fingerprint == together.fingerprint:
                together.marks.extend(wishes.marks)
                together.opt_outs.extend(wishes.opt_outs)
            elif wishes.marks or wishes.opt_outs:
                self._refuse(database)
        return together

    def _refuse(self, database: Location) -> None:
        fault = StorageError(f"{database} is another installation's")
        if database != self._old:
            raise fault
        self.fault = fault

    def _object(self, session: Session, opt_outs: Sequence[OptOutRow]) -> None:
        known = {row.visitor: row.at_ms for row in session.opt_outs.all()}
        newer = [row for row in opt_outs if row.at_ms > known.get(row.visitor, -1)]
        if newer:
            session.opt_outs.keep(newer, version=session.meta.next_opt_outs_version())


def _load(source: Path, server: Server, *, secrets: Succession, revise: _Again) -> None:
    """Put a backup into a database of PostgreSQL, all of it or nothing."""
    with TemporaryDirectory() as folder:
        fresh = Path(folder) / "fresh.db"
        make_ready(source, fresh, secrets=secrets, revise=revise)
        migrate_own(server, secrets=secrets, random=revise.random)
        store, _ = open_own(server, secrets=secrets)
        try:
            store.transact(lambda session: pour_in(session, fresh))
        finally:
            store.close()


def _tell(database: Location, source: Path, *, secrets: Succession, deed: Deed) -> None:
    """Write into the audit log that everything is as it was then."""
    store, _ = open_own(database, secrets=secrets)
    try:
        configure(store, lambda _: Change(None, "restore", source.name), deed=deed)
    finally:
        store.close()
