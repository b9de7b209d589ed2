"""The doctor: what breaks a promise is named with its reason, and nothing else is a fault."""

import os
import sqlite3
import time
from pathlib import Path

import pytest

from experiments.storage.location import Server
from service.operation.doctor import file_system_of
from tests.postgres import Databases
from tests.service.conftest import Run
from tests.service.nodes import InstalledNode


def test_a_sound_installation_has_no_fault(run: Run, tmp_path: Path) -> None:
    assert run("init").status == 0
    said = run("doctor")
    assert (said.status, said.err) == (0, "")
    lines = said.out.splitlines()
    assert "ok    synchronous = full: what is acknowledged is on disk" in lines
    assert "ok    journal_mode = wal: what is acknowledged is on disk" in lines
    assert f"ok    {tmp_path}/bespoke.db.secret has mode 0600: is whose it should be" in lines
    assert not any(line.startswith("fault") for line in lines)


def test_a_secret_that_others_may_read_is_a_fault(run: Run, tmp_path: Path) -> None:
    run("init")
    (tmp_path / "bespoke.db.secret").chmod(0o644)
    (tmp_path / "bespoke.db").chmod(0o666)
    said = run("doctor")
    assert said.status == 1
    assert "bespoke.db.secret has mode 0644: whoever reads it can forge tokens" in said.out
    assert "bespoke.db has mode 0666: anybody on this machine may change it" in said.out
    assert said.err.endswith("2 of 8 things break a promise\n")


def test_a_database_that_is_not_there_or_was_made_with_another_secret_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "does not exist: `bespoke init` makes it" in run("doctor").err
    run("init")
    monkeypatch.setenv("BESPOKE_SECRET", "another secret that is as long as it must be")
    said = run("doctor")
    assert said.status == 1 and "BESPOKE_SECRET is not the secret" in said.err


def test_a_clock_that_is_behind_is_a_fault(run: Run, tmp_path: Path) -> None:
    run("init")
    ahead = int((time.time() + 3600) * 1000)
    _write(tmp_path, f"INSERT OR REPLACE INTO meta VALUES ('config_changed_ms', '{ahead}')")
    said = run("doctor")
    assert said.status == 1 and "fault clock: is 3600 s behind" in said.out


def _write(folder: Path, statement: str) -> None:
    connection = sqlite3.connect(folder / "bespoke.db")
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_the_file_system_is_that_of_the_folder() -> None:
    assert file_system_of(Path("/proc/self")) == "proc"
    assert file_system_of(Path(os.sep)) != "proc"


@pytest.fixture
def server(postgres: Databases) -> Server:
    """A database as `bespoke init` leaves it, made with another secret than a node's."""
    return postgres.empty()


def test_on_postgresql_settings_of_the_server_are_looked_at(
    server: Server, postgres: Databases, tmp_path: Path
) -> None:
    node = InstalledNode(tmp_path / "node", server)
    node.done("init")
    _, *lines = node.done("doctor").splitlines()
    assert "ok    fsync = on: what is acknowledged is on disk" in lines
    assert "ok    full_page_writes = on: what is acknowledged is on disk" in lines
    # Whatever the database says, sessions of ours are told otherwise.
    postgres.run(f"ALTER DATABASE {postgres.name_of(server)} SET synchronous_commit = off")
    said = node.command("doctor")
    assert said.returncode == 0 and "ok    synchronous_commit = on" in said.stdout
    assert "note  synchronous_standby_names = (none): what is acknowledged is on the disk of one machine" in said.stdout
