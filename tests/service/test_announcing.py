"""News through the bucket of the log: heard at once, believed only where the database says the same, never needed."""

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import msgspec
import pytest

from experiments.log.announcing import Announcer
from experiments.log.announcing import CHANGES
from experiments.log.announcing import CONFIGURATION
from experiments.log.announcing import Hearing
from experiments.log.picture import packed
from experiments.log.picture import take_picture
from experiments.log.picture import unpacked
from experiments.snapshot import Snapshots
from experiments.snapshot import take_snapshot
from experiments.storage.bucket import NEWS
from experiments.storage.bucket import SILENCE_SECONDS
from experiments.storage.bucket import Bucket
from experiments.storage.listener import Listener
from experiments.storage.location import Server
from experiments.storage.log import Log
from experiments.storage.shared_store import SharedStore
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny
from tests.experiments.house import House
from tests.logs import LogCluster
from tests.logs import running_log
from tests.postgres import Databases
from tests.service.nodes import InstalledNode
from tests.service.nodes import Node
from tests.service.processes import wait_until

_NAME = "spring-mailing"


@pytest.fixture(scope="module")
def log() -> Iterator[LogCluster]:
    """A log of one server."""
    with running_log(nodes=1) as log:
        yield log


@pytest.fixture
def server(postgres: Databases) -> Server:
    """A database as `bespoke init` leaves it."""
    return postgres.fresh()


@pytest.fixture
def store(server: Server) -> Iterator[SharedStore]:
    """The same, open."""
    store = SharedStore(server)
    yield store
    store.close()


@pytest.fixture
def bucket(log: LogCluster, server: Server) -> Iterator[Callable[[], Bucket]]:
    """What opens the bucket of this database, as each process has it."""
    with ExitStack() as stack:

        def opened() -> Bucket:
            connected = Log([log.url], name=server.url.rpartition("/")[2].partition("?")[0])
            stack.callback(connected.close)
            bucket = Bucket(connected, NEWS)
            stack.callback(bucket.close)
            return bucket

        yield opened


@pytest.fixture
def announced(server: Server, store: SharedStore, bucket: Callable[[], Bucket]) -> Iterator[Callable[[], Announcer]]:
    """What lets one more process announce."""
    with ExitStack() as stack:

        def begun() -> Announcer:
            announcer = Announcer(store, bucket(), Listener(server))
            announcer.start()
            stack.callback(announcer.stop)
            return announcer

        yield begun


def test_a_picture_that_was_handed_on_gives_the_snapshot_that_the_database_gives(store: SharedStore) -> None:
    house = House(store)
    house.start(spring_mailing())
    house.start(tiny())
    house.act("tiny", "pause")
    picture = unpacked(packed(store.read(take_picture)))
    read = store.read(take_snapshot)
    heard = store.read(lambda session: take_snapshot(session, heard=picture))
    assert (heard.version, heard.changed_ms, heard.keys, heard.removals) == (
        read.version, read.changed_ms, read.keys, read.removals
    )
    assert {key: entry.stored for key, entry in heard.entries.items()} == {
        key: entry.stored for key, entry in read.entries.items()
    }
    assert [entry.plan.allocation for entry in heard.entries.values() if entry.plan] == [
        entry.plan.allocation for entry in read.entries.values() if entry.plan
    ]
    assert [entry.settled for entry in heard.entries.values()] == [entry.settled for entry in read.entries.values()]


def test_a_picture_is_believed_for_the_very_state_that_the_database_is_in_and_for_no_other(store: SharedStore) -> None:
    House(store).start(spring_mailing())
    picture = store.read(take_picture)
    empty = msgspec.structs.replace(picture, experiments=[])
    assert store.read(lambda session: take_snapshot(session, heard=empty)).entries == {}
    for other in (
        # Of a database that was set back, of the time before, and of what is to come.
        msgspec.structs.replace(empty, changed_ms=picture.changed_ms + 1),
        msgspec.structs.replace(empty, version=picture.version - 1),
        msgspec.structs.replace(empty, version=picture.version + 1),
    ):
        snapshot = store.read(lambda session, other=other: take_snapshot(session, heard=other))
        assert (snapshot.version, list(snapshot.entries)) == (picture.version, [_NAME])


