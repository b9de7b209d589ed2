"""Nodes, schedulers, connections and servers are killed under load: nothing acknowledged is lost or counted twice."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec
import pytest

from experiments.storage.ledger import LedgerRow
from experiments.storage.location import Server
from tests.clusters import Cluster
from tests.clusters import running_cluster
from tests.experiments.documents import spring_mailing
from tests.service.cuts import Proxy
from tests.service.nodes import InstalledNode
from tests.service.nodes import Node
from tests.service.processes import wait_until
from tests.service.witnesses import KEY
from tests.service.wanderers import Wanderer
from tests.service.witnesses import check_exactly_once
from tests.service.witnesses import more_come

#: Waits that are long enough for a machine that does other things as well.
_MORE = 20


class House(NamedTuple):
    """All that runs."""

    cluster: Cluster
    proxy: Proxy
    nodes: list[Node]
    schedulers: list[subprocess.Popen[bytes]]
    witnesses: list[Wanderer]
    admin: str

    def more(self, number: int) -> None:
        """Let so many more visitors come, while all weights move and move back: nearly nobody is settled."""
        for name in ("finish", "unfreeze"):
            more_come(self.witnesses, number // 2)
            wait_until(lambda name=name: self._does(name), what=f"a node does {name}")  # type: ignore[misc]

    def _does(self, name: str) -> bool:
        """Whether a node has done it, now or when its answer was lost."""
        try:
            path = f"/v1/experiments/{KEY}/{name}"
            status, _ = self.nodes[-1].ask("POST", path, {"reason": "Weights move."}, key=self.admin)
            return status in (200, 409)
        except (OSError, HTTPException, ValueError):
            return False


@contextmanager
def at_work(folder: Path) -> Iterator[House]:
    """Three nodes and two schedulers on a primary with a synchronous standby, and four witnesses who come to them."""
    document = spring_mailing(policy={"kind": "thompson", "every": "1s", "burn_in": 10, "max_step": 0.25})
    with running_cluster(standby=True) as cluster:
        proxy = Proxy(cluster.primary.port)
        through = Server(f"postgresql://postgres@127.0.0.1:{proxy.port}/bespoke")
        installed = [InstalledNode(folder / name, cluster.server) for name in ("one", "two")]
        installed.append(InstalledNode(folder / "three", through))
        installed[0].run_experiment(document)
        key, admin = (installed[0].key(scope) for scope in ("server", "admin"))
        nodes = [Node(each) for each in installed]
        schedulers = [each.start("scheduler") for each in installed[:2]]
        witnesses = [Wanderer(nodes, key=key, name=name) for name in ("ann", "bob", "cem", "dan")]
        for witness in witnesses:
            witness.start()
        try:
            yield House(cluster, proxy, nodes, schedulers, witnesses, admin)
        finally:
            for witness in witnesses:
                witness.end()
            for scheduler in schedulers:
                scheduler.kill()
                scheduler.wait()
            for node in nodes:
                node.end()
            proxy.close()


def kill_a_node(house: House, number: int) -> None:
    """Kill all of a node, and start it again."""
    node = house.nodes[number % len(house.nodes)]
    node.kill_everything()
    more_come(house.witnesses, _MORE)
    node.start()


def cut_commits(house: House, number: int) -> None:
    """Cut the connections of a node when the server has committed and is about to say so."""
    before = house.proxy.cuts
    house.proxy.cut(3)
    wait_until(lambda: house.proxy.cuts == before + 3, what="three commits are cut off")


def restart_fast(house: House, number: int) -> None:
    """Restart PostgreSQL, which ends every connection."""
    house.cluster.primary.restart("fast")


def restart_at_once(house: House, number: int) -> None:
    """Restart PostgreSQL as after a loss of power."""
    house.cluster.primary.restart("immediate")


def stop_a_scheduler(house: House, number: int) -> None:
    """Let a scheduler sleep over its slots, and wake."""
    scheduler = house.schedulers[number % 2]
    scheduler.send_signal(signal.SIGSTOP)
    more_come(house.witnesses, _MORE)
    scheduler.send_signal(signal.SIGCONT)


_ACTS = (kill_a_node, cut_commits, restart_at_once, stop_a_scheduler, restart_fast)


def fail_over(house: House) -> None:
    """Kill the primary, and let its synchronous standby take its place."""
    house.cluster.fail_over()
    house.proxy.target = house.cluster.primary.port


def check(house: House) -> None:
    """What was acknowledged is there, once; the ledger has one row a slot; nobody has had two arms."""
    for node in house.nodes:
        wait_until(node.is_ready, what="every node is ready again")
    for witness in house.witnesses:
        witness.end()
        assert witness.moved == []
    check_exactly_once(house.nodes[0], house.witnesses)
    with house.nodes[0].installed.beside() as installation:
        ledger: list[LedgerRow] = installation.store.read(lambda session: list(session.ledger.rows(KEY)))
    slots = [slot for row in ledger if (slot := msgspec.json.decode(row.body).get("slot")) is not None]
    assert len(slots) > 3 and slots == sorted(set(slots))
    epochs = [row.epoch for row in ledger if row.kind == "published"]
    assert len(epochs) > 3 and epochs == list(range(1, len(epochs) + 1))
    for node in house.nodes:
        assert "Traceback" not in node.installed.log.read_text()


def test_nothing_is_lost_or_counted_twice_whatever_is_killed(tmp_path: Path) -> None:
    with at_work(tmp_path) as house:
        house.more(_MORE)
        for act in (kill_a_node, cut_commits, restart_at_once):
            act(house, 0)
            house.more(_MORE)
        fail_over(house)
        house.more(_MORE)
        check(house)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_or_counted_twice_over_many_kills(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    with at_work(tmp_path) as house:
        for number in range(4):
            for act in rng.sample(_ACTS, len(_ACTS)):
                act(house, number)
                house.more(3 * _MORE)
        fail_over(house)
        for number in range(len(house.nodes)):
            house.more(3 * _MORE)
            kill_a_node(house, number)
        check(house)
