"""A file that is damaged, or that may not be written, is refused at the start, with one line that says what to do."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite3

from experiments.errors import StorageDamaged
from experiments.errors import StorageError
from experiments.storage.log_file import check_log
from tests.experiments.documents import spring_mailing
from tests.service.processes import PATIENCE_SECONDS
from tests.service.processes import Installed
from tests.service.processes import ServerProcess
from tests.service.processes import free_port
from tests.service.unprivileged import without_privileges
from tests.service.witnesses import at_work
from tests.service.witnesses import more_come

PAGE = 4096


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a server that was killed under load: much of what it acknowledged is in its log alone."""
    installed = Installed(tmp_path_factory.mktemp("crashed"))
    installed.run_experiment(spring_mailing())
    server = ServerProcess(installed)
    with at_work(server) as witnesses:
        more_come(witnesses, 30)
        server.kill_everything()
    return installed.folder


@pytest.fixture
def installed(crashed: Path, tmp_path: Path) -> Installed:
    """A copy of it."""
    return Installed(shutil.copytree(crashed, tmp_path / "copy"))


@pytest.fixture
def closed(installed: Installed) -> Installed:
    """The same, its log taken in."""
    with installed.opened():
        pass
    return installed


def flip(path: Path, *places: int) -> None:
    """Let the bits of some bytes be others."""
    data = bytearray(path.read_bytes())
    for place in places:
        data[place] ^= 0xFF
    path.write_bytes(data)


def refused(finished: "subprocess.CompletedProcess[str]", *, saying: str) -> None:
    """It must have ended at once, with one line that says what is wrong and what helps."""
    assert (finished.returncode, finished.stderr.count("\n")) == (1, 1), finished.stderr
    assert saying in finished.stderr
    assert "bespoke.db" in finished.stderr


def served(installed: Installed) -> "subprocess.CompletedProcess[str]":
    """How a server ends that is refused."""
    return installed.command("serve", "--port", str(free_port()))


def flip_index(path: Path) -> None:
    """Harm the index of events, at which no start looks by itself."""
    connection = sqlite3.connect(str(path))
    asked = "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_events_1'"
    [root] = connection.execute(asked).fetchone()
    connection.close()
    flip(path, (root - 1) * PAGE)


HARMS: dict[str, Callable[[Path], object]] = {
    "its first bytes": lambda path: flip(path, 3),
    "its page size": lambda path: flip(path, 16),
    "the kind of a page of a table": lambda path: flip(path, 5 * PAGE),
    "a page of an index": flip_index,
    "a whole page": lambda path: flip(path, *range(7 * PAGE, 8 * PAGE)),
    "its end": lambda path: os.truncate(path, path.stat().st_size - 3 * PAGE),
    "half of it": lambda path: os.truncate(path, path.stat().st_size // 2 + 100),
}


RESTORE = "`bespoke restore FILE` brings a backup back"


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_database_is_refused_with_the_way_to_restore_it(closed: Installed, harm: str) -> None:
    HARMS[harm](closed.database)
    with pytest.raises(StorageDamaged, match=re.escape(RESTORE)), closed.opened():
        pass


def test_a_server_on_a_damaged_database_ends_with_one_line(closed: Installed) -> None:
    HARMS["a page of an index"](closed.database)
    refused(served(closed), saying=RESTORE)


def test_whatever_server_starts_the_application_does_not_with_a_damaged_database(closed: Installed) -> None:
    HARMS["a page of an index"](closed.database)
    line = [sys.executable, "-c", "import wsgi"]
    started = subprocess.run(line, env=closed.environ, cwd=closed.folder, capture_output=True, text=True, check=False)
    assert started.returncode == 1
    assert RESTORE in started.stderr.splitlines()[-1]
    refused(closed.command("init"), saying=RESTORE)


@pytest.mark.parametrize("frame", [0, 3])
def test_a_log_that_breaks_off_before_what_was_acknowledged_is_refused(installed: Installed, frame: int) -> None:
    flip(log_of(installed), 32 + frame * (24 + PAGE) + 200)
    for _ in range(2):
        refused(served(installed), saying="its log breaks off before transactions that were acknowledged")


def test_a_log_whose_beginning_is_damaged_is_refused(installed: Installed) -> None:
    flip(log_of(installed), 10)
    refused(served(installed), saying="its log breaks off")


def test_a_log_whose_last_transaction_is_half_on_disk_is_none_that_is_damaged(installed: Installed) -> None:
    log = log_of(installed)
    whole = log.read_bytes()
    for end in range(len(whole) - 3 * (24 + PAGE), len(whole), 1999):
        log.write_bytes(whole[:end])
        check_log(installed.database)
    log.write_bytes(whole)
    check_log(installed.database)


def test_a_log_that_began_anew_over_an_older_one_is_none_that_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "bespoke.db"
    connection = sqlite3.connect(str(path), isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE things (name TEXT)")
    for number in range(20):
        connection.execute("INSERT INTO things VALUES (?)", (f"thing {number}" * 900,))
    connection.execute("PRAGMA wal_checkpoint(RESTART)")
    connection.execute("INSERT INTO things VALUES ('the first of the new ones')")
    assert log_size(path) > 20 * PAGE
    check_log(path)
    connection.close()


def log_of(installed: Installed) -> Path:
    """The log, of which there must be enough to be damaged."""
    assert log_size(installed.database) > 20 * PAGE
    return Path(f"{installed.database}-wal")


def log_size(path: Path) -> int:
    """The bytes of a database's log."""
    return Path(f"{path}-wal").stat().st_size


@pytest.mark.parametrize("place", range(0, 100, 3))
def test_whatever_byte_of_the_header_is_wrong_it_serves_what_it_had_or_refuses(
    closed: Installed, place: int
) -> None:
    flip(closed.database, place)
    try:
        with closed.opened() as installation:
            assert installation.store.read(lambda session: session.exposures.has_any("spring-mailing"))
    except StorageError:
        return


FORBIDDEN: dict[str, Callable[[Path], object]] = {
    "a file that may only be read": lambda folder: (folder / "bespoke.db").chmod(0o444),
    "a file of somebody else's": lambda folder: (folder / "bespoke.db").chmod(0o000),
    "a folder that may only be read": lambda folder: folder.chmod(0o555),
    "a lock of somebody else's": lambda folder: (folder / "bespoke.db-serve.lock").chmod(0o000),
    "commits of somebody else's": lambda folder: (folder / "bespoke.db-commits").chmod(0o000),
    "a secret of somebody else's": lambda folder: (folder / "bespoke.db.secret").chmod(0o000),
}


def unprivileged(installed: Installed, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """How a command ends that may do no more than files allow."""
    return subprocess.run(
        [sys.executable, "-m", "service.cli", *arguments],
        env=installed.environ,
        cwd=installed.folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        preexec_fn=without_privileges,
        check=False,
    )


@pytest.mark.parametrize("forbidden", FORBIDDEN)
def test_what_may_not_be_written_is_refused_by_name(closed: Installed, forbidden: str) -> None:
    FORBIDDEN[forbidden](closed.folder)
    refused(unprivileged(closed, "serve", "--port", str(free_port())), saying="ermission")
    closed.folder.chmod(0o755)


def test_a_key_that_was_made_is_told_even_if_the_log_cannot_be_looked_after(closed: Installed) -> None:
    FORBIDDEN["a lock of somebody else's"](closed.folder)
    made = unprivileged(closed, "key", "create", "--scope", "report")
    assert (made.returncode, len(made.stdout.split())) == (0, 1)
    assert "the log is not taken in for now" in made.stderr
