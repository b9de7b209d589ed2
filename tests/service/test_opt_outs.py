"""Opt-outs: who objects gets the mass arm, leaves no trace from then on, and does so on every node within seconds."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from experiments.reports import build_report
from experiments.storage.location import Server
from experiments.verification import verify
from service.installation import Installation
from tests.clusters import Cluster
from tests.clusters import running_cluster
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny
from tests.service.conftest import Run
from tests.service.conftest import SetClock
from tests.service.conftest import bearer
from tests.service.conftest import count_rows
from tests.service.nodes import InstalledNode
from tests.service.nodes import Node
from tests.service.processes import Installed
from tests.service.processes import ServerProcess
from tests.service.processes import wait_until

EVALUATE = "/ofrep/v1/evaluate/flags/spring-mailing"
WITHDRAWALS = {
    "key": "withdrawals", "event": "Opted Out", "kind": "conversion", "role": "guardrail", "direction": "decrease",
    "limit": 0.05, "source": "server",
}
TABLES = ("events", "exposures", "totals", "waiting", "cells", "lags", "counters")


class Shop:
    """A shop whose visitors are all women's shoppers."""

    def __init__(self, client: FlaskClient, keys: dict[str, str]) -> None:
        self._client = client
        self._headers = {scope: bearer(key) for scope, key in keys.items()}

    def post(self, path: str, body: Any, *, scope: str = "server") -> Any:
        """What is answered."""
        answer = self._client.post(path, json=body, headers=self._headers[scope])
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def evaluate(self, visitor: str, **context: Any) -> dict[str, Any]:
        """An evaluation."""
        found: dict[str, Any] = self.post(EVALUATE, {"context": {"targetingKey": visitor, "womens": True, **context}})
        return found

    def send(self, visitor: str, event: str, **properties: Any) -> Any:
        """One event of a visitor, with the same id each time."""
        item = {
            "type": "track", "userId": visitor, "messageId": f"{visitor} {event}", "event": event,
            "properties": properties,
        }
        return self.post("/v1/batch", {"batch": [item]})

    def expose(self, visitor: str) -> str:
        """Expose a visitor; the arm."""
        found = self.evaluate(visitor)
        told = self.send(
            visitor, "Experiment Viewed", experiment_id="spring-mailing", token=found["metadata"]["token"]
        )
        assert told["accepted"] == 1, told
        return str(found["variant"])

    def object(self, visitor: str) -> Any:
        """Put a visitor on the list."""
        return self.post("/v1/opt-outs", {"id": visitor})


@pytest.fixture(name="shop")
def _shop(client: FlaskClient, keys: dict[str, str]) -> Shop:
    document = spring_mailing(key="spring-mailing", metrics=[*spring_mailing()["metrics"], WITHDRAWALS])
    headers = bearer(keys["admin"])
    assert client.post("/v1/experiments", json=document, headers=headers).status_code == 201
    assert client.post("/v1/experiments/spring-mailing/start", headers=headers).status_code == 200
    return Shop(client, keys)


def traces(installation: Installation) -> dict[str, int]:
    """How many rows there are that visitors leave."""
    return {table: count_rows(installation, table) for table in TABLES}


@pytest.mark.every_database
def test_who_objects_gets_the_mass_arm_by_every_way_and_leaves_nothing(shop: Shop, installation: Installation) -> None:
    promised = shop.evaluate("ann")["metadata"]["token"]
    assert shop.object("ann")["opted_out"] is True
    before = traces(installation)
    found = shop.evaluate("ann", token=promised)
    assert (found["variant"], found["reason"], found["metadata"]["cause"]) == ("one-letter", "STATIC", "opted_out")
    assert found["metadata"]["segment"] == "no-personalisation"
    assert "token" not in found["metadata"]
    [of_all] = shop.post("/ofrep/v1/evaluate/flags", {"context": {"targetingKey": "ann", "womens": 7}})["flags"]
    assert (of_all["variant"], of_all["metadata"]["cause"]) == ("one-letter", "opted_out")
    for event, properties in (
        ("Experiment Viewed", {"experiment_id": "spring-mailing", "token": promised}),
        ("Experiment Viewed", {"experiment_id": "spring-mailing", "variation_id": "womens-letter"}),
        ("Order Completed", {"revenue": 10}),
    ):
        told = shop.send("ann", event, **properties)
        assert (told["ignored"], told["items"][0]["code"]) == (1, "opted_out")
    assert traces(installation) == before


