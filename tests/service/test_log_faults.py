"""A log in which something is wrong: what it says is clear, nothing is lost, and what was wrong may end by itself."""

import logging
import shutil
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from typing import cast

import msgspec
import pytest
from flask import Flask
from flask.testing import FlaskClient

from experiments.errors import LogUnreachable
from experiments.log.appending import Appending
from experiments.log.entries import Written
from experiments.partitions import partition_of
from experiments.signing import pseudonym
from experiments.storage.log import Log
from experiments.storage.log_reader import Carried
from experiments.storage.shards import Position
from experiments.storage.spool import Entry
from experiments.storage.spool import Source
from experiments.verification import verify
from service import create_app
from service.cluster.joining import shards_beside
from service.config import load_config
from service.current import EXTENSION
from service.installation import Installation
from service.installation import open_installation
from tests.logs import LogCluster
from tests.logs import running_log
from tests.postgres import Databases
from tests.service.conftest import SetClock
from tests.service.conftest import bearer
from tests.service.processes import wait_until
from tests.service.test_log import at_work
from tests.service.test_log import counted
from tests.service.test_log import exposed
from tests.service.test_log import report
from tests.service.test_log import sent
from tests.service.test_log import visitors_in
from tests.service.test_log import with_shard

_SECRET = "of all nodes" * 4
_PARTITIONS = 4
_PATIENCE_SECONDS = 60
_LOCKED = 'authorization { user: "a", password: "secret" }'
_SOURCE = Source("a node", 0)


@pytest.fixture(scope="module")
def log() -> Iterator[LogCluster]:
    """A log of one server."""
    with running_log(nodes=1) as log:
        yield log


@pytest.fixture
def settings(postgres: Databases, log: LogCluster, tmp_path: Path) -> dict[str, str]:
    """Settings of a database with a shard beside it, and of the log."""
    return of_another(postgres, log, tmp_path / "spool")


def of_another(postgres: Databases, log: LogCluster, spool: Path) -> dict[str, str]:
    """Settings of an installation of its own on a log."""
    control, shard = postgres.empty(), postgres.empty()
    settings = {"BESPOKE_DATABASE_URL": control.url, "BESPOKE_SECRET": _SECRET}
    with_shard(load_config(settings), shard)
    return {**settings, "BESPOKE_LOG_URL": log.url, "BESPOKE_SPOOL": str(spool), "BESPOKE_MIN_CELL": "0"}


@pytest.fixture
def app(settings: dict[str, str], clock: SetClock) -> Iterator[Flask]:
    """A node; its scheduler brings nothing by itself, so that tests say when."""
    with node(settings, clock) as app:
        yield app


@contextmanager
def node(settings: dict[str, str], clock: SetClock) -> Iterator[Flask]:
    """A node in this process."""
    app = create_app(load_config(settings), clock=clock)
    app.extensions[EXTENSION].collect = None
    try:
        yield app
    finally:
        app.extensions[EXTENSION].close()


def published(log: Log, partition: int, *messages: object) -> None:
    """Put messages into the log as somebody does who has its password and is no node."""
    for message in messages:
        payload = message if isinstance(message, bytes) else msgspec.msgpack.encode(message)
        log.done(log.context.publish(f"{log.name}.{partition}", payload))


def entry(number: int) -> Entry:
    """An entry of a node, by its number."""
    return Entry(_SOURCE, number, 0, b"entry %d" % number)


def kept(log: Log, numbers: Sequence[int]) -> None:
    """Publish entries, and wait until the log has them."""
    for future in log.publish([entry(number) for number in numbers]):
        future.result(20)


def read(log: Log, *, after: Position) -> tuple[list[int], Position]:
    """The numbers that the log brings after a position, and the position after them."""
    reader, numbers = log.reader(_SOURCE.partition, after=after), list[int]()
    while messages := reader.read(most=50, seconds=1):
        numbers += [message.first + place for message in messages for place in range(len(message.bodies))]
    return numbers, reader.position


