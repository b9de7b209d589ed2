"""A visitor's rights, over HTTP and on the command line, on both databases, beside servers and through a restore."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from experiments.signing import pseudonym
from experiments.verification import verify
from service.installation import Installation
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny
from tests.experiments.histories import rows_of
from tests.postgres import Databases
from tests.service.conftest import Run
from tests.service.conftest import SetClock
from tests.service.conftest import bearer
from tests.service.conftest import count_rows
from tests.service.nodes import InstalledNode
from tests.service.nodes import Node
from tests.service.processes import Installed
from tests.service.processes import ServerProcess
from tests.service.processes import wait_until

KEY = "spring-mailing"
TABLES = ("events", "exposures", "totals", "waiting")
_DAY_SECONDS = 86_400


def evaluated(client: FlaskClient, visitor: str, *, key: str) -> dict[str, Any]:
    """What an evaluation gives."""
    answer = client.post(
        f"/ofrep/v1/evaluate/flags/{KEY}", json={"context": {"targetingKey": visitor}}, headers=bearer(key)
    ).json
    assert answer
    return dict(answer["metadata"])


def seen(visitor: str, token: str) -> dict[str, Any]:
    """The event of an exposure."""
    properties = {"experiment_id": KEY, "token": token}
    return {"type": "track", "userId": visitor, "event": "Experiment Viewed", "properties": properties}


def bought(visitor: str, id: str) -> dict[str, Any]:
    """The event of a purchase."""
    properties = {"revenue": 20}
    return {
        "type": "track", "userId": visitor, "messageId": id, "event": "Order Completed", "properties": properties
    }


@pytest.fixture(name="ask")
def _ask(client: FlaskClient, keys: dict[str, str], running: dict[str, Any]) -> Any:
    """Asks as an admin; ann has come and bought something."""

    def ask(path: str, body: object) -> Any:
        answer = client.post(path, json=body, headers=bearer(keys["admin"]))
        return answer.status_code, answer.json

    batch = [seen("ann", evaluated(client, "ann", key=keys["client"])["token"]), bought("ann", "order-1")]
    assert ask("/v1/batch", {"batch": batch})[1]["accepted"] == 2
    return ask


@pytest.mark.every_database
def test_all_that_is_known_can_be_read_and_erased_and_what_comes_late_is_ignored(
    ask: Any, client: FlaskClient, keys: dict[str, str], installation: Installation
) -> None:
    known = ask("/v1/visitors/lookup", {"id": "ann"})[1]
    assert [each["experiment"] for each in known["exposures"]] == [KEY]
    assert [event["amounts"] for event in known["events"]] == [None, {"revenue": 20}]
    assert {"experiment": KEY, "metric": "spend", "total": 2000, "counts_for": 2000} in known["totals"]
    before = client.get(f"/v1/experiments/{KEY}/report", headers=bearer(keys["admin"])).json
    token = evaluated(client, "ann", key=keys["client"])["token"]
    assert evaluated(client, "ann", key=keys["client"])["cause"] == "sticky"
    status, gone = ask("/v1/visitors/erase", {"id": "ann"})
    assert (status, gone["exposures"], gone["events"]) == (200, 1, 2)
    assert evaluated(client, "ann", key=keys["client"])["cause"] == "allocated"
    late = ask("/v1/batch", {"batch": [seen("ann", token), bought("ann", "order-1"), bought("ann", "order-2")]})[1]
    assert (late["ignored"], {item["code"] for item in late["items"]}) == (3, {"erased"})
    listed = ask("/v1/assignments", {"experiment": KEY, "visitors": [{"id": "ann"}], "expose": True})[1]
    assert listed["assignments"][0]["exposure"] == "ignored"
    left = ask("/v1/visitors/lookup", {"id": "ann"})[1]
    assert (left["exposures"], left["events"], left["totals"], left["waiting"]) == ([], [], [], [])
    assert left["erased_until"] == gone["erased_until"]
    assert [count_rows(installation, table) for table in TABLES] == [0, 0, 0, 0]
    assert client.get(f"/v1/experiments/{KEY}/report", headers=bearer(keys["admin"])).json == before
    assert verify(installation.store) == []


def test_only_admins_may_ask_and_nothing_but_an_id(ask: Any, client: FlaskClient, keys: dict[str, str]) -> None:
    for name in ("lookup", "erase"):
        for scope in ("client", "server", "report"):
            answer = client.post(f"/v1/visitors/{name}", json={"id": "ann"}, headers=bearer(keys[scope]))
            assert answer.status_code == 403
        for id in ("", 7, None, "x" * 513, "a\tb", ["ann"]):
            status, problem = ask(f"/v1/visitors/{name}", {"id": id})
            assert (status, problem["code"]) == (422, "invalid_visitor")
            assert problem["detail"].startswith("id: ")
        status, problem = ask(f"/v1/visitors/{name}", {"id": "ann", "email": "x"})
        assert (status, problem["code"]) == (400, "unknown_member")


def test_no_address_no_log_and_no_row_of_the_audit_log_has_the_id(
    ask: Any, client: FlaskClient, keys: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        ask("/v1/visitors/lookup", {"id": "ann-marie"})
        ask("/v1/visitors/erase", {"id": "ann-marie"})
    assert "ann-marie" not in caplog.text
    [row, *_] = client.get("/v1/audit", headers=bearer(keys["admin"])).json["audit"]
    assert (row["action"], row["subject"], row["details"]) == ("erase", "visitor", {})


@pytest.mark.every_database
def test_the_scheduler_removes_what_is_kept_no_longer_and_the_report_stays(
    ask: Any, client: FlaskClient, keys: dict[str, str], installation: Installation, clock: SetClock
) -> None:
    assert client.post(f"/v1/experiments/{KEY}/stop", headers=bearer(keys["admin"])).status_code == 200
    clock.advance(seconds=80 * _DAY_SECONDS)
    before = client.get(f"/v1/experiments/{KEY}/report", headers=bearer(keys["admin"])).json
    clock.advance(seconds=365 * _DAY_SECONDS)
    wait_until(lambda: not any(count_rows(installation, table) for table in TABLES), what="no row of a visitor is left")
    after = client.get(f"/v1/experiments/{KEY}/report", headers=bearer(keys["admin"])).json
    assert before and after and {**after, "as_of": ""} == {**before, "as_of": ""}
    assert verify(installation.store) == []


class Beside:
    """A served installation, whose commands run beside the server."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.installed = server.installed
        self.key = self.installed.key("admin")

    def cause(self, visitor: str) -> str:
        """Why the visitor gets the arm."""
        return str(self.evaluation(visitor)["cause"])

    def evaluation(self, visitor: str) -> dict[str, Any]:
        """What an evaluation says."""
        body = {"context": {"targetingKey": visitor}}
        answer = self.server.ask("POST", f"/ofrep/v1/evaluate/flags/{KEY}", body, key=self.key)[1]
        return dict(answer["metadata"])

    def send(self, *items: dict[str, Any]) -> dict[str, Any]:
        """What becomes of events."""
        answer: dict[str, Any] = self.server.ask("POST", "/v1/batch", {"batch": [*items]}, key=self.key)[1]
        return answer

    def come(self, visitor: str) -> None:
        """A visitor comes and buys something."""
        token = self.evaluation(visitor)["token"]
        assert self.send(seen(visitor, token), bought(visitor, f"order of {visitor}"))["accepted"] == 2


