"""A house beyond one database, with everything that runs in it, and witnesses who come to it."""

import subprocess
from collections.abc import Collection
from collections.abc import Container
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from http.client import HTTPException
from itertools import cycle
from pathlib import Path
from secrets import token_bytes
from typing import Any
from typing import NamedTuple

from experiments.batches import batched
from experiments.keys import create_key
from experiments.signing import pseudonym
from experiments.storage.location import Server
from service.cluster.joining import sharded_store
from tests.clusters import Cluster
from tests.clusters import Postgres
from tests.clusters import running_cluster
from tests.experiments.documents import spring_mailing
from tests.experiments.moves import move_partition
from tests.logs import LogCluster
from tests.logs import running_log
from tests.service.away import Away
from tests.service.deeds import DEED
from tests.service.nodes import InstalledNode
from tests.service.nodes import Node
from tests.service.processes import wait_until
from tests.service.test_opt_outs import WITHDRAWALS
from tests.service.wanderers import Wanderer
from tests.service.witnesses import KEY

PARTITIONS = 8
_COUNTING_SECONDS = 180
_ADDING_SECONDS = 120
_ANSWERING_SECONDS = 180
#: What one request brings when all is sent again.
_TOGETHER = 200

Batch = list[dict[str, Any]]


class House(NamedTuple):
    """Two nodes and two workers, a scheduler, three nodes of the log, and two shards, one of them with a standby."""

    first: Cluster
    control: Cluster
    log: LogCluster
    nodes: list[Node]
    workers: list[subprocess.Popen[bytes]]
    schedulers: list[subprocess.Popen[bytes]]
    witnesses: list[Wanderer]
    admin: str
    away: Away

    def start_worker(self, number: int) -> None:
        """Start a worker in the place of one that has ended."""
        self.workers[number] = self.nodes[number].installed.start("worker")

    def kill_worker(self, number: int) -> None:
        """Kill a worker with -9."""
        self.workers[number].kill()
        self.workers[number].wait()

    def start_scheduler(self) -> None:
        """Start a scheduler in the place of one that has ended."""
        self.schedulers[:] = [self.nodes[0].installed.start("scheduler")]

    def holders(self) -> list[str]:
        """Who holds each of the partitions that anybody holds now."""
        held = "SELECT holder FROM fences WHERE is_open AND until > now() AND holder <> ''"
        return [str(holder) for _, server, name in self.shards() for (holder,) in server.ask(held, database=name)]

    def shards(self) -> tuple[tuple[str, Postgres, str], ...]:
        """Each shard: its name, its server, and its database there."""
        return ("first", self.first.primary, "bespoke"), ("second", self.control.primary, "second")

    def are_held_by(self, workers: Sequence[subprocess.Popen[bytes]]) -> bool:
        """Whether every partition is held, and each of these workers holds some."""
        processes = [holder.split("-")[-2] for holder in self.holders()]
        return len(processes) == PARTITIONS and set(processes) == {str(worker.pid) for worker in workers}

    def stand_ins(self, visitors: Collection[str]) -> dict[str, bytes]:
        """What stands for visitors."""
        with self.nodes[0].installed.beside() as installation:
            return {visitor: pseudonym(visitor, key=installation.keyring.visitors) for visitor in visitors}

    def acknowledged(self) -> list[str]:
        """The visitors whose batches were acknowledged."""
        return [f"{witness.name}-{number}" for witness in self.witnesses for number in witness.acknowledged()]

    def stored(self, table: str = "exposures") -> set[object]:
        """What stands for those of whom a shard has a row."""
        return {
            visitor
            for _, server, database in self.shards()
            for (visitor,) in server.ask(f"SELECT visitor FROM {table}", database=database)
        }

    def ask_until_answered(self, path: str, body: object, *, first: Node) -> None:
        """Ask a node, then whichever, until what was asked is done, as people do who were not answered."""
        def is_done(node: Node) -> bool:
            try:
                return node.ask("POST", path, body, key=self.admin)[0] == 200
            except (OSError, HTTPException, ValueError):
                return False

        nodes = cycle([first, *(node for node in self.nodes if node is not first)])
        wait_until(lambda: is_done(next(nodes)), what=f"{path} is answered", seconds=_ANSWERING_SECONDS)

    def said(self, event: str) -> int:
        """How often anybody has logged something."""
        return sum(node.installed.log.read_text().count(f'"event": "{event}"') for node in self.nodes)

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
        server, admin = _made(installed[0], first, control)
        for each in installed:
            each.set(BESPOKE_LOG_URL=log.url)
        # They take as long to start as nodes, which are waited for.
        workers, scheduler = [each.start("worker") for each in installed], installed[0].start("scheduler")
        house = House(first, control, log, [], workers, [scheduler], [], admin, Away())
        try:
            house.nodes.extend(map(Node, installed))
            for name in ("ann", "bob"):
                house.witnesses.append(Wanderer(house.nodes, key=server, name=name, away=house.away))
            for witness in house.witnesses:
                witness.start()
            yield house
        finally:
            _end(house)