@pytest.mark.every_database
@pytest.mark.parametrize("odd", [False, True], ids=["a plain list", "a list that is read one by one"])
def test_a_list_gives_each_what_they_would_get_alone(shop: Shop, installation: Installation, odd: bool) -> None:
    names = [f"visitor-{number}" for number in range(40)]
    for name in names[::2]:
        shop.object(name)
    visitors: list[Any] = [{"id": name, "attributes": {"womens": True}} for name in names]
    body = {"experiment": "spring-mailing", "visitors": [*visitors, *([{"id": 7}] if odd else [])], "expose": True}
    alone = {name: shop.evaluate(name) for name in names}
    items = shop.post("/v1/assignments", body)["assignments"][: len(names)]
    for item in items:
        found = alone[item["id"]]
        assert (item["arm"], item["cause"]) == (found["variant"], found["metadata"]["cause"])
    assert [item["exposure"] for item in items] == ["ignored", "accepted"] * 20
    assert {item["cause"] for item in items[::2]} == {"opted_out"}
    assert count_rows(installation, "exposures") == 20


@pytest.mark.every_database
def test_who_objects_later_keeps_what_was_counted_and_adds_nothing_whatever_the_arm(
    shop: Shop, installation: Installation, clock: SetClock
) -> None:
    names = [f"visitor-{number}" for number in range(60)]
    arms = {name: shop.expose(name) for name in names}
    assert len(set(arms.values())) == 3
    clock.advance(seconds=60)
    for name in names[:30]:
        shop.send(name, "Order Completed", revenue=10)
    for name in names:
        shop.object(name)
    clock.advance(seconds=60)
    before = traces(installation)
    told = [shop.send(name, "Page Viewed")["items"][0] for name in names]
    # The answer and what is stored are the same in every arm, tailored ones too.
    assert {(item["status"], item["code"]) for item in told} == {("ignored", "opted_out")}
    assert traces(installation) == before
    report = shop_report(installation, clock)
    assert sum(row["visitors"] for row in report["totals"]) == 60
    assert sum(row["metrics"]["purchase"]["sum"] for row in report["totals"]) == 30
    assert verify(installation.store) == []


def shop_report(installation: Installation, clock: SetClock) -> dict[str, Any]:
    """The report with every figure."""
    return dict(build_report(installation.store, "spring-mailing", now_ms=clock.now_ms(), min_cell=0))


def test_withdrawals_are_a_guardrail_that_counts_each_visitor_once_and_strangers_never(
    shop: Shop, installation: Installation, clock: SetClock
) -> None:
    arms = {name: shop.expose(name) for name in (f"visitor-{number}" for number in range(60))}
    clock.advance(seconds=60)
    tailored = [name for name, arm in arms.items() if arm == "womens-letter"]
    for name in (*tailored, "a stranger"):
        shop.object(name)
    shop.post("/v1/opt-outs/remove", {"id": tailored[0]})
    clock.advance(seconds=60)
    shop.object(tailored[0])
    report = shop_report(installation, clock)
    sums = {row["arm"]: row["metrics"]["withdrawals"]["sum"] for row in report["totals"]}
    assert sums == {"nothing": 0, "one-letter": 0, "womens-letter": len(tailored)}
    rails = {(rail["metric"], rail["arm"]): rail["breached"] for rail in report["guardrails"]}
    assert rails["withdrawals", "womens-letter"] and not rails["withdrawals", "one-letter"]
    assert verify(installation.store) == []


@pytest.mark.every_database
def test_an_objection_can_be_taken_back_and_the_exposed_keep_their_arm(shop: Shop) -> None:
    name, arm = next((name, arm) for name, arm in arms_of(shop) if arm == "womens-letter")
    shop.object(name)
    assert shop.evaluate(name)["variant"] == "one-letter"
    assert shop.post("/v1/opt-outs/lookup", {"id": name})["opted_out"] is True
    back = shop.post("/v1/opt-outs/remove", {"id": name})
    assert back["opted_out"] is False and back["since"]
    found = shop.evaluate(name)
    assert (found["variant"], found["metadata"]["cause"]) == (arm, "sticky")
    assert shop.send(name, "Order Completed", revenue=1)["accepted"] == 1


def arms_of(shop: Shop) -> Iterator[tuple[str, str]]:
    """Visitors that are exposed one by one, with their arms."""
    for number in range(100):
        yield f"visitor-{number}", shop.expose(f"visitor-{number}")


def test_an_objection_is_part_of_what_is_known_and_outlives_an_erasure(shop: Shop) -> None:
    assert shop.post("/v1/visitors/lookup", {"id": "ann"}, scope="admin")["opted_out"] is False
    shop.expose("ann")
    shop.object("ann")
    assert shop.post("/v1/visitors/lookup", {"id": "ann"}, scope="admin")["opted_out"] is True
    shop.post("/v1/visitors/erase", {"id": "ann"}, scope="admin")
    left = shop.post("/v1/visitors/lookup", {"id": "ann"}, scope="admin")
    assert (left["exposures"], left["opted_out"]) == ([], True)
    assert shop.evaluate("ann")["metadata"]["cause"] == "opted_out"


