"""Backups: made while events come in, they hold all that was acknowledged, and come back or are refused by name."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pysqlite3 import dbapi2

from tests.experiments.documents import spring_mailing
from tests.service.conftest import Run
from tests.service.processes import Installed
from tests.service.processes import ServerProcess
from tests.service.processes import free_port
from tests.service.witnesses import KEY
from tests.service.witnesses import Witness
from tests.service.witnesses import events
from tests.service.witnesses import more_come
from tests.service.witnesses import witnessed


@pytest.fixture(name="served")
def _served(tmp_path: Path) -> Iterator[ServerProcess]:
    """The server of an installation whose experiment runs."""
    (tmp_path / "first").mkdir()
    server = ServerProcess(witnessed(tmp_path / "first"))
    yield server
    if server.main.poll() is None:
        server.kill_everything()


@pytest.fixture(name="clients")
def _clients(served: ServerProcess) -> Iterator[list[Witness]]:
    """Two clients that keep a synced ledger of what was acknowledged."""
    key = served.installed.key("admin")
    clients = [Witness(served, key=key, name=name) for name in ("ann", "bob")]
    for client in clients:
        client.start()
    yield clients
    for client in clients:
        client.end()


def arms(server: ServerProcess, client: Witness, numbers: list[int]) -> list[tuple[str, str, float]]:
    """What visitors of a client get now: cause, arm, propensity."""
    found = []
    for number in numbers:
        visitor = client.sent[number][0]["userId"]
        _, answer = client._ask(f"/ofrep/v1/evaluate/flags/{KEY}", {"context": {"targetingKey": visitor}})
        metadata = answer["metadata"]
        found.append((metadata["cause"], answer["variant"], metadata["propensity"]))
    return found


def report(server: ServerProcess, client: Witness) -> Any:
    """The report, but for the moment at which it was made."""
    _, found = server.ask("GET", f"/v1/experiments/{KEY}/report", key=client._key)
    return {name: value for name, value in found.items() if name != "as_of"}


def test_a_backup_made_under_load_brings_back_all_that_was_acknowledged_before_it(
    served: ServerProcess, clients: list[Witness], tmp_path: Path
) -> None:
    more_come(clients, 60)
    before = [list(client.acknowledged()) for client in clients]
    served.installed.done("backup", str(tmp_path / "under-load.db"))
    more_come(clients, 30)
    for client in clients:
        client.end()
    given = [arms(served, client, numbers) for client, numbers in zip(clients, before, strict=True)]
    assert {cause for each in given for cause, _, _ in each} == {"sticky"}
    assert served.end() == 0
    assert "the old one is" in served.installed.done("restore", str(tmp_path / "under-load.db"))
    served.start()
    for client, numbers, then in zip(clients, before, given, strict=True):
        assert arms(served, client, numbers) == then
        for number, batch in enumerate(client.sent):
            status, answer = client._ask("/v1/batch", {"batch": batch})
            assert status == 200 and answer["accepted"] + answer["duplicate"] == len(batch)
            assert number not in numbers or answer["duplicate"] == len(batch), f"batch {number} is not in the backup"
    visitors = sum(len(client.sent) for client in clients)
    totals = report(served, clients[0])["totals"]
    assert sum(row["visitors"] or 0 for row in totals) == visitors
    assert sum(row["metrics"]["purchase"]["sum"] or 0 for row in totals) == visitors
    assert "audit log is whole" in served.installed.done("verify")


@pytest.mark.long
def test_a_backup_gives_the_same_report_on_another_machine(
    served: ServerProcess, clients: list[Witness], tmp_path: Path
) -> None:
    more_come(clients, 40)
    for client in clients:
        client.end()
    served.installed.done("backup", str(tmp_path / "moved.db"))
    expected = report(served, clients[0])
    assert served.end() == 0
    (tmp_path / "other").mkdir()
    other = Installed(tmp_path / "other")
    shutil.copy(f"{served.installed.database}.secret", f"{other.database}.secret")
    other.done("restore", str(tmp_path / "moved.db"))
    assert not list(other.folder.glob("*.before-*"))
    there = ServerProcess(other)
    try:
        assert report(there, clients[0]) == expected
    finally:
        there.end()


def refused(finished: "subprocess.CompletedProcess[str]", saying: str) -> None:
    """It must have been refused in one line that says why."""
    assert (finished.returncode, finished.stderr.count("\n")) == (1, 1), finished.stderr
    assert saying in finished.stderr


def test_nothing_is_restored_while_a_server_or_anybody_else_has_the_database_open(
    served: ServerProcess, tmp_path: Path
) -> None:
    installed, copy = served.installed, str(tmp_path / "copy.db")
    installed.done("backup", copy)
    refused(installed.command("restore", copy), "is served by another process")
    assert served.is_ready()
    served.end()
    reader = dbapi2.connect(installed.database)
    reader.execute("SELECT count(*) FROM events").fetchone()
    refused(installed.command("restore", copy), "is open in another process")
    reader.close()
    installed.done("restore", copy)
    assert not list(installed.folder.glob("*.restoring"))
    with installed.opened() as installation:
        newest = installation.store.read(lambda session: session.audit.last())
    assert newest is not None
    assert (newest.actor, newest.action, newest.subject) == ("command line", "restore", "copy.db")


@pytest.fixture(name="copied")
def _copied(started: Run, tmp_path: Path) -> Path:
    """A backup of a database whose experiment runs."""
    copy = tmp_path / "copy.db"
    assert started("backup", str(copy)).status == 0
    return copy


def is_refused(run: Run, copy: Path, saying: str) -> None:
    """A restore must be refused, and leave everything as it is."""
    database = copy.with_name("bespoke.db")
    before = database.read_bytes()
    said = run("restore", str(copy))
    assert (said.status, said.out, len(said.err.splitlines())) == (1, "", 1)
    assert saying in said.err
    assert database.read_bytes() == before
    assert not list(copy.parent.glob("*.restoring")) + list(copy.parent.glob("*.before-*"))


@pytest.mark.parametrize("place", [0.01, 0.3, 0.6, 0.99])
def test_a_backup_with_a_flipped_bit_is_refused(started: Run, copied: Path, place: float) -> None:
    data = bytearray(copied.read_bytes())
    data[int(len(data) * place)] ^= 1
    copied.write_bytes(data)
    is_refused(started, copied, "is damaged")


def test_a_backup_that_was_cut_off_is_refused(started: Run, copied: Path) -> None:
    copied.write_bytes(copied.read_bytes()[:-4096])
    is_refused(started, copied, "is damaged")


def test_a_backup_without_its_checksum_is_refused(started: Run, copied: Path) -> None:
    Path(f"{copied}.sha256").unlink()
    is_refused(started, copied, "without its checksum")


def sign(copy: Path) -> None:
    """Give a file the checksum that it has."""
    subprocess.run(f"sha256sum {copy.name} > {copy.name}.sha256", shell=True, cwd=copy.parent, check=True)


def test_its_checksum_is_that_of_sha256sum(copied: Path) -> None:
    said = subprocess.run(["sha256sum", "-c", f"{copied.name}.sha256"], cwd=copied.parent, capture_output=True)
    assert said.returncode == 0
    assert copied.stat().st_mode & 0o077 == 0


def test_a_file_that_is_no_database_of_ours_is_refused_whatever_its_checksum(started: Run, copied: Path) -> None:
    for number, text in enumerate((b"", b"no database" * 1000)):
        copied.write_bytes(text)
        sign(copied)
        is_refused(started, copied, "no database" if number == 0 else "no sound database")


def changed(copy: Path, statement: str) -> None:
    """Change a backup, its checksum too."""
    connection = dbapi2.connect(copy)
    connection.execute(statement)
    connection.commit()
    connection.close()
    sign(copy)


def test_a_backup_of_a_newer_version_is_refused(started: Run, copied: Path) -> None:
    changed(copied, "INSERT INTO migrations (name) VALUES ('9999_tomorrow')")
    is_refused(started, copied, "9999_tomorrow")


def test_a_backup_made_with_another_secret_is_refused(started: Run, copied: Path) -> None:
    changed(copied, "UPDATE meta SET value = 'another' WHERE name = 'secret_fingerprint'")
    is_refused(started, copied, "another secret")


def test_without_the_secret_nothing_is_restored_and_none_is_made_up(
    started: Run, copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BESPOKE_DATABASE_URL", f"sqlite:///{tmp_path}/new.db")
    said = started("restore", str(copied))
    assert said.status == 1 and "secret" in said.err
    assert not list(tmp_path.glob("new.db*"))


def test_a_backup_overwrites_nothing(started: Run, copied: Path, tmp_path: Path) -> None:
    before = copied.read_bytes()
    assert "overwrites nothing" in started("backup", str(copied)).err
    assert copied.read_bytes() == before
    assert "nowhere" in started("backup", str(tmp_path / "nowhere" / "copy.db")).err


def test_the_old_database_is_kept_whole_though_it_is_damaged(started: Run, copied: Path, tmp_path: Path) -> None:
    database = tmp_path / "bespoke.db"
    damaged = b"\0" * 4096 + database.read_bytes()[4096:]
    database.write_bytes(damaged)
    assert started("restore", str(copied)).status == 0
    (aside,) = tmp_path.glob("bespoke.db.before-*")
    assert aside.read_bytes() == damaged
    assert started("verify").status == 0


@pytest.mark.long
def test_a_server_does_not_start_on_a_damaged_database_and_says_how_to_bring_it_back(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    installed.run_experiment(spring_mailing())
    installed.done("backup", str(tmp_path / "copy.db"))
    data = installed.database.read_bytes()
    # A page in the middle, of no table that a start would read.
    middle = len(data) // 2 // 4096 * 4096
    installed.database.write_bytes(data[:middle] + os.urandom(4096) + data[middle + 4096 :])
    refused(installed.command("serve", "--port", str(free_port())), "bespoke restore")
    installed.done("restore", str(tmp_path / "copy.db"))
    server = ServerProcess(installed)
    assert server.end() == 0


@pytest.mark.long
def test_what_a_restore_has_lost_is_refused_whatever_its_arm_and_its_numbers_are_not_used_again(
    served: ServerProcess, tmp_path: Path
) -> None:
    installed, copy = served.installed, str(tmp_path / "copy.db")
    key = installed.key("admin")
    ask = partial(served.ask, key=key)
    visitors = [f"v{number}" for number in range(40)]
    installed.done("backup", copy)
    assert ask("POST", f"/v1/experiments/{KEY}/finish", {})[1]["state"] == "running"
    lost = {one: evaluated(served, key, one) for one in visitors}
    assert {answer["metadata"]["epoch"] for answer in lost.values()} == {2}
    served.end()
    installed.done("restore", copy)
    served.start()
    late = [events(one, token=answer["metadata"]["token"])[0] for one, answer in lost.items()]
    for look in range(2):
        told = ask("POST", "/v1/batch", {"batch": late})[1]
        assert [(item["status"], item["code"]) for item in told["items"]] == [("rejected", "unknown_epoch")] * 40
        again = {one: evaluated(served, key, one, token=lost[one]["metadata"]["token"]) for one in visitors}
        assert {answer["metadata"]["epoch"] for answer in again.values()} == {1 if look == 0 else 10_002}
        assert ask("GET", f"/v1/experiments/{KEY}/report")[0] == 200
        if look == 0:
            assert ask("POST", f"/v1/experiments/{KEY}/finish", {})[0] == 200
    new = [events(one, token=answer["metadata"]["token"])[0] for one, answer in again.items()]
    assert ask("POST", "/v1/batch", {"batch": [{**one, "messageId": None} for one in new]})[1]["accepted"] == 40
    assert ask("GET", f"/v1/experiments/{KEY}/report")[0] == 200
    installed.check()


def evaluated(server: ServerProcess, key: str, visitor: str, **context: str) -> Any:
    """What a visitor gets."""
    asked = {"context": {"targetingKey": visitor, **context}}
    return server.ask("POST", f"/ofrep/v1/evaluate/flags/{KEY}", asked, key=key)[1]


def test_a_backup_of_an_older_version_is_brought_up_to_date(started: Run, copied: Path) -> None:
    changed(copied, "DROP TABLE restores")
    changed(copied, "DELETE FROM migrations WHERE name = '0007_restores'")
    assert started("restore", str(copied)).status == 0
    assert started("verify").status == 0


def test_a_damaged_database_gives_no_backup(started: Run, tmp_path: Path) -> None:
    database = tmp_path / "bespoke.db"
    data = database.read_bytes()
    database.write_bytes(data[:40960] + os.urandom(len(data) - 40960))
    said = started("backup", str(tmp_path / "copy.db"))
    assert (said.status, len(said.err.splitlines())) == (1, 1)
    assert not list(tmp_path.glob("copy.db*"))