def _made(installed: InstalledNode, first: Cluster, control: Cluster) -> tuple[str, str]:
    """An experiment that runs, and shards with partitions; the keys of a server and of an administrator."""
    installed.run_experiment(campaign())
    for name, address in (("first", first.server.url), ("second", control.primary.address("second"))):
        installed.done("shard", "add", name, address, "--partitions", str(PARTITIONS), patience_seconds=_ADDING_SECONDS)
    with installed.beside() as installation:
        for partition in range(0, PARTITIONS - 2, 2):
            move_partition(sharded_store(installation), partition, "second")
        server, admin = (
            create_key(installation.store, scope=scope, name="", origins=(), random=token_bytes, deed=DEED)
            for scope in ("server", "admin")
        )
    return server, admin


def campaign() -> dict[str, Any]:
    """What runs in a house: an experiment that hears of objections."""
    return spring_mailing(metrics=[*spring_mailing()["metrics"], WITHDRAWALS])


def _end(house: House) -> None:
    for witness in house.witnesses:
        witness.end()
    for process in (*house.workers, *house.schedulers):
        process.kill()
        process.wait()
    for node in house.nodes:
        node.end()


def check(house: House, folder: Path) -> None:
    """All that was acknowledged counts, and once; the report is that of one database with the same history."""
    for witness in house.witnesses:
        witness.end()
        assert witness.moved == []
    counted = set(house.acknowledged()) - house.away.lost()
    wait_until(lambda: _is_counted(house, len(counted)), what="all is counted", seconds=_COUNTING_SECONDS)
    batches = [batch for witness in house.witnesses for batch in witness.sent]
    # Whatever was not acknowledged may have been kept, and may not: sent again it counts once.
    _send(house.nodes[0], batches, key=house.admin, ignored=house.away)
    counted_batches = [batch for batch in batches if _visitor(batch) not in house.away.lost()]
    number = len(counted_batches)
    wait_until(lambda: _is_counted(house, number), what="all is counted", seconds=_COUNTING_SECONDS)
    report, alone = house.report(), _alone(house, counted_batches, folder)
    for part in ("arms", "totals", "naive", "verdict"):
        assert report[part] == alone[part], part
    for name in ("waiting", "orphans", "rejected", "asserted"):
        assert report["diagnostics"][name] == alone["diagnostics"][name], name
    for node in house.nodes:
        assert "Traceback" not in node.installed.log.read_text()
    assert house.nodes[0].installed.done("verify", patience_seconds=_COUNTING_SECONDS)


def _is_counted(house: House, visitors: int) -> bool:
    report = house.report()
    exposed = sum(row["visitors"] or 0 for row in report["totals"])
    return exposed >= visitors and report["watermark"] > _newest_end(house)


def _newest_end(house: House) -> str:
    """When the last of the events were sent."""
    return str(max(witness.sent[-1][-1]["timestamp"] for witness in house.witnesses))


def _visitor(batch: Batch) -> str:
    return str(batch[0]["userId"])


def _send(node: Node, batches: Sequence[Batch], *, key: str, ignored: Container[str] = ()) -> None:
    for some in batched(batches, size=_TOGETHER):
        batch = [event for each in some for event in each]
        left_out = sum(event["userId"] in ignored for event in batch)
        answer = _answer(node, batch, key=key)
        assert answer["accepted"] + answer["duplicate"] == len(batch) - left_out, answer
        assert answer["ignored"] == left_out, answer


def _answer(node: Node, batch: Batch, *, key: str) -> dict[str, Any]:
    """What is answered once the batch is taken; where it cannot be now it is sent again, as clients do."""
    answers: list[dict[str, Any]] = []

    def is_taken() -> bool:
        status, answer = node.ask("POST", "/v1/batch", {"batch": batch}, key=key)
        assert status in (200, 503), answer
        answers.append(answer)
        return status == 200

    wait_until(is_taken, what="a batch is taken", seconds=_ANSWERING_SECONDS)
    return answers[-1]


def _alone(house: House, batches: Sequence[Batch], folder: Path) -> dict[str, Any]:
    """The report of one database that got the same events, each once."""
    house.control.primary.ask("CREATE DATABASE alone")
    installed = InstalledNode(folder / "alone", Server(house.control.primary.address("alone")))
    installed.run_experiment(campaign())
    key = installed.key("admin")
    node = Node(installed)
    try:
        _send(node, batches, key=key)
        for visitor in house.away.objecting:
            assert node.ask("POST", "/v1/opt-outs", {"id": visitor}, key=key)[0] == 200
        return dict(node.ask("GET", f"/v1/experiments/{KEY}/report", key=key)[1])
    finally:
        node.end()