@pytest.mark.usefixtures("running")
def test_what_is_no_message_of_a_node_is_left_out_and_told(
    client: FlaskClient, keys: dict[str, str], installation: Installation, clock: SetClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    appending = cast("Appending", installation.log)
    log, writer = appending.log, appending.spool.writer
    partition = partition_of(pseudonym("ann", key=installation.keyring.visitors), _PARTITIONS)
    body = msgspec.msgpack.encode(Written(0, [], [], []))
    # Garbage, no number, of another partition, and below the first number; then numbers that a node has given.
    published(
        log, partition, b"\xc1", ["writer"], Carried(writer, (partition + 1) % _PARTITIONS, 1, [body]),
        [writer, partition, 0, [body]], Carried(writer, partition, 1, [b"no entry"]),
    )
    with caplog.at_level(logging.WARNING):
        sent(client, keys, exposed(client, keys, "ann", "bob", "cem"))
        published(log, partition, Carried(writer, partition, 2, [b"no entry"]))
        counted(installation, clock)
    told = [record.event for record in caplog.records if hasattr(record, "event")]
    assert told.count("left_out") == 4 and "entry_waits" in told
    assert "partition_waits" not in told
    assert visitors_in(report(client, keys)) == 3
    assert verify(installation.store, shards_beside(installation)) == []


@pytest.mark.long
@pytest.mark.usefixtures("running")
def test_a_log_that_is_full_says_so_and_has_room_once_what_it_has_is_applied(
    client: FlaskClient, keys: dict[str, str], installation: Installation, clock: SetClock
) -> None:
    appending = cast("Appending", installation.log)
    log = appending.log
    config = log.done(log.context.stream_info(log.name)).config
    log.done(log.context.update_stream(config.evolve(max_bytes=20_000)))
    taken, refused = fill(client, keys)
    assert refused.status_code == 503 and "maximum bytes exceeded" in refused.json["detail"]
    # What was not answered is in the spool, and counts all the same.
    counted(installation, clock)
    assert visitors_in(report(client, keys)) == taken + 1
    sent(client, keys, exposed(client, keys, "late"))
    counted(installation, clock)
    assert visitors_in(report(client, keys)) == taken + 2


def fill(client: FlaskClient, keys: dict[str, str]) -> tuple[int, Any]:
    """Send visitors until one is not taken; how many were, and what was answered then."""
    for number in range(1000):
        batch = exposed(client, keys, f"v{number}")
        answer = client.post("/v1/batch", json={"batch": batch}, headers=bearer(keys["server"]))
        if answer.status_code != 200:
            return number, answer
    raise AssertionError("the log has no end")


def test_a_stream_that_has_lost_its_end_is_read_from_its_beginning(tmp_path: Path) -> None:
    with running_log(nodes=1) as cluster:
        [server], copy = cluster.nodes, tmp_path / "copy"
        log = Log([server.address], name="set-back")
        try:
            kept(log, range(1, 4))
            server.kill()
            shutil.copytree(server.folder / "jetstream", copy)
            cluster.start()
            for number in range(4, 11):
                kept(log, [number])
            numbers, position = read(log, after=Position("", 0))
            assert numbers == list(range(1, 11))
            server.kill()
            server.wipe()
            shutil.copytree(copy, server.folder / "jetstream")
            cluster.start()
            kept(log, [11])
            numbers, after = read(log, after=position)
            assert after.stream == position.stream and after.sequence < position.sequence
            assert numbers == [1, 2, 3, 11]
            assert read(log, after=after) == ([], after)
        finally:
            log.close()


def test_a_node_that_is_turned_out_comes_back_once_it_is_let_in() -> None:
    with running_log(nodes=1) as cluster:
        [server] = cluster.nodes
        log = Log([server.address], name="turned-out")
        try:
            kept(log, [1])
            server.more = _LOCKED
            server.configure([])
            server.reload()
            wait_until(lambda: log.look().following == 0, what="it is turned out")
            with pytest.raises(LogUnreachable, match="Authorization Violation"):
                log.reader(0, after=Position("", 0))
            server.more = ""
            server.configure([])
            server.reload()
            wait_until(lambda: log.look().takes, what="it is let in", seconds=_PATIENCE_SECONDS)
            kept(log, [2])
            assert read(log, after=Position("", 0))[0] == [1, 2]
        finally:
            log.close()


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        pytest.param("more", _LOCKED, "Authorization Violation", id="no password", marks=pytest.mark.long),
        pytest.param("has_streams", False, "no server with JetStream", id="no JetStream", marks=pytest.mark.long),
        pytest.param("room", "1M", "insufficient storage resources", id="no room", marks=pytest.mark.long),
    ],
)
def test_a_log_that_cannot_be_used_says_why(setting: str, value: object, said: str) -> None:
    with running_log(nodes=1) as cluster:
        [server] = cluster.nodes
        server.kill()
        setattr(server, setting, value)
        server.configure([])
        cluster.start()
        with pytest.raises(LogUnreachable, match=said):
            Log([server.address], name="none")


@pytest.mark.usefixtures("running")
def test_two_installations_on_one_log_do_not_hear_each_other(
    client: FlaskClient, keys: dict[str, str], installation: Installation, clock: SetClock, postgres: Databases,
    log: LogCluster, tmp_path: Path,
) -> None:
    with node(of_another(postgres, log, tmp_path / "another"), clock) as other:
        with at_work(other.extensions[EXTENSION]):
            sent(client, keys, exposed(client, keys, "ann", "bob"))
            counted(installation, clock)
        assert visitors_in(report(client, keys)) == 2
        events = "SELECT count(*) FROM events"
        for shard in shards_beside(other.extensions[EXTENSION]):
            assert shard.read(lambda session: session.connection.execute(events).fetchone()[0]) == 0


@pytest.mark.usefixtures("running")
def test_two_nodes_on_one_folder_keep_apart_what_they_accept(
    client: FlaskClient, keys: dict[str, str], installation: Installation, clock: SetClock, settings: dict[str, str]
) -> None:
    with node(settings, clock) as other:
        sent(client, keys, exposed(client, keys, "ann", "bob"))
        sent(other.test_client(), keys, exposed(client, keys, "cem", "dan"))
        clock.advance(seconds=1)
        with at_work(installation):
            appended = [cast("Appending", each.extensions[EXTENSION].log) for each in (client.application, other)]
            assert len({each.spool.writer for each in appended}) == 2
            wait_until(lambda: not any(each.spool.sources() for each in appended), what="all is applied")
    counted(installation, clock)
    assert visitors_in(report(client, keys)) == 4


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("seconds", [3600, -3600])
def test_the_clock_of_a_worker_may_be_an_hour_wrong(
    client: FlaskClient, keys: dict[str, str], installation: Installation, clock: SetClock, settings: dict[str, str],
    seconds: int,
) -> None:
    sent(client, keys, exposed(client, keys, "ann", "bob"))
    wrong = SetClock(clock.at_ms + seconds * 1000)
    beside = open_installation(load_config(settings), clock=wrong)
    try:
        with at_work(beside):
            counted(installation, clock)
    finally:
        beside.close()
    found = report(client, keys)
    assert visitors_in(found) == 2 and found["diagnostics"]["complete"] and found["watermark"] == found["as_of"]
    assert verify(installation.store, shards_beside(installation)) == []