@pytest.fixture(name="beside", params=["sqlite", "postgresql"])
def _beside(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Beside]:
    """A real server on each database."""
    if request.param == "postgresql":
        databases: Databases = request.getfixturevalue("postgres")
        installed: Installed = InstalledNode(tmp_path / "node", databases.empty())
    else:
        installed = Installed(tmp_path)
    installed.run_experiment(spring_mailing())
    server = ServerProcess(installed)
    yield Beside(server)
    assert server.end() == 0


def test_a_command_beside_the_server_erases_and_the_server_forgets(beside: Beside) -> None:
    for visitor in ("anna-karenina", "bob"):
        beside.come(visitor)
        assert beside.cause(visitor) == "sticky"
    known = json.loads(beside.installed.done("visitor", "-", stdin="anna-karenina\n"))
    assert len(known["events"]) == 2
    said = beside.installed.done("erase", "-", stdin="anna-karenina\n")
    assert re.fullmatch(r"1 exposures and 2 events are erased; until [0-9TZ:-]+ nothing .* is stored", said)
    wait_until(lambda: beside.cause("anna-karenina") == "allocated", what="the server forgets", seconds=2)
    assert beside.cause("bob") == "sticky"
    assert beside.send(bought("anna-karenina", "late"))["items"][0]["code"] == "erased"
    assert json.loads(beside.installed.done("visitor", "anna-karenina"))["events"] == []
    beside.installed.check()
    assert "karenina" not in beside.installed.log.read_text()


