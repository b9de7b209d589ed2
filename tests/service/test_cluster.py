"""Events through a log to shards, whatever is killed, wiped or put to sleep: none is lost, and none counts twice."""

import signal
import subprocess
import time
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from secrets import token_bytes
from typing import Any
from typing import NamedTuple

import pytest

from experiments.keys import create_key
from experiments.sharding import move_partition
from experiments.storage.location import Server
from service.cluster import sharded_store
from tests.clusters import Cluster
from tests.clusters import running_cluster
from tests.experiments.documents import spring_mailing
from tests.logs import LogCluster
from tests.logs import running_log
from tests.service.deeds import DEED
from tests.service.nodes import InstalledNode
from tests.service.nodes import Node
from tests.service.processes import wait_until
from tests.service.wanderers import Wanderer
from tests.service.witnesses import KEY
from tests.service.witnesses import more_come

_MORE = 10
_PARTITIONS = 8
#: Longer than a worker may be silent before another takes its partitions.
_LEASE_SECONDS = 7
_COUNTING_SECONDS = 90


class House(NamedTuple):
    """All that runs: two nodes and two workers, three nodes of the log, and two shards, of which one has a standby."""

    first: Cluster
    control: Cluster
    log: LogCluster
    nodes: list[Node]
    workers: list[subprocess.Popen[bytes]]
    witnesses: list[Wanderer]
    admin: str

    def start_worker(self, number: int) -> None:
        """Start a worker in the place of one that has ended."""
        self.workers[number] = self.nodes[number].installed.start("worker")

    def report(self) -> dict[str, Any]:
        """What the first node says."""
        status, report = self.nodes[0].ask("GET", f"/v1/experiments/{KEY}/report", key=self.admin)
        assert status == 200, report
        return dict(report)


@contextmanager
def at_work(folder: Path) -> Iterator[House]:
    """Everything, with two witnesses at work."""
    with running_cluster(standby=True) as first, running_cluster() as control, running_log() as log:
        control.primary.ask("CREATE DATABASE second")
        installed = [InstalledNode(folder / name, control.server) for name in ("one", "two")]
        installed[0].run_experiment(spring_mailing())
        installed[0].done("shard", "add", "first", first.server.url, "--partitions", str(_PARTITIONS))
        installed[0].done("shard", "add", "second", control.primary.address("second"))
        with installed[0].beside() as installation:
            for partition in range(0, _PARTITIONS - 2, 2):
                move_partition(sharded_store(installation), partition, "second")
            key, admin = (
                create_key(installation.store, scope=scope, name="", origins=(), random=token_bytes, deed=DEED)
                for scope in ("server", "admin")
            )
        for each in installed:
            each.set(BESPOKE_LOG_URL=log.url)
        nodes = [Node(each) for each in installed]
        workers = [each.start("worker") for each in installed]
        witnesses = [Wanderer(nodes, key=key, name=name) for name in ("ann", "bob")]
        for witness in witnesses:
            witness.start()
        try:
            yield House(first, control, log, nodes, workers, witnesses, admin)
        finally:
            for witness in witnesses:
                witness.end()
            for worker in workers:
                worker.kill()
                worker.wait()
            for node in nodes:
                node.end()


def kill_a_worker(house: House) -> None:
    """Kill a worker, and start another."""
    house.workers[0].kill()
    house.workers[0].wait()
    more_come(house.witnesses, _MORE)
    house.start_worker(0)


def pause_a_worker(house: House) -> None:
    """Let a worker sleep until another has taken what it held, and wake."""
    house.workers[1].send_signal(signal.SIGSTOP)
    time.sleep(_LEASE_SECONDS)
    more_come(house.witnesses, _MORE)
    house.workers[1].send_signal(signal.SIGCONT)


def kill_a_log_node(house: House) -> None:
    """Kill a server of the log, and start it again."""
    house.log.nodes[0].kill()
    more_come(house.witnesses, _MORE)
    house.log.nodes[0].start()
    wait_until(house.log.nodes[0].is_healthy, what="the log is whole again")


