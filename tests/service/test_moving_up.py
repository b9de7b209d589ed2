"""Moving up from one PostgreSQL to shards: nodes with and without a log side by side, compared, switched, and moved."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from experiments.partitions import partition_of
from experiments.signing import pseudonym
from service.config import load_config
from service.installation import open_installation
from tests.clusters import running_cluster
from tests.logs import running_log
from tests.service.away import Away
from tests.service.houses import House
from tests.service.houses import campaign
from tests.service.houses import check
from tests.service.nodes import InstalledNode
from tests.service.nodes import Node
from tests.service.processes import wait_until
from tests.service.wanderers import Wanderer
from tests.service.witnesses import KEY
from tests.service.witnesses import events
from tests.service.witnesses import more_come

_MORE = 10
_PARTITIONS = 4


@contextmanager
def side_by_side(folder: Path, *, log_nodes: int) -> Iterator[House]:
    """A node that has no log and was there before there were shards, one that has, a worker, and visitors of both."""
    with running_cluster() as control, running_log(nodes=log_nodes) as log:
        installed = [InstalledNode(folder / name, control.server) for name in ("before", "after")]
        installed[0].run_experiment(campaign())
        key, admin = (installed[0].done("key", "create", "--scope", scope) for scope in ("server", "admin"))
        nodes = [Node(installed[0])]
        witnesses = [Wanderer(nodes, key=key, name=name) for name in ("ann", "bob")]
        workers: list[subprocess.Popen[bytes]] = []
        for witness in witnesses:
            witness.start()
        try:
            more_come(witnesses, _MORE)
            installed[0].done("shard", "add", "first", control.server.url, "--partitions", str(_PARTITIONS))
            installed[1].set(BESPOKE_LOG_URL=log.url)
            workers.append(installed[1].start("worker"))
            # From now on visitors come to both, each with its events to another one than its evaluations.
            nodes.append(Node(installed[1]))
            yield House(control, control, log, nodes, workers, [], witnesses, admin, Away())
        finally:
            for witness in witnesses:
                witness.end()
            for worker in workers:
                worker.kill()
                worker.wait()
            for node in nodes:
                node.end()


def compared(house: House) -> str:
    """What both ways have counted, and the events; they are equal at any moment."""
    told = house.nodes[1].installed.done("shard", "compare")
    assert told.endswith("\nequal"), told
    return told


def sums(told: str, what: str) -> tuple[int, int, int]:
    """How many of something came by nodes, by the log, and are in the events, over all arms."""
    found = [0, 0, 0]
    for line in told.splitlines()[1:-1]:
        words = line.partition(f"{what} ")[2].partition(";")[0].split()
        found = [number + int(word.replace(",", "")) for number, word in zip(found, words[::2], strict=True)]
    return found[0], found[1], found[2]


def kill_the_worker(house: House) -> None:
    """Kill it amid its work, and start another."""
    house.workers[0].kill()
    house.workers[0].wait()
    more_come(house.witnesses, _MORE)
    house.workers[0] = house.nodes[1].installed.start("worker")


def kill_the_node_with_the_log(house: House) -> None:
    """Kill it with what its spool has, and start it again."""
    house.nodes[1].kill_everything()
    more_come(house.witnesses, _MORE)
    house.nodes[1].start()


def switch(house: House) -> None:
    """Give the node that has no log the log, by a restart; the other goes on meanwhile."""
    assert house.nodes[0].end() == 0
    house.nodes[0].installed.set(BESPOKE_LOG_URL=house.log.url)
    house.nodes[0].start()


def add_the_second(house: House) -> None:
    """Add another shard."""
    house.control.primary.ask("CREATE DATABASE second")
    house.nodes[1].installed.done("shard", "add", "second", house.control.primary.address("second"))


def move(house: House, partition: int) -> None:
    """Move a partition there while visitors come."""
    assert house.nodes[1].installed.done("shard", "move", str(partition), "second")


def check_that_it_refuses(node: Node, *, key: str) -> None:
    """A node that has no log takes nothing once a partition is elsewhere, says so, and gives nobody another arm."""
    status, told = node.ask("POST", "/v1/batch", {"batch": events("late", token="none")}, key=key)
    assert (status, told["code"]) == (503, "storage_unavailable")
    assert "BESPOKE_LOG_URL: must be given to this node" in told["detail"]
    listed = {"experiment": KEY, "visitors": [{"id": "late"}]}
    for expose in (True, False):
        assert node.ask("POST", "/v1/assignments", {**listed, "expose": expose}, key=key)[0] == 503
    status, readiness = node.ask("GET", "/readyz")
    assert (status, readiness["failing"], readiness["database"]) == (503, ["database"], "divided_visitors")


def check_that_it_knows(house: House, *, partition: int) -> None:
    """The node that has no log finds exposures where they have been moved to."""
    visitors = [f"{witness.name}-{number}" for witness in house.witnesses for number in range(5)]
    with house.nodes[0].installed.beside() as installation:
        key = installation.keyring.visitors
    assert any(partition_of(pseudonym(visitor, key=key), _PARTITIONS) == partition for visitor in visitors)
    for visitor in visitors:
        answer = house.nodes[0].evaluate(visitor, key=house.admin, experiment=KEY)[1]
        assert answer["metadata"]["cause"] == "sticky", visitor


def check_that_it_does_not_start(installed: InstalledNode) -> None:
    """Nor does it start again as it was."""
    refused = installed.command("serve", "--port", "1")
    assert refused.returncode == 1
    assert "BESPOKE_LOG_URL: must be given, since visitors are in the shards second" in refused.stderr


@pytest.mark.long
def test_an_installation_moves_up_without_stopping(tmp_path: Path) -> None:
    with side_by_side(tmp_path, log_nodes=1) as house:
        kill_the_worker(house)
        wait_until(lambda: sums(compared(house), "visitors")[1] > 0, what="some are counted by the log")
        direct, logged, _ = sums(compared(house), "purchase")
        assert direct and logged
        wait_until(lambda: house.report()["diagnostics"]["complete"], what="a node that was there before collects")
        add_the_second(house)
        # Visitors of the node without the log come amid it: what it has begun is moved too, and what comes later waits.
        move(house, 0)
        check_that_it_refuses(house.nodes[0], key=house.admin)
        check_that_it_knows(house, partition=0)
        more_come(house.witnesses, _MORE)
        switch(house)
        more_come(house.witnesses, _MORE)
        check(house, tmp_path)
        compared(house)


@pytest.mark.long
def test_a_node_that_was_forgotten_counts_again_once_visitors_are_back_and_never_starts_while_they_are_not(
    tmp_path: Path,
) -> None:
    with side_by_side(tmp_path, log_nodes=1) as house:
        add_the_second(house)
        move(house, 0)
        check_that_it_refuses(house.nodes[0], key=house.admin)
        check_that_it_does_not_start(house.nodes[0].installed)
        house.nodes[1].installed.done("shard", "move", "0", "first")
        wait_until(house.nodes[0].is_ready, what="it is fit again")
        more_come(house.witnesses, _MORE)
        check(house._replace(nodes=house.nodes[::-1]), tmp_path)
        compared(house)


def test_the_first_shard_is_where_visitors_are(tmp_path: Path) -> None:
    with running_cluster() as control:
        control.primary.ask("CREATE DATABASE empty")
        installed = InstalledNode(tmp_path / "one", control.server)
        installed.run_experiment(campaign())
        key = installed.done("key", "create", "--scope", "server")
        node = Node(installed)
        status, answer = node.evaluate("ann", key=key, experiment=KEY)
        batch: list[dict[str, Any]] = events("ann", token=answer["metadata"]["token"])
        assert node.ask("POST", "/v1/batch", {"batch": batch}, key=key)[0] == 200
        assert node.end() == 0
        refused = installed.command("shard", "add", "first", control.primary.address("empty"))
        assert refused.returncode == 1
        assert "URL: the first shard must be BESPOKE_DATABASE_URL itself, since visitors are there" in refused.stderr
        assert installed.done("shard", "list") == ""
        # Nothing of the mistake is left.
        for name, address in (("first", control.server.url), ("second", control.primary.address("empty"))):
            installed.done("shard", "add", name, address)
        assert "second" in installed.done("shard", "list")
        installation = open_installation(load_config(installed.settings), serving=True)
        installation.close()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_an_installation_moves_up_whatever_is_killed(tmp_path: Path) -> None:
    with side_by_side(tmp_path, log_nodes=3) as house:
        for _ in range(3):
            for act in (kill_the_worker, kill_the_node_with_the_log):
                act(house)
                more_come(house.witnesses, 3 * _MORE)
            house.log.nodes[0].kill()
            more_come(house.witnesses, _MORE)
            house.log.nodes[0].start()
            compared(house)
        house.nodes[0].kill_everything()
        more_come(house.witnesses, _MORE)
        house.nodes[0].start()
        more_come(house.witnesses, _MORE)
        compared(house)
        switch(house)
        add_the_second(house)
        for partition in range(_PARTITIONS):
            move(house, partition)
            kill_the_worker(house)
        more_come(house.witnesses, _MORE)
        check(house, tmp_path)
        compared(house)