def test_what_was_never_said_is_no_objection_and_leaves_no_row(shop: Shop, installation: Installation) -> None:
    assert shop.post("/v1/opt-outs/lookup", {"id": "bob"}) == {"opted_out": False, "since": None}
    assert shop.post("/v1/opt-outs/remove", {"id": "bob"}) == {"opted_out": False, "since": None}
    assert count_rows(installation, "opt_outs") == 0


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 422, "id: None must be a string"), ({"id": 7}, 422, "id: 7 must be a string"), ({"id": ""}, 422, "512"),
        ({"id": "x" * 513}, 422, "512"), ({"id": "ann", "visitor": "bob"}, 400, "'visitor' must be id"),
    ],
)
def test_an_opt_out_of_nobody_is_refused(
    client: FlaskClient, keys: dict[str, str], body: Any, status: int, words: str
) -> None:
    answer = client.post("/v1/opt-outs", json=body, headers=bearer(keys["server"]))
    assert answer.status_code == status
    assert words in answer.get_json()["detail"]


def test_keys_of_web_pages_cannot_object_for_others(client: FlaskClient, keys: dict[str, str]) -> None:
    for path in ("/v1/opt-outs", "/v1/opt-outs/remove", "/v1/opt-outs/lookup"):
        assert client.post(path, json={"id": "ann"}, headers=bearer(keys["client"])).status_code == 403


def test_a_table_of_objections_is_heeded_by_a_server_that_runs(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    installed.run_experiment(spring_mailing())
    server = ServerProcess(installed)
    try:
        key = installed.key("server")
        (tmp_path / "objections.csv").write_text("visitor,when\n" + "".join(f"v{n},today\n" for n in range(600)))
        assert installed.done("opt-out", "--file", "objections.csv") == "600 opted out"
        wait_until(lambda: cause(server, "v599", key=key) == "opted_out", what="the list is heeded", seconds=5)
        assert cause(server, "v600", key=key) == "allocated"
        assert installed.done("opt-out", "v599", "--undo") == "1 no longer opted out"
        wait_until(lambda: cause(server, "v599", key=key) == "allocated", what="and what is taken back", seconds=5)
    finally:
        server.end()


def cause(server: ServerProcess, visitor: str, *, key: str, experiment: str = "spring-mailing") -> str:
    """Why a visitor gets the arm."""
    context = {"context": {"targetingKey": visitor, "womens": True}}
    status, answer = server.ask("POST", f"/ofrep/v1/evaluate/flags/{experiment}", context, key=key)
    assert status == 200, answer
    return str(answer["metadata"]["cause"])


def test_a_table_without_visitors_and_a_command_without_anybody_are_refused(run: Run, tmp_path: Path) -> None:
    run("init")
    (tmp_path / "people.csv").write_text("name\nann\n")
    refused = run("opt-out", "--file", "people.csv")
    assert (refused.status, "must be called visitor" in refused.err) == (1, True)
    assert run("opt-out").status == 2
    assert run("opt-out", "ann", "--file", "people.csv").status == 2


def test_a_backup_brings_objections_back(shop: Shop, run: Run, tmp_path: Path, installation: Installation) -> None:
    shop.object("ann")
    assert run("backup", "copy.db").status == 0
    shop.post("/v1/opt-outs/remove", {"id": "ann"})
    restored = Installed(tmp_path / "elsewhere")
    restored.folder.mkdir()
    shutil.copy(tmp_path / "bespoke.db.secret", restored.folder)
    restored.done("restore", str(tmp_path / "copy.db"))
    server = ServerProcess(restored)
    try:
        key = restored.key("server")
        assert cause(server, "ann", key=key) == "opted_out"
        assert cause(server, "bob", key=key) == "allocated"
    finally:
        server.end()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL of this module's own."""
    with running_cluster() as cluster:
        yield cluster


def test_an_objection_holds_on_every_node_within_five_seconds(cluster: Cluster, tmp_path: Path) -> None:
    nodes = started(cluster.server, tmp_path)
    try:
        key = nodes[0].installed.key("server")
        for number in range(10):
            status, _ = nodes[number % 2].ask("POST", "/v1/opt-outs", {"id": f"v{number}"}, key=key)
            assert status == 200
        asked = [(node, f"v{number}") for number in range(10) for node in nodes]

        def is_heeded() -> bool:
            return {cause(node, visitor, key=key, experiment="tiny") for node, visitor in asked} == {"opted_out"}

        # Several workers answer at one port: each of them is asked at some time.
        wait_until(lambda: all(is_heeded() for _ in range(5)), what="every worker heeds it", seconds=5)
        exposing = {"experiment": "tiny", "visitors": [{"id": f"v{n}"} for n in range(10)], "expose": True}
        for node in nodes:
            _, answer = node.ask("POST", "/v1/assignments", exposing, key=key)
            assert {item["exposure"] for item in answer["assignments"]} == {"ignored"}
    finally:
        for node in nodes:
            node.end()


def started(server: Server, folder: Path) -> list[Node]:
    """Two nodes, the second with two workers."""
    installed = [InstalledNode(folder / name, server) for name in ("one", "two")]
    installed[0].run_experiment(tiny())
    return [Node(installed[0]), Node(installed[1], "--workers", "2")]