def wipe_the_log(house: House) -> None:
    """Lose everything that the log has, while something in it waits to be applied."""
    for worker in house.workers:
        worker.kill()
        worker.wait()
    more_come(house.witnesses, _MORE)
    house.log.wipe()
    for number in range(len(house.workers)):
        house.start_worker(number)


def kill_a_node(house: House) -> None:
    """Kill all of a node, and start it again."""
    house.nodes[1].kill_everything()
    more_come(house.witnesses, _MORE)
    house.nodes[1].start()


def move_a_partition(house: House) -> None:
    """Move one to another shard while its visitors come."""
    told = house.nodes[0].installed.done("shard", "move", str(_PARTITIONS - 2), "second")
    assert told == f"partition {_PARTITIONS - 2}: is in second"


def fail_over_a_shard(house: House) -> None:
    """Kill a shard, and let its standby take its place."""
    house.first.fail_over()


Act = Callable[[House], None]
_ACTS: tuple[Act, ...] = (kill_a_worker, kill_a_node, kill_a_log_node, pause_a_worker, wipe_the_log)


def check(house: House, folder: Path) -> None:
    """All that was acknowledged counts, and once; the report is that of one database with the same history."""
    for witness in house.witnesses:
        witness.end()
        assert witness.moved == []
    acknowledged = sum(len(witness.acknowledged()) for witness in house.witnesses)
    wait_until(lambda: _is_counted(house, acknowledged), what="all is counted", seconds=_COUNTING_SECONDS)
    batches = [batch for witness in house.witnesses for batch in witness.sent]
    # Whatever was not acknowledged may have been kept, and may not: sent again it counts once.
    _send(house.nodes[0], batches, key=house.admin)
    wait_until(lambda: _is_counted(house, len(batches)), what="all is counted", seconds=_COUNTING_SECONDS)
    report, alone = house.report(), _alone(house, batches, folder)
    for part in ("arms", "totals", "naive", "verdict"):
        assert report[part] == alone[part], part
    for name in ("waiting", "orphans", "rejected", "asserted"):
        assert report["diagnostics"][name] == alone["diagnostics"][name], name
    for node in house.nodes:
        assert "Traceback" not in node.installed.log.read_text()
    assert house.nodes[0].installed.done("verify")


def _is_counted(house: House, visitors: int) -> bool:
    report = house.report()
    exposed = sum(row["visitors"] or 0 for row in report["totals"])
    return exposed >= visitors and report["watermark"] > _newest_end(house)


def _newest_end(house: House) -> str:
    """When the last of the events were sent."""
    return str(max(witness.sent[-1][-1]["timestamp"] for witness in house.witnesses))


def _send(node: Node, batches: list[list[dict[str, Any]]], *, key: str) -> None:
    for batch in batches:
        status, answer = node.ask("POST", "/v1/batch", {"batch": batch}, key=key)
        assert (status, answer["accepted"]) == (200, len(batch)), answer


def _alone(house: House, batches: list[list[dict[str, Any]]], folder: Path) -> dict[str, Any]:
    """The report of one database that got the same events, each once."""
    house.control.primary.ask("CREATE DATABASE alone")
    installed = InstalledNode(folder / "alone", Server(house.control.primary.address("alone")))
    installed.run_experiment(spring_mailing())
    key = installed.done("key", "create", "--scope", "admin")
    node = Node(installed)
    try:
        _send(node, batches, key=key)
        return dict(node.ask("GET", f"/v1/experiments/{KEY}/report", key=key)[1])
    finally:
        node.end()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_nothing_is_lost_or_counted_twice_beyond_one_database(tmp_path: Path) -> None:
    with at_work(tmp_path) as house:
        more_come(house.witnesses, _MORE)
        for act in (move_a_partition, pause_a_worker, wipe_the_log, fail_over_a_shard):
            act(house)
            more_come(house.witnesses, _MORE)
        check(house, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(2))
def test_nothing_is_lost_or_counted_twice_beyond_one_database_over_many_kills(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    with at_work(tmp_path) as house:
        for _ in range(3):
            for act in rng.sample(_ACTS, len(_ACTS)):
                act(house)
                more_come(house.witnesses, 2 * _MORE)
        for act in (move_a_partition, fail_over_a_shard):
            act(house)
            more_come(house.witnesses, _MORE)
        check(house, tmp_path)
