"""Leases that are told through the log: taken and handed on at once, by the shards alone where nothing is heard.

Where something is to happen before a lease is over, the lease is made to last for an hour.
"""

import signal
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from subprocess import Popen
from threading import Event
from threading import Thread
from time import monotonic
from time import sleep

import msgspec
import psycopg
import pytest

from experiments.log.leases import SILENT_SECONDS
from experiments.log.leases import Leases
from experiments.log.sharing import Worker
from experiments.storage.bucket import LEASES
from experiments.storage.bucket import Bucket
from experiments.storage.fences import Fence
from experiments.storage.location import Server
from experiments.storage.log import Log
from experiments.storage.shards import THIS_LOG
from tests.experiments.divided import PARTITIONS
from tests.experiments.divided import Divided
from tests.experiments.divided import divided_house
from tests.experiments.documents import tiny
from tests.experiments.house import SECRETS
from tests.logs import LogCluster
from tests.logs import running_log
from tests.postgres import Databases
from tests.service.nodes import InstalledNode
from tests.service.processes import wait_until

_ALL = set(range(PARTITIONS))
_FORGED = (b"", b"{}", b"nonsense", b'{"0": -1}', b'{"99999999999": 1}')


@pytest.fixture
def log() -> Iterator[LogCluster]:
    """A log of one server."""
    with running_log(nodes=1) as log:
        yield log


@pytest.fixture
def house(postgres: Databases, log: LogCluster, tmp_path: Path) -> Iterator[Divided]:
    """Two shards, whose partitions nobody holds."""
    with divided_house(postgres, tmp_path / "spool", log=log.url) as house:
        yield house


@pytest.fixture
def bucket(log: LogCluster) -> Iterator[Callable[[], Bucket]]:
    """What opens the bucket, as each process has it."""
    with ExitStack() as stack:

        def opened() -> Bucket:
            connected = Log([log.url], name="leases")
            stack.callback(connected.close)
            bucket = Bucket(connected, LEASES)
            stack.callback(bucket.close)
            return bucket

        yield opened


def fences(house: Divided) -> dict[int, Fence]:
    """The partitions as their shards have them."""
    return {
        fence.partition: fence for store in house.shards().values()
        for fence in store.read(lambda session: session.fences.all())
    }


def held_by(house: Divided, name: str) -> set[int]:
    """The partitions that a worker holds."""
    return {number for number, fence in fences(house).items() if fence.is_held and fence.holder == name}


@contextmanager
def at_work(house: Divided, log: LogCluster, name: str) -> Iterator[None]:
    """A worker in this process."""
    ended, own = Event(), connected(house, log)
    worker = Worker(house.store, house.snapshots, own, name=name, keyring=SECRETS)
    thread = Thread(target=worker.run, args=(ended,))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        own.close()


def connected(house: Divided, log: LogCluster) -> Log:
    """The log of a house, as another process has it."""
    return Log([log.url], name=house.store.read(lambda session: session.meta.get(THIS_LOG)) or "")


