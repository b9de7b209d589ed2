"""What a node promises of events while its log is away, by either setting; and how it tells that it cannot."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from typing import NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from experiments.storage.location import Server
from tests.experiments.documents import spring_mailing
from tests.logs import LogCluster
from tests.logs import running_log
from tests.postgres import Databases
from tests.service.nodes import InstalledNode
from tests.service.nodes import Node
from tests.service.processes import REPOSITORY
from tests.service.processes import wait_until
from tests.service.witnesses import KEY
from tests.service.witnesses import events

_PATIENCE_SECONDS = 60
_OF_CLUSTERS = ("bespoke_stream", "bespoke_spool", "bespoke_shard", "bespoke_partition", "bespoke_watermark")


class Site(NamedTuple):
    """A node of each kind, on one log of three servers; nobody applies."""

    log: LogCluster
    replicated: Node
    local: Node
    server: str
    admin: str

    def send(self, node: Node, visitor: str) -> int:
        """The status that a visitor's events are answered."""
        status, answer = node.evaluate(visitor, key=self.server, experiment=KEY)
        assert status == 200, answer
        batch = events(visitor, token=answer["metadata"]["token"])
        status, answer = node.ask("POST", "/v1/batch", {"batch": batch}, key=self.server)
        assert status != 200 or answer["accepted"] == len(batch), answer
        return status

    def visitors(self) -> int:
        """How many the report counts."""
        status, report = self.local.ask("GET", f"/v1/experiments/{KEY}/report", key=self.admin)
        assert status == 200, report
        return sum(row["visitors"] or 0 for row in report["totals"])


@pytest.fixture
def site(postgres: Databases, tmp_path: Path) -> Iterator[Site]:
    """Two nodes that wait for the log and do not."""
    with running_log() as log:
        control = postgres.empty()
        installed = [InstalledNode(tmp_path / name, control) for name in ("replicated", "local")]
        server, admin = prepared(installed[0], postgres.empty())
        for each, acknowledged in zip(installed, ("replicated", "local"), strict=True):
            each.set(BESPOKE_LOG_URL=log.url, BESPOKE_LOG_ACK=acknowledged)
        nodes = [Node(each) for each in installed]
        try:
            yield Site(log, *nodes, server, admin)
        finally:
            for node in nodes:
                node.end()


def prepared(installed: InstalledNode, shard: Server) -> tuple[str, str]:
    """An experiment that runs, and a shard; the keys of a server and of an administrator."""
    installed.run_experiment(spring_mailing())
    installed.done("shard", "add", "first", shard.url, "--partitions", "4")
    server = installed.key("server")
    return server, installed.key("admin")


def figures(node: Node, key: str) -> dict[str, float]:
    """The figures for Prometheus, summed over their labels."""
    connection = HTTPConnection("127.0.0.1", node.port)
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {key}"})
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(connection.getresponse().read().decode()):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    connection.close()
    return found


def test_what_is_answered_is_where_the_setting_says_and_a_node_that_cannot_do_so_is_not_ready(site: Site) -> None:
    assert site.send(site.replicated, "ann") == site.send(site.local, "bob") == 200
    told = site.replicated.readiness()
    assert told["log"] == {"status": "ok", "following": 3, "nodes": 3} and told["shards"] == {"first": "ok"}
    for server in site.log.nodes[1:]:
        server.kill()
    wait_until(lambda: not site.replicated.is_ready(), what="it is not ready", seconds=_PATIENCE_SECONDS)
    told = site.replicated.readiness()
    assert told["failing"] == ["log"] and lost(told)
    wait_until(lambda: lost(site.local.readiness()), what="the other one tells it", seconds=_PATIENCE_SECONDS)
    # One has promised more than its own disk, and keeps what it has not answered all the same.
    assert site.send(site.replicated, "cem") == 503
    assert site.local.is_ready() and site.send(site.local, "dan") == 200
    found = figures(site.local, site.admin)
    assert (found["bespoke_stream_takes"], found["bespoke_spool_entries"]) == (0, 2)
    assert found["bespoke_spool_bytes"] > 0 and found["bespoke_spool_age_seconds"] > 0
    assert (found["bespoke_shard_reached"], found["bespoke_partition_held"]) == (1, 0)
    assert found["bespoke_watermark_age_seconds"] > 0
    runbook = (REPOSITORY / "docs" / "runbook.md").read_text()
    assert [name for name in found if name.startswith(_OF_CLUSTERS) and name not in runbook] == []
    for server in site.log.nodes[1:]:
        server.start()
    wait_until(site.replicated.is_ready, what="it is ready again", seconds=_PATIENCE_SECONDS)
    with working(site):
        wait_until(lambda: site.visitors() == 4, what="all are counted", seconds=_PATIENCE_SECONDS)


def test_what_waited_for_the_log_is_counted_though_the_disk_of_the_node_is_lost(site: Site) -> None:
    assert site.send(site.replicated, "ann") == 200
    site.replicated.kill_everything()
    shutil.rmtree(site.replicated.installed.folder / "spool")
    with working(site):
        wait_until(lambda: site.visitors() == 1, what="the visitor is counted", seconds=_PATIENCE_SECONDS)
    site.replicated.start()


@contextmanager
def working(site: Site) -> Iterator[None]:
    """A worker applies."""
    worker = site.local.installed.start("worker")
    try:
        yield
    finally:
        worker.terminate()
        worker.wait()


def lost(told: dict[str, Any]) -> bool:
    """Whether the log is."""
    return bool(told["log"]["status"] == "lost")
