"""Copies of an embedded database: made beside whoever writes, looked through, and put in its place."""

import hashlib
import os
import re
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path
from typing import IO
from typing import TypeVar

from experiments.errors import InvalidBackup
from experiments.errors import StorageBusy
from experiments.errors import StorageDamaged
from experiments.errors import StorageError
from experiments.errors import StorageLocked
from experiments.signing import Succession
from experiments.storage.seals import opens
from experiments.storage.session import Session
from experiments.storage.soundness import check_soundness
from experiments.storage.sqlite import connect
from experiments.storage.sqlite import immediate
from experiments.storage.sqlite import lock_for_serving
from experiments.storage.sqlite import migrate
from experiments.storage.sqlite import pending
from experiments.storage.sqlite import translated
from experiments.storage.sqlite import unknown_steps

T = TypeVar("T")

_ONLY_MINE = 0o600
_BLOCK_BYTES = 1 << 20
_SUM_LINE = re.compile(r"([0-9a-f]{64})  .+\n?")


def sum_path(copy: Path) -> Path:
    """Where the checksum of a copy is, in the form of `sha256sum`."""
    return Path(f"{copy}.sha256")


def make_copy(target: Path, write: Callable[[Path], None]) -> None:
    """Have a copy written into a new file, whole or not at all, with its checksum beside it.

    :raises InvalidBackup: if the file is there already.
    """
    for path in (target, sum_path(target)):
        if path.exists():
            raise InvalidBackup(f"{path} is there already: a backup overwrites nothing")
    draft = Path(f"{target}.part")
    try:
        # Before anybody else can look into it.
        os.close(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, _ONLY_MINE))
        write(draft)
        _sync(draft)
        _write(sum_path(target), f"{_sum_of(draft)}  {target.name}\n")
        os.replace(draft, target)
        _keep_names(target)
    finally:
        draft.unlink(missing_ok=True)


def vacuum(database: Path, draft: Path) -> None:
    """Write everything that is committed now into a file."""
    # What was erased or ended stays in the free pages of a file that is copied page by page.
    connection = connect(database)
    try:
        with translated(database):
            connection.execute("VACUUM INTO ?", (str(draft),))
    finally:
        connection.close()


def put_in_place(
    copy: Path, database: Path, *, secrets: Succession, aside: Path, revise: Callable[[Session], None]
) -> bool:
    """Make a copy the database, brought up to date and revised; whether there was one before, kept as `aside`.

    :raises StorageLocked: if anybody has the database open.
    :raises InvalidBackup: if the copy is not what was written, or cannot be used here.
    """
    if aside.exists():
        raise InvalidBackup(f"{aside} is there already: a restore overwrites nothing; try again in a second")
    fresh = Path(f"{database}.restoring")
    with lock_for_serving(database):
        try:
            make_ready(copy, fresh, secrets=secrets, revise=revise)
            is_kept = _set_aside(database, aside)
            os.replace(fresh, database)
            _keep_names(database)
        finally:
            fresh.unlink(missing_ok=True)
    return is_kept


def make_ready(copy: Path, fresh: Path, *, secrets: Succession, revise: Callable[[Session], None]) -> None:
    """Make a new file of a copy, which is looked through, brought up to date and revised.

    :raises InvalidBackup: if the copy is not what was written, or cannot be used here.
    """
    _copy_checked(copy, fresh)
    _check_contents(copy, fresh, secrets=secrets)
    _bring_up(fresh, revise=revise)
    _sync(fresh)


def asked_in(database: Path, ask: Callable[[Session], T], *, steps: Collection[str]) -> T | None:
    """What an embedded database says that may be of an older version; None where it has not taken these steps.

    :raises StorageError: if it cannot be read.
    """
    connection = connect(database)
    try:
        with translated(database):
            return None if set(pending(connection)) & set(steps) else ask(Session(connection))
    finally:
        connection.close()


def _copy_checked(copy: Path, fresh: Path) -> None:
    if not sum_path(copy).exists():
        raise InvalidBackup(f"{sum_path(copy)} is missing: without its checksum nobody knows whether {copy} is whole")
    match = _SUM_LINE.fullmatch(sum_path(copy).read_text(errors="replace"))
    digest = hashlib.sha256()
    with copy.open("rb") as source, open(os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, _ONLY_MINE), "wb") as to:
        for block in _blocks(source):
            digest.update(block)
            to.write(block)
    _sync(fresh)
    if match is None or match[1] != digest.hexdigest():
        raise InvalidBackup(f"{copy} is damaged: it has not the checksum that {sum_path(copy)} names")


def _check_contents(copy: Path, fresh: Path, *, secrets: Succession) -> None:
    try:
        check_soundness(fresh)
    except StorageDamaged as error:
        raise InvalidBackup(f"{copy} is no sound database of Bespoke") from error
    connection = connect(fresh)
    try:
        with _as_refusal(copy, fresh):
            unknown = unknown_steps(connection)
            is_known = opens(Session(connection), secrets)
    finally:
        connection.close()
    if unknown:
        raise InvalidBackup(f"{copy} was made by a newer version, which knows {', '.join(unknown)}: install that first")
    if not is_known:
        raise InvalidBackup(
            f"{copy} was made with another secret: with BESPOKE_SECRET as it is, every visitor would be a stranger; the"
            " one that was good then may be given as BESPOKE_SECRET_PREVIOUS"
        )


def _bring_up(fresh: Path, *, revise: Callable[[Session], None]) -> None:
    """Bring the copy up to date, and have done what it missed."""
    connection = connect(fresh, checkpoints=True)
    try:
        migrate(connection, fresh)
        with translated(fresh), immediate(connection):
            revise(Session(connection))
        with translated(fresh):
            # The whole of it must be in the one file that gets the database's name.
            connection.execute("PRAGMA journal_mode = DELETE")
    finally:
        connection.close()


@contextmanager
def _as_refusal(copy: Path, fresh: Path) -> Iterator[None]:
    try:
        with translated(fresh):
            yield
    except StorageError as error:
        raise InvalidBackup(f"{copy} is no database of Bespoke") from error


def _set_aside(database: Path, aside: Path) -> bool:
    """Keep the old file under another name, its log too; both have two names until the new one has come."""
    if not database.exists():
        return False
    _fold(database)
    log, shared = Path(f"{database}-wal"), Path(f"{database}-shm")
    os.link(database, aside)
    with suppress(FileNotFoundError):
        os.link(log, f"{aside}-wal")
    _keep_names(database)
    # An old log beside a new database would be taken in, and ruin it.
    log.unlink(missing_ok=True)
    shared.unlink(missing_ok=True)
    return True


def _fold(database: Path) -> None:
    """Take the log into the old file, which works only while nobody else has it open."""
    try:
        _leave_log(database)
    except StorageDamaged:
        # That may be why something is restored: it is kept as it is.
        return
    except StorageBusy as error:
        raise StorageLocked(f"{database} is open in another process, a scheduler or a command: end it first") from error


def _leave_log(database: Path) -> None:
    connection = connect(database, checkpoints=True)
    try:
        with translated(database):
            connection.execute("PRAGMA busy_timeout = 500")
            connection.execute("PRAGMA journal_mode = DELETE")
    finally:
        connection.close()


def _sum_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in _blocks(file):
            digest.update(block)
    return digest.hexdigest()


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: file.read(_BLOCK_BYTES), b"")


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    _sync(path)


def _sync(path: Path) -> None:
    """Have the file, or the names in the folder, on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _keep_names(path: Path) -> None:
    _sync(path.parent)
