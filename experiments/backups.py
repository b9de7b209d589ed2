"""Backups: everything that was acknowledged before one began is in it, and it comes back as it was."""

from datetime import datetime
from datetime import timezone
from pathlib import Path
from tempfile import TemporaryDirectory

from experiments.audit import Change
from experiments.audit import Deed
from experiments.audit import configure
from experiments.errors import InvalidBackup
from experiments.storage.copies import make_copy
from experiments.storage.copies import make_ready
from experiments.storage.copies import put_in_place
from experiments.storage.copies import vacuum
from experiments.storage.location import Location
from experiments.storage.location import Server
from experiments.storage.portable import pour_in
from experiments.storage.portable import pour_out
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store

_NEWEST = "backed_up_ms"


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


def restore(source: Path, database: Location, *, fingerprint: str, now_ms: int) -> Path | None:
    """Make a backup the database; where the old one is kept, or None where there was none.

    It may have been made of an embedded database or of PostgreSQL, and either may be made of it. A database of
    PostgreSQL must be empty.

    :raises StorageLocked: if a server or a command has the database open.
    :raises InvalidBackup: if the backup is damaged, of a newer version, or made with another secret.
    """
    moment = datetime.fromtimestamp(now_ms / 1000, timezone.utc)
    aside = Path(f"{database}.before-{moment:%Y%m%dT%H%M%SZ}")
    if isinstance(database, Server):
        is_kept = False
        _load(source, database, fingerprint=fingerprint, now_ms=now_ms)
    else:
        is_kept = put_in_place(source, database, fingerprint=fingerprint, aside=aside, now_ms=now_ms)
    _tell(database, source, fingerprint=fingerprint, deed=Deed("command line", now_ms))
    return aside if is_kept else None


def _load(source: Path, server: Server, *, fingerprint: str, now_ms: int) -> None:
    """Put a backup into a database of PostgreSQL, all of it or nothing."""
    with TemporaryDirectory() as folder:
        fresh = Path(folder) / "fresh.db"
        make_ready(source, fresh, fingerprint=fingerprint, now_ms=now_ms)
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
