"""Events through a log, on a clock that stands: what is answered at the door, what is counted, and what is not yet."""

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from experiments.errors import InvalidBackup
from experiments.errors import InvalidSetting
from experiments.errors import LogUnreachable
from experiments.errors import SecretMismatch
from experiments.log.collecting import collect
from experiments.log.sharding import add_shard
from experiments.log.sharing import Worker
from experiments.signing import pseudonym
from experiments.storage.location import Server
from experiments.storage.log import Log
from experiments.storage.shards import ShardRow
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from experiments.verification import verify
from service import create_app
from service.cluster.joining import connected_log
from service.cluster.joining import sharded_store
from service.cluster.joining import shards_beside
from service.config import Config
from service.config import load_config
from service.current import EXTENSION
from service.installation import Installation
from service.installation import open_installation
from tests.experiments.moves import SOMEBODY
from tests.logs import LogCluster
from tests.logs import running_log
from tests.postgres import Databases
from tests.service.conftest import Run
from tests.service.conftest import SetClock
from tests.service.conftest import bearer
from tests.service.processes import REPOSITORY
from tests.service.processes import free_port
from tests.service.processes import wait_until

_SECRET = "of all nodes" * 4
KEY = "spring-mailing"


@pytest.fixture(scope="module")
def log() -> Iterator[LogCluster]:
    """A log of one server."""
    with running_log(nodes=1) as log:
        yield log


@pytest.fixture
def settings(postgres: Databases, log: LogCluster, tmp_path: Path) -> dict[str, str]:
    """Settings of a database with a shard beside it, and of the log."""
    control, shard = postgres.empty(), postgres.empty()
    settings = {"BESPOKE_DATABASE_URL": control.url, "BESPOKE_SECRET": _SECRET}
    with_shard(load_config(settings), shard)
    return {**settings, "BESPOKE_LOG_URL": log.url, "BESPOKE_SPOOL": str(tmp_path / "spool"), "BESPOKE_MIN_CELL": "0"}


def with_shard(config: Config, shard: Server) -> None:
    """Add a shard to a database."""
    installation = open_installation(config, serving=True)
    fingerprint = installation.keyring.fingerprint
    migrate_database(shard, fingerprint=fingerprint)
    store = open_store(shard, fingerprint=fingerprint)
    try:
        row, log = ShardRow("first", shard.url), token_hex(4)
        add_shard(installation.store, store, row, partitions=4, log=log, deed=SOMEBODY)
    finally:
        store.close()
        installation.close()


@pytest.fixture
def config(settings: dict[str, str]) -> Config:
    """The same, read."""
    return load_config(settings)


@pytest.fixture
def app(config: Config, clock: SetClock) -> Iterator[Flask]:
    """A node; its scheduler brings nothing by itself, so that tests say when."""
    app = create_app(config, clock=clock)
    app.extensions[EXTENSION].collect = None
    yield app
    app.extensions[EXTENSION].close()


@contextmanager
def at_work(installation: Installation) -> Iterator[None]:
    """A worker applies."""
    ended, log = threading.Event(), connected_log(installation)
    store, keyring = sharded_store(installation), installation.keyring
    worker = Worker(store, installation.snapshots, log, name="worker", keyring=keyring)
    thread = threading.Thread(target=worker.run, args=(ended,))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        log.close()


def counted(installation: Installation, clock: SetClock) -> None:
    """Let all that was accepted be applied, and bring it."""
    # Later than all that was accepted, so that the node has looked since.
    clock.advance(seconds=1)
    with at_work(installation):
        wait_until(lambda: is_seen(installation, clock, pending=False), what="all is applied")
    collect(sharded_store(installation), now_ms=clock.now_ms())


def is_seen(installation: Installation, clock: SetClock, *, pending: bool = True) -> bool:
    """Whether the node has looked by now, and found its spool so."""
    [row] = installation.store.read(
        lambda session: session.connection.execute("SELECT pending_ms, seen_ms FROM spools").fetchall()
    )
    return bool((row[0] is not None) == pending and row[1] == clock.now_ms())