def test_what_a_command_erases_leaves_no_byte_in_the_file_and_log_of_a_running_server(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    installed.run_experiment(spring_mailing())
    server = ServerProcess(installed)
    beside = Beside(server)
    beside.come("ann")
    with installed.beside() as installation:
        stand_in = pseudonym("ann", key=installation.keyring.visitors)
    log = Path(f"{installed.database}-wal")
    assert stand_in in installed.database.read_bytes() + log.read_bytes()
    installed.done("erase", "ann")
    wait_until(lambda: stand_in not in installed.database.read_bytes() + log.read_bytes(), what="no byte is left")
    assert server.end() == 0


def test_another_node_forgets_too(postgres: Databases, tmp_path: Path) -> None:
    database = postgres.empty()
    installed = [InstalledNode(tmp_path / name, database) for name in ("one", "two")]
    installed[0].run_experiment(spring_mailing())
    nodes = [Beside(Node(each)) for each in installed]
    nodes[0].come("ann")
    assert [node.cause("ann") for node in nodes] == ["sticky", "sticky"]
    status, _ = nodes[0].server.ask("POST", "/v1/visitors/erase", {"id": "ann"}, key=nodes[0].key)
    assert status == 200 and nodes[0].cause("ann") == "allocated"
    wait_until(lambda: nodes[1].cause("ann") == "allocated", what="the other node forgets", seconds=2)
    assert nodes[1].send(bought("ann", "late"))["items"][0]["code"] == "erased"
    assert [node.server.end() for node in nodes] == [0, 0]


def test_a_restored_backup_is_erased_again(started: Run, tmp_path: Path) -> None:
    run = started
    customers = "visitor\nann\nbob\ncem\n"
    assert run("assign", KEY, "-", stdin=customers).status == 0
    assert run("record", "-", stdin="visitor,event\nann,Order Completed\n").status == 0
    report = json.loads(run("report", KEY, "--format", "json").out)
    assert run("backup", "old.db").status == 0
    assert run("erase", "ann").status == 0
    assert run("opt-out", "bob").status == 0
    said = run("restore", "old.db")
    assert (said.status, said.err) == (0, "")
    assert said.out.endswith("1 visitors who were erased since are erased again\n")
    assert json.loads(run("visitor", "ann").out)["exposures"] == []
    bob = json.loads(run("visitor", "bob").out)
    assert len(bob["exposures"]) == 1 and bob["opted_out"]
    assert run("verify").status == 0
    after = json.loads(run("report", KEY, "--format", "json").out)
    assert {**after, "as_of": ""} == {**report, "as_of": ""}
    assert run("record", "-", stdin="visitor,event\nann,Order Completed\n").status == 0
    assert json.loads(run("visitor", "ann").out)["events"] == []


def test_a_backup_restored_elsewhere_is_erased_by_the_marks_of_another_database(
    started: Run, tmp_path: Path, postgres: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started
    assert run("assign", KEY, "-", stdin="visitor\nann\nbob\n").status == 0
    assert run("backup", "old.db").status == 0
    assert run("erase", "ann").status == 0
    assert run("backup", "newer.db").status == 0
    monkeypatch.setenv("BESPOKE_SECRET", Path(f"{tmp_path}/bespoke.db.secret").read_text().strip())
    monkeypatch.setenv("BESPOKE_DATABASE_URL", postgres.empty().url)
    assert run("restore", "old.db", "--erasures-of", "nowhere").err.startswith(
        "bespoke: --erasures-of: 'nowhere' must be sqlite:///"
    )
    said = run("restore", "old.db", "--erasures-of", "sqlite:///newer.db")
    assert said.status == 0 and "1 visitors who were erased since are erased again" in said.out
    assert json.loads(run("visitor", "ann").out)["exposures"] == []
    assert run("verify").status == 0


def test_where_the_old_database_is_damaged_it_is_said_that_erasures_are_not_known(started: Run, tmp_path: Path) -> None:
    run = started
    assert run("backup", "old.db").status == 0
    database = tmp_path / "bespoke.db"
    database.write_bytes(b"no database at all" * 1000)
    said = run("restore", "old.db")
    assert said.status == 0
    assert said.err.startswith("erase again whoever was erased since: the old database does not tell (")


def test_nobody_else_is_erased(installation: Installation, ask: Any) -> None:
    ask("/v1/visitors/erase", {"id": "bob"})
    stand_in = pseudonym("ann", key=installation.keyring.visitors)
    assert installation.store.read(lambda session: rows_of(session, stand_in)) == ["events", "exposures", "totals"]


def test_somebody_of_whom_nothing_is_known_can_be_looked_up_and_erased(started: Run) -> None:
    assert started("experiment", "apply", "-", stdin=json.dumps(tiny())).status == 0
    assert json.loads(started("visitor", "nobody").out)["events"] == []
    assert started("erase", "nobody").out.startswith("0 exposures and 0 events are erased")


@pytest.mark.every_database
def test_an_objection_outlasts_an_erasure_and_one_that_was_taken_back_does_not(
    ask: Any, client: FlaskClient, keys: dict[str, str], installation: Installation
) -> None:
    for visitor in ("ann", "bob"):
        assert ask("/v1/opt-outs", {"id": visitor})[1]["opted_out"]
    ask("/v1/opt-outs/remove", {"id": "bob"})
    assert count_rows(installation, "opt_outs") == 2
    for visitor in ("ann", "bob"):
        ask("/v1/visitors/erase", {"id": visitor})
    assert count_rows(installation, "opt_outs") == 1
    assert ask("/v1/visitors/lookup", {"id": "ann"})[1]["opted_out"]
    assert evaluated(client, "ann", key=keys["client"])["cause"] == "opted_out"
    assert evaluated(client, "bob", key=keys["client"])["cause"] == "allocated"
