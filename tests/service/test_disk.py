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
    installed = Installed(folder)
    installed.run_experiment(spring_mailing())
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


def test_a_full_disk_refuses_events_evaluates_on_and_loses_nothing_when_it_has_space_again(
    disk: Disk, tmp_path: Path
) -> None:
    with serving(disk.folder, ledgers=tmp_path) as server:
        sender = Sender(server)
        with at_work(server) as witnesses:
            more_come(witnesses, 20)
            disk.fill(server)
            wait_until(lambda: sender.send("cem").status != 200, what="events are refused")
            for number in range(20):
                status, code, retry_after = sender.send(f"cem-{number}")
                if disk.is_small:
                    assert (status, code, retry_after) == (507, "storage_full", 60)
                else:
                    assert (status, code, retry_after) == (503, "storage_unavailable", 1)
            assert integrity(server.installed.database) == "ok"
            disk.free(server)
            more_come(witnesses, 20)
            check_exactly_once(server, witnesses)
        assert sender.send("dan").status == 200
        assert server.end() == 0
        assert integrity(server.installed.database) == "ok"
