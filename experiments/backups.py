"""Backups: everything that was acknowledged before one began is in it, and it comes back as it was."""

from datetime import datetime
from datetime import timezone
from pathlib import Path

from experiments.audit import Change
from experiments.audit import Deed
from experiments.audit import configure
from experiments.storage.copies import make_copy
from experiments.storage.copies import put_in_place
from experiments.errors import InvalidBackup
from experiments.storage.location import Location
from experiments.storage.location import Server
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.storage.store import open_store

_NEWEST = "backed_up_ms"


def back_up(store: Store, database: Location, target: Path, *, now_ms: int) -> None:
    """Copy the database into a new file, beside whoever serves it; the database remembers when.

    :raises InvalidBackup: if the file is there already.
    """
    if isinstance(database, Server):
        raise InvalidBackup(f"{database}: backups of PostgreSQL are made with its own programs")
    make_copy(database, target)
    store.transact(lambda session: session.meta.set(_NEWEST, str(now_ms)))


def backed_up_ms(session: Session) -> int | None:
    """When the newest backup was begun, in ms since 1970, UTC; None where there is none."""
    text = session.meta.get(_NEWEST)
    return None if text is None else int(text)


def restore(source: Path, database: Location, *, fingerprint: str, now_ms: int) -> Path | None:
    """Make a backup the database; where the old one is kept, or None where there was none.

    :raises StorageLocked: if a server or a command has the database open.
    :raises InvalidBackup: if the backup is damaged, of a newer version, or made with another secret.
    """
    if isinstance(database, Server):
        raise InvalidBackup(f"{database}: backups of PostgreSQL are restored with its own programs")
    moment = datetime.fromtimestamp(now_ms / 1000, timezone.utc)
    aside = Path(f"{database}.before-{moment:%Y%m%dT%H%M%SZ}")
    is_kept = put_in_place(source, database, fingerprint=fingerprint, aside=aside, now_ms=now_ms)
    _tell(database, source, fingerprint=fingerprint, deed=Deed("command line", now_ms))
    return aside if is_kept else None


def _tell(database: Path, source: Path, *, fingerprint: str, deed: Deed) -> None:
    """Write into the audit log that everything is as it was then."""
    store = open_store(database, fingerprint=fingerprint)
    try:
        configure(store, lambda _: Change(None, "restore", source.name), deed=deed)
    finally:
        store.close()