def exposed(client: FlaskClient, keys: dict[str, str], *visitors: str) -> list[dict[str, Any]]:
    """The events of visitors who are exposed and buy."""
    headers, batch = bearer(keys["server"]), []
    for visitor in visitors:
        context = {"context": {"targetingKey": visitor}}
        token = client.post(f"/ofrep/v1/evaluate/flags/{KEY}", json=context, headers=headers).json["metadata"]["token"]
        told = {"type": "track", "userId": visitor}
        properties = {"experiment_id": KEY, "token": token}
        batch.append({**told, "messageId": "seen", "event": "Experiment Viewed", "properties": properties})
        batch.append({**told, "messageId": "bought", "event": "Order Completed", "properties": {"revenue": 10}})
    return batch


def sent(client: FlaskClient, keys: dict[str, str], batch: list[dict[str, Any]]) -> dict[str, Any]:
    """What a batch is answered."""
    answer = client.post("/v1/batch", json={"batch": batch}, headers=bearer(keys["server"]))
    assert answer.status_code == 200, answer.json
    return dict(answer.json)


def report(client: FlaskClient, keys: dict[str, str]) -> dict[str, Any]:
    """The report."""
    return dict(client.get(f"/v1/experiments/{KEY}/report", headers=bearer(keys["admin"])).json)


def visitors_in(report: dict[str, Any]) -> int:
    """How many were exposed."""
    return sum(row["visitors"] for row in report["totals"])


@pytest.mark.usefixtures("running")
def test_shards_need_nothing_done_when_the_secret_changes(
    client: FlaskClient, keys: dict[str, str], installation: Installation, clock: SetClock, settings: dict[str, str]
) -> None:
    sent(client, keys, exposed(client, keys, "ann"))
    counted(installation, clock)
    spool = settings["BESPOKE_SPOOL"] + "-of-another"
    following = {**settings, "BESPOKE_SECRET": "of all nodes, next" * 2, "BESPOKE_SPOOL": spool}
    for named in ({**following, "BESPOKE_SECRET_PREVIOUS": _SECRET}, following):
        other = open_installation(load_config(named), serving=True)
        try:
            stand_in = pseudonym("ann", key=other.keyring.visitors)
            assert list(other.store.exposures_of(stand_in, [KEY])) == [KEY]
            assert verify(other.store, shards_beside(other)) == []
        finally:
            other.close()
    with pytest.raises(SecretMismatch):
        open_installation(load_config(settings))


@pytest.mark.usefixtures("running")
def test_what_only_a_shard_knows_is_accepted_and_counted_apart(
    client: FlaskClient, keys: dict[str, str], installation: Installation, clock: SetClock
) -> None:
    batch = exposed(client, keys, "ann", "bob")
    other = {**batch[1], "properties": {"revenue": 11}}
    unknown = {**batch[1], "messageId": "x", "event": "Nothing Of Ours"}
    assert sent(client, keys, batch)["accepted"] == 4
    answer = sent(client, keys, [*batch, other, unknown])
    assert (answer["accepted"], answer["rejected"]) == (5, 1)
    assert answer["items"] == [
        {"index": 5, "status": "rejected", "code": "unknown_event", "detail": answer["items"][0]["detail"]}
    ]
    counted(installation, clock)
    found = report(client, keys)
    assert visitors_in(found) == 2
    assert (found["diagnostics"]["duplicates"], found["diagnostics"]["rejected"]) == (4, 1)
    assert verify(installation.store, shards_beside(installation)) == []


