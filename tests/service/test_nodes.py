"""Nodes on one PostgreSQL: each change reaches all of them, and one that loses the database does what is certain."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from experiments.audit import Deed
from experiments.errors import NotLookedUp
from experiments.errors import StorageUnreachable
from experiments.holds import finish
from experiments.storage.location import Server
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from tests.clusters import Cluster
from tests.clusters import running_cluster
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny
from tests.experiments.house import SECRETS
from tests.experiments.house import House
from tests.service.cuts import Proxy
from tests.service.nodes import InstalledNode
from tests.service.nodes import Node
from tests.service.processes import PATIENCE_SECONDS
from tests.service.processes import wait_until

_KEY = "tiny"
_VISITORS = [f"visitor-{number}" for number in range(60)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL that may be ended."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def nodes(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    """Two nodes, the second with two workers, of an installation whose experiment runs."""
    folder = tmp_path_factory.mktemp("nodes")
    installed = [InstalledNode(folder / name, cluster.server) for name in ("one", "two")]
    installed[0].run_experiment(tiny(control_share=0.3))
    nodes = [Node(installed[0]), Node(installed[1], "--workers", "2")]
    yield nodes
    for node in nodes:
        assert node.end() == 0
        assert "Traceback" not in node.installed.log.read_text()


@pytest.fixture(scope="module")
def keys(nodes: list[Node]) -> dict[str, str]:
    """A key of each scope that is used here."""
    return {scope: nodes[0].installed.key(scope) for scope in ("server", "admin")}


def seen(visitor: str, token: object) -> dict[str, Any]:
    """The event of an exposure."""
    return {
        "type": "track", "userId": visitor, "messageId": f"{visitor}-seen", "event": "Experiment Viewed",
        "properties": {"experiment_id": _KEY, "token": token},
    }


def expose(node: Node, visitor: str, *, key: str) -> dict[str, Any]:
    """Evaluate and expose a visitor; the evaluation."""
    status, answer = node.evaluate(visitor, key=key, experiment=_KEY)
    assert status == 200, answer
    status, told = node.ask("POST", "/v1/batch", {"batch": [seen(visitor, answer["metadata"]["token"])]}, key=key)
    assert (status, told["accepted"]) == (200, 1), told
    return answer


def test_several_workers_answer_at_one_port_and_the_node_tells_of_them(nodes: list[Node]) -> None:
    assert (len(nodes[0].workers()), len(nodes[1].workers())) == (1, 2)
    assert [node.readiness()["status"] for node in nodes] == ["ok", "ok"]
    assert nodes[0].readiness()["evaluations"] == "ok"


def test_what_one_node_has_acknowledged_every_other_one_knows_at_once(
    nodes: list[Node], keys: dict[str, str]
) -> None:
    for number in range(20):
        visitor, (here, there) = f"quick-{number}", (nodes[number % 2], nodes[1 - number % 2])
        given = expose(here, visitor, key=keys["server"])
        status, again = there.evaluate(visitor, key=keys["server"], experiment=_KEY)
        assert (status, again["variant"], again["metadata"]["cause"]) == (200, given["variant"], "sticky")


def test_a_change_on_one_node_holds_on_every_worker_of_the_others_soon(
    nodes: list[Node], keys: dict[str, str]
) -> None:
    for act, cause in (("pause", "not_running"), ("resume", "allocated")):
        assert nodes[0].ask("POST", f"/v1/experiments/{_KEY}/{act}", key=keys["admin"])[0] == 200

        def is_there() -> bool:
            # A connection each, so that both workers are asked.
            answers = [nodes[1].evaluate("somebody", key=keys["server"], experiment=_KEY)[1] for _ in range(8)]
            return {answer["metadata"]["cause"] for answer in answers} == {cause}

        wait_until(is_there, what=f"{act} has reached the other node")


def test_a_node_without_its_database_gives_everybody_the_arm_they_have_and_acknowledges_nothing(
    nodes: list[Node], keys: dict[str, str], cluster: Cluster
) -> None:
    key = keys["server"]
    there = {visitor: nodes[number % 2] for number, visitor in enumerate(_VISITORS)}
    given = {visitor: expose(node, visitor, key=key)["variant"] for visitor, node in there.items()}
    node = nodes[0]
    for visitor in _VISITORS[:20]:
        assert node.evaluate(visitor, key=key, experiment=_KEY)[1]["metadata"]["cause"] == "sticky"
    cluster.primary.stop("immediate")
    try:
        wait_until(lambda: node.readiness()["failing"] == ["database"], what="it says that its database is away")
        told = node.readiness()
        assert (told["status"], told["database"]) == ("unavailable", "storage_unreachable")
        assert told["evaluations"] == "last_snapshot"
        for number, visitor in enumerate(_VISITORS):
            status, answer = node.evaluate(visitor, key=key, experiment=_KEY)
            assert (status, answer["variant"]) == (200, given[visitor])
            assert answer["metadata"]["cause"] == ("sticky" if number < 20 else "allocated")
        assert _refused_events(node, key=key) == {(503, "1")}
        assert node.ask("GET", "/healthz")[0] == 200
        assert "bespoke_database_reached 0.0" in node.answer("GET", "/metrics", key=keys["admin"]).text
    finally:
        cluster.primary.start()
    wait_until(lambda: all(each.is_ready() for each in nodes), what="all nodes are ready again")
    assert expose(node, "after", key=key)["metadata"]["cause"] == "allocated"
    nodes[1].installed.check()


def _refused_events(node: Node, *, key: str, visitor: str = "visitor-1") -> set[tuple[int, str]]:
    """The answers to events of many senders at once, who do not hold evaluations up: status and when to try again."""

    def send(number: int) -> tuple[int, str]:
        answer = node.answer("POST", "/v1/batch", {"batch": [seen(f"lost-{number}", None)]}, key=key)
        return answer.status, answer.headers["Retry-After"]

    with ThreadPoolExecutor(40) as threads:
        answers = threads.map(send, range(80))
        assert node.evaluate(visitor, key=key, experiment=_KEY)[0] == 200
        return set(answers)


def test_schedulers_on_several_machines_do_each_slot_once_whatever_becomes_of_one(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.primary.ask("CREATE DATABASE slots")
    machines = [InstalledNode(tmp_path / name, Server(cluster.primary.address("slots"))) for name in ("one", "two")]
    machines[0].run_experiment(spring_mailing(policy={"kind": "thompson", "every": "1s"}))
    sleeper, victim = (machine.start("scheduler") for machine in machines)
    with machines[0].beside() as installation:

        def slots() -> list[int]:
            rows = installation.store.read(lambda session: list(session.ledger.rows("spring-mailing")))
            return [msgspec.json.decode(row.body)["slot"] for row in rows[1:]]

        def more_are_done() -> None:
            before = len(slots())
            wait_until(lambda: len(slots()) > before + 1, what="two more slots are done")

        more_are_done()
        sleeper.send_signal(signal.SIGSTOP)
        more_are_done()
        sleeper.send_signal(signal.SIGCONT)
        victim.kill()
        victim.wait()
        more_are_done()
        sleeper.terminate()
        assert sleeper.wait(PATIENCE_SECONDS) == 0
        done = slots()
    assert done == sorted(set(done))
    assert "Traceback" not in machines[0].log.read_text()


def test_without_its_database_a_node_gives_the_arm_that_is_certain_and_refuses_all_others(cluster: Cluster) -> None:
    cluster.primary.ask("CREATE DATABASE away")
    server = Server(cluster.primary.address("away"))
    migrate_database(server, fingerprint=SECRETS.fingerprint)
    store = open_store(server, fingerprint=SECRETS.fingerprint, serving=True)
    try:
        house = House(store)
        house.start(tiny(control_share=0.4))
        first = {visitor: house.evaluate(_KEY, visitor) for visitor in _VISITORS}
        house.record(*(house.exposure(_KEY, visitor) for visitor in _VISITORS))
        finish(store, _KEY, deed=Deed("test", house.now_ms, "The verdict is in."))
        house.snapshots.refresh()
        remembered = _VISITORS[:10]
        assert {house.evaluate(_KEY, visitor).assignment.cause for visitor in remembered} == {"sticky"}
        cluster.primary.stop("immediate")
        with pytest.raises(StorageUnreachable):
            store.changes()
        certain = 0
        for visitor, given in first.items():
            if visitor in remembered or given.assignment.arm == "everyone":
                # The new weights give all but a ten-thousandth the mass arm, and so did the old ones.
                assert house.evaluate(_KEY, visitor).assignment.arm == given.assignment.arm
                certain += 1
                continue
            with pytest.raises(NotLookedUp):
                house.evaluate(_KEY, visitor)
            kept = house.evaluate(_KEY, visitor, token=given.token).assignment
            assert (kept.arm, kept.cause) == (given.assignment.arm, "sticky")
        assert 10 < certain < len(_VISITORS)
        with pytest.raises(StorageUnreachable):
            house.record(house.event("ann", "Signed Up"))
    finally:
        store.close()
        cluster.primary.start()


@pytest.mark.long
def test_a_server_that_falls_silent_is_as_good_as_away(cluster: Cluster, tmp_path: Path) -> None:
    cluster.primary.ask("CREATE DATABASE silent")
    proxy = Proxy(cluster.primary.port)
    through = Server(f"postgresql://postgres@127.0.0.1:{proxy.port}/silent")
    installed = InstalledNode(tmp_path / "node", through)
    installed.run_experiment(tiny())
    node = Node(installed)
    try:
        key = installed.key("server")
        expose(node, "before", key=key)
        proxy.fall_silent()

        def is_told() -> bool:
            # Whoever began to ask before it was known goes on waiting.
            try:
                return '"last_snapshot"' in node.answer("GET", "/readyz", key=key, seconds=2).text
            except TimeoutError:
                return False

        wait_until(is_told, what="it says that its database is away")
        assert node.evaluate("somebody", key=key, experiment=_KEY)[0] == 200
        assert _refused_events(node, key=key, visitor="somebody") == {(503, "1")}
        proxy.speak()
        wait_until(node.is_ready, what="it is ready again")
        expose(node, "after", key=key)
        installed.check()
    finally:
        proxy.speak()
        node.end()
        proxy.close()


def test_the_doctor_names_a_server_that_would_forget(nodes: list[Node]) -> None:
    said = nodes[0].installed.command("doctor")
    assert said.returncode == 1
    assert "fault fsync = off: must be on: a loss of power takes events that were acknowledged" in said.stdout
