"""A disk that is full, and a lock that others hold: events are refused and may be sent again, evaluations go on."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import pytest
from pysqlite3 import dbapi2 as sqlite3

from experiments.errors import StorageError
from experiments.storage.store import Store
from tests.experiments.documents import spring_mailing
from tests.service.disks import Disk
from tests.service.disks import mounted
from tests.service.processes import PATIENCE_SECONDS
from tests.service.processes import Installed
from tests.service.processes import ServerProcess
from tests.service.processes import wait_until
from tests.service.witnesses import KEY
from tests.service.witnesses import at_work
from tests.service.witnesses import check_exactly_once
from tests.service.witnesses import events
from tests.service.witnesses import more_come
from tests.service.witnesses import witnessed


class Answer(NamedTuple):
    """What a batch was answered, and after how many seconds it may be sent again."""

    status: int
    code: str
    retry_after: int


class Sender:
    """Somebody who brings visitors and sends their events."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._key = server.installed.done("key", "create", "--scope", "server")

    def evaluate(self, visitor: str) -> str:
        """The token of an evaluation, which must succeed."""
        asked = {"context": {"targetingKey": visitor}}
        status, answer = self._server.ask("POST", f"/ofrep/v1/evaluate/flags/{KEY}", asked, key=self._key)
        assert status == 200
        return str(answer["metadata"]["token"])

    def send(self, visitor: str) -> Answer:
        """Send a visitor's exposure and purchase."""
        body = json.dumps({"batch": events(visitor, token=self.evaluate(visitor))})
        connection = HTTPConnection("127.0.0.1", self._server.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("POST", "/v1/batch", body, {"Authorization": f"Bearer {self._key}"})
            response = connection.getresponse()
            answer = json.loads(response.read())
            return Answer(response.status, answer.get("code", ""), int(response.headers.get("Retry-After", 0)))
        finally:
            connection.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk that can be filled."""
    (tmp_path / "disk").mkdir()
    with mounted(tmp_path / "disk") as disk:
        yield disk


@contextmanager
def serving(folder: Path, *, ledgers: Path) -> Iterator[ServerProcess]:
    """A server whose witnesses keep their ledgers elsewhere."""
    installed = witnessed(folder)
    installed.folder = ledgers
    server = ServerProcess(installed)
    try:
        yield server
    finally:
        if server.main.poll() is None:
            server.kill_everything()


def integrity(database: Path) -> str:
    """What SQLite finds wrong with a file."""
    connection = sqlite3.connect(str(database))
    try:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()


def until_refused(disk: Disk, server: ServerProcess, sender: Sender) -> Answer:
    """Leave no space until events are refused; the server finds some in its log, now and then."""
    answers: list[Answer] = []

    def is_refused() -> bool:
        disk.fill(server)
        answers.append(sender.send(f"cem-{len(answers)}"))
        return answers[-1].status != 200

    wait_until(is_refused, what="events are refused")
    return answers[-1]


def test_a_full_disk_refuses_events_evaluates_on_and_loses_nothing_when_it_has_space_again(
    disk: Disk, tmp_path: Path
) -> None:
    with serving(disk.folder, ledgers=tmp_path) as server:
        sender = Sender(server)
        with at_work(server) as witnesses:
            more_come(witnesses, 20)
            for number in range(3):
                refused = until_refused(disk, server, sender)
                expected = Answer(507, "storage_full", 60) if disk.is_small else Answer(503, "storage_unavailable", 1)
                assert refused == expected
                assert sender.evaluate(f"dan-{number}")
            assert integrity(server.installed.database) == "ok"
            disk.free(server)
            more_come(witnesses, 20)
            check_exactly_once(server, witnesses)
        assert sender.send("dan").status == 200
        assert server.end() == 0
        assert integrity(server.installed.database) == "ok"


def test_on_a_full_disk_a_command_is_refused_by_name(disk: Disk) -> None:
    installed = Installed(disk.folder)
    installed.run_experiment(spring_mailing())
    # Somebody has the database open, so that all of its own files are there.
    with installed.opened(), disk.full():
        Path(f"{installed.database}-commits").unlink()
        refused = installed.command("key", "create", "--scope", "client")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1), refused.stderr
    assert f"{installed.database}-commits" in refused.stderr
    assert installed.done("key", "create", "--scope", "client")


_HOLDER = """
import sys
from pysqlite3 import dbapi2
connection = dbapi2.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(database: Path) -> Iterator[None]:
    """A foreign process that holds the write lock."""
    line = [sys.executable, "-c", _HOLDER, str(database)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        # Leaving closes what it reads: then it ends, and lets the lock go.
        yield


@pytest.mark.long
def test_a_lock_that_others_hold_for_long_refuses_events_evaluates_on_and_loses_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, ledgers=tmp_path) as server:
        sender = Sender(server)
        with at_work(server) as witnesses:
            more_come(witnesses, 20)
            with held(server.installed.database):
                for visitor in ("cem", "dan"):
                    assert sender.send(visitor) == Answer(503, "storage_busy", 1)
                    assert sender.evaluate(visitor)
            more_come(witnesses, 20)
            check_exactly_once(server, witnesses)
        assert [sender.send(visitor).status for visitor in ("cem", "dan")] == [200, 200]


def test_a_log_that_has_taken_the_last_space_gives_it_back(disk: Disk) -> None:
    installed = Installed(disk.folder)
    with installed.opened() as installation:
        assert all(is_kept(installation.store, number) for number in range(3))
    with installed.opened() as installation, disk.full(but=1 << 20):
        kept = [number for number in range(120) if is_kept(installation.store, number)]
        # The value stays as large as it is: it is the log that grows.
        assert (100 if disk.is_small else 0) < len(kept) < 120
    with installed.opened() as installation:
        assert installation.store.read(lambda session: session.meta.get("name")) == value(kept[-1])


def is_kept(store: Store, number: int) -> bool:
    """Whether a large value could be kept."""
    try:
        store.transact(lambda session: session.meta.set("name", value(number)))
    except StorageError:
        return False
    return True


def value(number: int) -> str:
    """A value of 50 kB."""
    return f"{number:05}" * 10_000