@pytest.mark.usefixtures("running")
def test_from_a_part_of_the_data_nothing_is_called_and_no_weight_moves(
    client: FlaskClient, keys: dict[str, str], installation: Installation, clock: SetClock
) -> None:
    sent(client, keys, exposed(client, keys, "ann"))
    clock.advance(seconds=120)
    wait_until(lambda: is_seen(installation, clock), what="the node has looked")
    collect(sharded_store(installation), now_ms=clock.now_ms())
    found = report(client, keys)
    assert found["watermark"] < found["as_of"] and not found["diagnostics"]["complete"]
    calls = {segment["segment"]: segment["call"] for segment in found["verdict"]["segments"]}
    # Where there is one message alone nothing has to be found out.
    assert calls == {"womens-shoppers": "keep_testing", "everyone-else": "mass"}
    refused = client.post(f"/v1/experiments/{KEY}/reallocate", headers=bearer(keys["admin"]))
    assert (refused.status_code, refused.json["code"]) == (503, "partial_data")
    figures = client.get("/metrics", headers=bearer(keys["report"])).text
    assert f'bespoke_alarm{{experiment="{KEY}",kind="partial_data"}} 1.0' in figures
    counted(installation, clock)
    found = report(client, keys)
    assert found["watermark"] == found["as_of"] and found["diagnostics"]["complete"]
    moved = client.post(f"/v1/experiments/{KEY}/reallocate", headers=bearer(keys["admin"]))
    assert moved.status_code == 200, moved.json


@pytest.mark.usefixtures("running")
def test_a_list_is_exposed_by_the_log_and_keeps_its_arms(
    client: FlaskClient, keys: dict[str, str], installation: Installation, clock: SetClock
) -> None:
    body = {"experiment": KEY, "visitors": [{"id": f"v{number}"} for number in range(20)], "expose": True}
    first = client.post("/v1/assignments", json=body, headers=bearer(keys["server"])).json
    counted(installation, clock)
    again = client.post("/v1/assignments", json=body, headers=bearer(keys["server"])).json
    assert [each["arm"] for each in first["assignments"]] == [each["arm"] for each in again["assignments"]]
    assert {each["cause"] for each in again["assignments"]} == {"sticky"}
    counted(installation, clock)
    assert visitors_in(report(client, keys)) == 20


@pytest.mark.usefixtures("running")
def test_a_visitor_in_a_shard_has_the_rights_of_any_other(
    client: FlaskClient, keys: dict[str, str], installation: Installation, clock: SetClock
) -> None:
    def ask(path: str, key: str = "admin") -> dict[str, Any]:
        answer = client.post(path, json={"id": "ann"}, headers=bearer(keys[key]))
        assert answer.status_code == 200, answer.json
        return dict(answer.json)

    batch = exposed(client, keys, "ann", "bob")
    assert sent(client, keys, batch)["accepted"] == 4
    counted(installation, clock)
    known = ask("/v1/visitors/lookup")
    assert [each["experiment"] for each in known["exposures"]] == [KEY] and len(known["events"]) == 2
    rows = client.get(f"/v1/experiments/{KEY}/export/exposures.csv", headers=bearer(keys["admin"])).text
    assert len(rows.splitlines()) == 3
    gone = ask("/v1/visitors/erase")
    assert (gone["exposures"], gone["events"]) == (1, 2)
    assert sent(client, keys, [{**batch[1], "messageId": "late"}])["items"][0]["code"] == "erased"
    left = ask("/v1/visitors/lookup")
    assert (left["exposures"], left["events"], left["erased_until"]) == ([], [], gone["erased_until"])
    assert ask("/v1/opt-outs", "server")["opted_out"] and ask("/v1/visitors/lookup")["opted_out"]
    counted(installation, clock)
    assert visitors_in(report(client, keys)) == 2
    assert verify(installation.store, shards_beside(installation)) == []


@pytest.mark.usefixtures("running")
def test_commands_know_visitors_in_shards(
    run: Run, settings: dict[str, str], client: FlaskClient, keys: dict[str, str], installation: Installation,
    clock: SetClock,
) -> None:
    sent(client, keys, exposed(client, keys, "ann"))
    counted(installation, clock)
    with pytest.MonkeyPatch.context() as patch:
        for name, text in settings.items():
            patch.setenv(name, text)
        assert len(json.loads(run("visitor", "ann").out)["events"]) == 2
        assert len(run("export", KEY, "--table", "outcomes").out.splitlines()) == 2
        assert run("erase", "ann").out.startswith("1 exposures and 2 events are erased")
        assert run("erase", "--again").out == "0 visitors who were erased are erased again\n"
        assert run("erase").status == 2
        assert json.loads(run("visitor", "ann").out)["events"] == []
        assert run("verify").status == 0