def share_evenly(house: Divided) -> None:
    """Wait until ann and bob hold half of the partitions each."""
    wait_until(
        lambda: len(held_by(house, "ann")) == len(held_by(house, "bob")) == PARTITIONS / 2, what="both have their share"
    )


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that look for nothing of which they do not hear."""
    monkeypatch.setattr("experiments.log.sharing._LOOKING_SECONDS", 600)
    monkeypatch.setattr("experiments.log.sharing._SELDOM_SECONDS", 600)


@pytest.mark.usefixtures("patient")
def test_what_a_worker_lets_go_of_is_taken_by_those_who_hear_of_it(house: Divided, log: LogCluster) -> None:
    with at_work(house, log, "ann"):
        wait_until(lambda: held_by(house, "ann") == _ALL, what="one worker holds all")
        with at_work(house, log, "bob"):
            share_evenly(house)
        wait_until(lambda: held_by(house, "ann") == _ALL, what="one worker holds all again")


@pytest.mark.usefixtures("patient")
def test_a_bucket_that_was_wiped_is_filled_again_by_those_who_hold_something(house: Divided, log: LogCluster) -> None:
    with at_work(house, log, "ann"):
        with at_work(house, log, "bob"):
            share_evenly(house)
            log.wipe()
            before = fences(house)
        wait_until(lambda: held_by(house, "ann") == _ALL, what="what was let go of is taken")
        assert all(fence.epoch <= before[number].epoch + 1 for number, fence in fences(house).items())


def test_without_a_log_leases_are_taken_and_let_go_by_the_shards_alone(house: Divided, log: LogCluster) -> None:
    with at_work(house, log, "ann"):
        with at_work(house, log, "bob"):
            share_evenly(house)
            log.kill()
        wait_until(lambda: held_by(house, "ann") == _ALL, what="what was let go of is taken")
        log.start()


def test_what_anybody_forges_takes_nothing_from_a_worker_that_is_alive(house: Divided, log: LogCluster) -> None:
    with at_work(house, log, "ann"), at_work(house, log, "bob"):
        share_evenly(house)
        before = fences(house)
        # Of which nothing is left, and who would have some.
        with at_work(house, log, "cat"):
            own = connected(house, log)
            forged = Bucket(own, LEASES)
            try:
                wait_until(lambda: forged.told().keys() == {"ann", "bob", "cat"}, what="workers are heard")
                # It holds what they do, and falls silent.
                forged.tell("stranger", msgspec.json.encode({number: fence.epoch for number, fence in before.items()}))
                forge(forged)
            finally:
                forged.close()
                own.close()
            assert fences(house) == before


def forge(bucket: Bucket) -> None:
    """Tell what is not true of workers, until whoever is silent is known to be."""
    until = monotonic() + 2 * SILENT_SECONDS
    while monotonic() < until:
        for name, value in product(("ann", "another", "a\x00b"), _FORGED):
            bucket.tell(name, value)
        sleep(0.1)


def test_who_was_taken_for_lost_and_is_not_is_never_again(bucket: Callable[[], Bucket]) -> None:
    leases, other = Leases(bucket(), "bob"), bucket()
    leases.start()
    for lost in ({"ann": {0: 1}}, {}):
        other.tell("ann", b'{"0": 1}')
        wait_until(lambda: leases.are_all(workers=2, partitions=1), what="both are heard")
        wait_until(lambda: leases.are_all(workers=1, partitions=0), what="one of them is silent")
        assert leases.silent() == lost
        leases.give_up(["ann"])
    leases.stop()


@pytest.mark.long
def test_nobody_is_lost_where_nobody_is_heard(log: LogCluster, bucket: Callable[[], Bucket]) -> None:
    both = [Leases(bucket(), name) for name in ("ann", "bob")]
    for leases in both:
        leases.start()

    def hear(workers: int) -> bool:
        assert all(leases.silent() == {} for leases in both)
        return all(leases.are_all(workers=workers, partitions=0) for leases in both)

    wait_until(lambda: hear(2), what="both are heard")
    log.nodes[0].signal(signal.SIGSTOP)
    wait_until(lambda: hear(0), what="nobody is heard")
    sleep(SILENT_SECONDS)
    log.nodes[0].signal(signal.SIGCONT)
    wait_until(lambda: hear(2), what="both are heard again")
    for leases in both:
        leases.stop()


class Workers:
    """Two workers as processes, on a shard that is the control database too."""

    def __init__(self, installed: InstalledNode, server: Server) -> None:
        self.installed = installed
        self._server = server
        self.processes = [installed.start("worker") for _ in range(2)]

    def share(self) -> None:
        """Wait until both hold some."""
        wait_until(lambda: self.holders() == {each.pid for each in self.processes}, what="both hold some")

    def holders(self) -> set[int]:
        """The processes that hold all partitions between them; nobody where one is not held."""
        with psycopg.connect(self._server.url) as raw:
            # One may be left between the beginning of the transaction, which now() is of, and what it reads.
            rows = raw.execute("SELECT holder FROM fences WHERE until > now() AND holder <> ''").fetchall()
        return {int(holder.split("-")[-2]) for (holder,) in rows} if len(rows) == PARTITIONS else set()

    def let_leases_last(self, process: Popen[bytes]) -> None:
        """Let what a process holds be held for an hour."""
        with psycopg.connect(self._server.url) as raw:
            raw.execute(
                "UPDATE fences SET until = now() + interval '1 hour' WHERE holder LIKE %s", (f"%-{process.pid}-%",)
            )

    def has_said(self, event: str) -> bool:
        """Whether one of them has logged something."""
        return f'"event": "{event}"' in self.installed.log.read_text()


@pytest.fixture
def workers(postgres: Databases, log: LogCluster, tmp_path: Path) -> Iterator[Workers]:
    """Two that share the partitions."""
    server = postgres.empty()
    installed = InstalledNode(tmp_path / "one", server)
    installed.run_experiment(tiny())
    installed.done("shard", "add", "first", server.url, "--partitions", str(PARTITIONS))
    installed.set(BESPOKE_LOG_URL=log.url)
    workers = Workers(installed, server)
    try:
        workers.share()
        yield workers
    finally:
        for process in workers.processes:
            process.kill()
            process.wait()
        assert "Traceback" not in installed.log.read_text()


def test_what_a_killed_worker_held_is_taken_before_its_lease_is_over(workers: Workers) -> None:
    killed, left = workers.processes
    killed.kill()
    killed.wait()
    workers.let_leases_last(killed)
    wait_until(lambda: workers.holders() == {left.pid}, what="the other has taken all")
    wait_until(lambda: workers.has_said("taken_early"), what="it is said that they were taken early")


def test_a_worker_that_slept_is_fenced_and_has_its_share_again(workers: Workers) -> None:
    asleep, awake = workers.processes
    asleep.send_signal(signal.SIGSTOP)
    workers.let_leases_last(asleep)
    wait_until(lambda: workers.holders() == {awake.pid}, what="the other has taken all")
    asleep.send_signal(signal.SIGCONT)
    workers.share()
    assert workers.has_said("fenced")