def test_a_change_is_heard_with_what_it_is(
    store: SharedStore, bucket: Callable[[], Bucket], announced: Callable[[], Announcer]
) -> None:
    house = House(store)
    house.start(spring_mailing())
    announced()
    heard, snapshots = bucket(), Snapshots(store)
    hearing = Hearing(heard, snapshots)
    wait_until(heard.is_heard, what="something is told")
    house.act(_NAME, "pause")
    version = store.read(lambda session: session.meta.config_version())

    def is_told() -> bool:
        assert hearing.wait(Event())
        told = heard.value(CONFIGURATION)
        return bool(told) and unpacked(told or b"").version == version

    wait_until(is_told, what="the change is told")
    assert snapshots.refresh().entries[_NAME].stored.state == "paused"


def test_one_of_all_tells_and_another_one_where_it_ends(
    store: SharedStore, bucket: Callable[[], Bucket], announced: Callable[[], Announcer]
) -> None:
    House(store).start(spring_mailing())
    first = announced()
    heard = bucket()
    wait_until(heard.is_heard, what="something is told")
    announced()
    first.stop()
    wait_until(lambda: not heard.is_heard(), what="nobody tells", seconds=2 * SILENCE_SECONDS)
    wait_until(heard.is_heard, what="another one tells", seconds=4 * SILENCE_SECONDS)


def test_a_bucket_that_was_wiped_is_filled_again_and_heard(
    log: LogCluster, store: SharedStore, bucket: Callable[[], Bucket], announced: Callable[[], Announcer]
) -> None:
    house = House(store)
    house.start(spring_mailing())
    announced()
    heard, snapshots = bucket(), Snapshots(store)
    hearing = Hearing(heard, snapshots)
    wait_until(heard.is_heard, what="something is told")
    log.wipe()
    house.act(_NAME, "pause")
    before, after = snapshots.refresh(), store.read(lambda session: sum(session.meta.versions()))

    def is_told() -> bool:
        return hearing.wait(Event()) and heard.value(CHANGES) == str(after).encode()

    wait_until(is_told, what="the change is told")
    assert before.entries[_NAME].stored.state == snapshots.refresh().entries[_NAME].stored.state == "paused"


def test_what_no_program_of_this_version_has_put_there_is_not_understood_and_does_no_harm(
    store: SharedStore, bucket: Callable[[], Bucket]
) -> None:
    House(store).start(spring_mailing())
    heard, snapshots = bucket(), Snapshots(store)
    hearing = Hearing(heard, snapshots)
    for nonsense in (b"", b"nonsense", packed(store.read(take_picture))[:-9]):
        heard.put(CONFIGURATION, nonsense)
        wait_until(lambda told=nonsense: heard.value(CONFIGURATION) == told, what="it is heard")  # type: ignore[misc]
        assert hearing.wait(Event())
        assert list(snapshots.refresh().entries) == [_NAME]


def test_a_change_reaches_every_node_whatever_becomes_of_the_bucket_and_of_who_tells(
    log: LogCluster, postgres: Databases, tmp_path: Path
) -> None:
    server = postgres.empty()
    installed = [InstalledNode(tmp_path / name, server) for name in ("one", "two", "three")]
    installed[0].run_experiment(tiny())
    key, admin = (installed[0].done("key", "create", "--scope", scope) for scope in ("server", "admin"))
    installed[0].done("shard", "add", "first", server.url, "--partitions", "2")
    for each in installed:
        each.set(BESPOKE_LOG_URL=log.url)
    nodes = [Node(each) for each in installed]

    def changed(act: str, cause: str) -> None:
        assert nodes[-1].ask("POST", f"/v1/experiments/tiny/{act}", key=admin)[0] == 200
        for node in nodes:
            wait_until(
                lambda node=node: node.evaluate("ann", key=key, experiment="tiny")[1]["metadata"]["cause"] == cause,
                what=f"{act} is known",
            )

    try:
        changed("pause", "not_running")
        log.wipe()
        changed("resume", "allocated")
        # The first that came is the one that tells.
        nodes[0].kill_everything()
        nodes.pop(0).main.wait()
        changed("pause", "not_running")
        log.kill()
        changed("resume", "allocated")
    finally:
        log.start()
        for node in nodes:
            node.end()
            assert "Traceback" not in node.installed.log.read_text()