@pytest.mark.usefixtures("running")
def test_no_visitor_is_named_in_spool_or_log(
    client: FlaskClient, keys: dict[str, str], config: Config, log: LogCluster
) -> None:
    sent(client, keys, exposed(client, keys, "a-very-special-visitor"))
    files = [path for folder in (config.spool, log.nodes[0].folder) for path in folder.rglob("*") if path.is_file()]
    kept = [path.read_bytes() for path in files]
    assert sum(b"Order Completed" in text for text in kept) >= 2
    assert not any(b"special" in text for text in kept)


def test_a_node_without_the_log_does_not_start_once_visitors_are_elsewhere(settings: dict[str, str]) -> None:
    del settings["BESPOKE_LOG_URL"]
    with pytest.raises(InvalidSetting, match="BESPOKE_LOG_URL: must be given, since visitors are in the shards first"):
        open_installation(load_config(settings), serving=True)


def test_a_log_needs_a_shard(postgres: Databases, log: LogCluster, tmp_path: Path) -> None:
    settings = {"BESPOKE_DATABASE_URL": postgres.empty().url, "BESPOKE_SECRET": _SECRET, "BESPOKE_LOG_URL": log.url}
    with pytest.raises(InvalidSetting, match="bespoke shard add"):
        open_installation(load_config(settings), serving=True)


def test_a_backup_of_one_database_of_several_is_refused(run: Run, settings: dict[str, str], tmp_path: Path) -> None:
    del settings["BESPOKE_SPOOL"]
    with pytest.MonkeyPatch.context() as patch:
        for name, text in settings.items():
            patch.setenv(name, text)
        said = run("backup", str(tmp_path / "copy.db"))
    assert said.status == 1 and "has shards (first)" in said.err
    assert InvalidBackup.code == "invalid_backup"


@pytest.mark.parametrize("command", [("list",), ("add", "first", "postgresql://nobody@127.0.0.1:1/nothing")])
def test_an_embedded_database_has_no_shards(run: Run, command: tuple[str, ...]) -> None:
    assert run("init").status == 0
    said = run("shard", *command)
    assert said.status == 1 and "has all visitors in its file; shards need postgresql://" in said.err


@contextmanager
def old_server(version: str) -> Iterator[str]:
    """What a server of NATS says first, of a version that cannot be had any more."""
    info = {"server_id": "old", "server_name": "old", "version": version, "go": "go", "host": "127.0.0.1", "port": 1,
            "headers": True, "max_payload": 1048576, "proto": 1, "jetstream": True}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(f"INFO {json.dumps(info)}\r\n".encode())
                while b"PING" not in connection.recv(4096):
                    pass
                connection.sendall(b"PONG\r\n")
                connection.recv(4096)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"nats://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize("version", ["2.9.10", "2.10.22"])
def test_a_server_that_loses_streams_is_refused(version: str) -> None:
    with old_server(version) as address:
        with pytest.raises(LogUnreachable, match=f"nats-server {version} must be 2.10.23 or newer"):
            Log([address], name="old")


def test_a_log_that_cannot_be_reached_is_told_by_its_places_and_why_and_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="experiments.storage")
    monkeypatch.setattr("experiments.storage.log._CONNECTING_SECONDS", 0.5)
    ports = free_port(), free_port()
    places = ", ".join(f"127.0.0.1:{port}" for port in ports)
    with pytest.raises(LogUnreachable, match=f"BESPOKE_LOG_URL: none of {places} answers .*Connect call failed"):
        Log([f"nats://joe:planted@127.0.0.1:{port}" for port in ports], name="away")
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == len(set(told)) and "planted" not in " ".join(told)


def test_the_settings_of_the_log_that_are_documented_are_good(tmp_path: Path) -> None:
    blocks = (REPOSITORY / "docs" / "scale.md").read_text().split("```")
    [block] = [block for block in blocks if block.startswith("\nserver_name: ")]
    (tmp_path / "nats.conf").write_text(block)
    command = [REPOSITORY / ".venv" / "bin" / "nats-server", "-t", "-c", tmp_path / "nats.conf"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "sync_interval: always" in block
