"""A thousand planted ids, brought by every way in, and looked for in every file that the product writes."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.clusters import running_cluster
from tests.experiments.documents import spring_mailing
from tests.service.nodes import InstalledNode
from tests.service.processes import Installed
from tests.service.processes import ServerProcess

#: In every planted id, and in nothing else.
MARK = "planted7f3a"
IDS = [f"{MARK}-{number:04}@people.example" for number in range(1_000)]
GOAL = "Order Completed"


class Crowd:
    """Everybody of a thousand, at the doors of a server that logs all that it can."""

    def __init__(self, server: ServerProcess) -> None:
        self._keys = {scope: server.installed.key(scope) for scope in ("client", "server", "admin")}
        self.answered: list[int] = []
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=30)

    def come(self) -> None:
        """Bring each id by each way, well and badly."""
        for number, visitor in enumerate(IDS):
            body = list(_evaluations(visitor))[number % 5]
            self._send("POST", "/ofrep/v1/evaluate/flags/spring-mailing", body, scope="client")
        for start in range(0, len(IDS), 100):
            some = IDS[start : start + 100]
            self._send("POST", "/v1/batch", {"batch": [event for visitor in some for event in _events(visitor)]})
            self._list(some)
            for visitor in some[::20]:
                self._one_by_one(visitor)
        self._connection.close()

    def _list(self, visitors: list[str]) -> None:
        good: list[Any] = [{"id": visitor, "attributes": {"womens": True}} for visitor in visitors]
        bad = [{"id": visitor, "attributes": {"womens": visitor}, visitor: 1} for visitor in visitors]
        both = {"experiment": "spring-mailing", "visitors": [*good, *bad], "expose": True}
        self._send("POST", "/v1/assignments", both)
        lines = "\n".join(json.dumps(each) for each in good) + '\n{"id": "' + visitors[0]
        self._send(
            "POST", "/v1/assignments?experiment=spring-mailing&expose=true", lines, kind="application/x-ndjson"
        )

    def _one_by_one(self, visitor: str) -> None:
        context = {"context": {"targetingKey": visitor, "consent": visitor, "token": visitor}}
        for method, path, body in (
            ("POST", "/ofrep/v1/evaluate/flags", context),
            ("POST", f"/ofrep/v1/evaluate/flags/{visitor}", context),
            ("POST", "/v1/track", {"userId": visitor, "event": visitor, "messageId": visitor}),
            ("POST", "/v1/track", '{"userId": "' + visitor),
            ("POST", "/v1/identify", {"userId": visitor, "traits": {"email": visitor}}),
            ("POST", "/v1/opt-outs", {"id": visitor}),
            ("POST", "/v1/opt-outs", {"id": visitor, visitor: visitor}),
            ("POST", "/v1/opt-outs/lookup", {"id": visitor}),
            ("GET", f"/experiments/{visitor}?link={visitor}", None),
            ("GET", f"/v1/experiments/{visitor}", None),
            ("POST", "/v1/experiments", {"key": visitor}),
        ):
            self._send(method, path, body, scope="admin")
        tracked = [{"event_name": GOAL, "device_id": visitor, "user_id": visitor, "properties_json": {}}]
        self._send("POST", f"/track?client_key={self._keys['client']}", tracked, scope="")

    def _send(
        self, method: str, path: str, body: Any, *, scope: str = "server", kind: str = "application/json"
    ) -> None:
        text = body if isinstance(body, str) or body is None else json.dumps(body)
        headers = {"Content-Type": kind, "User-Agent": MARK, "traceparent": MARK, "X-Forwarded-For": MARK}
        if scope:
            headers["Authorization"] = f"Bearer {self._keys[scope]}"
        self._connection.request(method, path, text, headers)
        response = self._connection.getresponse()
        self.answered.append(response.status)
        response.read()


def _evaluations(visitor: str) -> Iterator[Any]:
    yield {"context": {"targetingKey": visitor, "womens": True, "first_name": visitor}}
    yield {"context": {"targetingKey": visitor, "womens": visitor}}
    yield {"context": {"targetingKey": visitor, "consent": "none", "undeclared": visitor}}
    yield {"context": {"targetingKey": visitor, "consent": visitor}}
    yield '{"context": {"targetingKey": "' + visitor


def _events(visitor: str) -> Iterator[Any]:
    seen = {"type": "track", "userId": visitor, "event": "Experiment Viewed"}
    here = {"experiment_id": "spring-mailing"}
    yield {**seen, "messageId": f"{visitor}-1", "properties": {**here, "variation_id": "one-letter"}}
    yield {**seen, "properties": {**here, "variation_id": visitor}}
    yield {**seen, "properties": {"experiment_id": visitor, "token": visitor}}
    order = {"type": "track", "userId": visitor, "event": GOAL, "properties": {"revenue": 5, "email": visitor}}
    yield {**order, "messageId": f"{visitor}-2"}
    yield {**order, "properties": {"revenue": visitor}}
    yield {**order, "timestamp": visitor}
    yield {**order, "context": {"consent": visitor, "traits": {"email": visitor}}}
    yield {"type": visitor, "userId": visitor}


def files_that_hold(folder: Path, *, but: tuple[str, ...] = ()) -> list[str]:
    """The files below a folder in which the mark stands; somebody else's are passed over by their names."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name not in but]
    assert paths
    texts = (MARK.encode(), MARK.upper().encode(), MARK.encode("utf-16-le"), MARK.encode().hex().encode())
    return [str(path) for path in paths if any(text in path.read_bytes() for text in texts)]


#: What a shop brings to commands, and the letters that it gets, in which its own ids must stand.
THEIRS = ("customers.csv", "orders.csv", "objections.csv", "letters.csv")


def command_line(installed: Installed) -> None:
    """Every command that takes ids or writes files."""
    folder = installed.folder
    table = "".join(f"{visitor},{visitor},true,{visitor}\n" for visitor in IDS[:200])
    (folder / "customers.csv").write_text("visitor,email,womens,first_name\n" + table)
    (folder / "orders.csv").write_text("visitor,event,revenue\n" + "".join(f"{one},{GOAL},7\n" for one in IDS[:200]))
    (folder / "objections.csv").write_text("visitor\n" + "\n".join(IDS[200:300]) + "\n")
    installed.done("assign", "spring-mailing", "customers.csv", "--out", "letters.csv")
    installed.done("record", "orders.csv")
    installed.done("opt-out", "--file", "objections.csv")
    installed.done("backup", "copy.db")
    for kind in ("text", "json", "csv", "html"):
        (folder / f"report.{kind}").write_text(installed.done("report", "spring-mailing", "--format", kind))
    (folder / "digest.eml").write_text(installed.done("digest", "spring-mailing", "--dry-run"))


def test_no_raw_id_is_in_any_file_of_an_embedded_installation(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    installed.environ["BESPOKE_LOG_LEVEL"] = "debug"
    installed.run_experiment(spring_mailing())
    server = ServerProcess(installed)
    try:
        crowd = Crowd(server)
        crowd.come()
        command_line(installed)
        assert {200, 400, 404, 422} <= set(crowd.answered)
        assert max(crowd.answered) < 500
        # While it runs too: the log of the database has not been taken in yet.
        assert (tmp_path / "bespoke.db-wal").stat().st_size > 0
        assert files_that_hold(tmp_path, but=THEIRS) == []
    finally:
        server.end()
    assert '"level": "debug"' in installed.log.read_text()
    assert files_that_hold(tmp_path, but=THEIRS) == []
    assert len(files_that_hold(tmp_path)) == len(THEIRS)


@pytest.mark.long
def test_no_raw_id_is_in_any_file_of_a_postgresql(tmp_path: Path) -> None:
    with running_cluster() as cluster:
        installed = InstalledNode(tmp_path / "node", cluster.server)
        installed.environ["BESPOKE_LOG_LEVEL"] = "debug"
        installed.run_experiment(spring_mailing())
        server = ServerProcess(installed)
        try:
            crowd = Crowd(server)
            crowd.come()
            command_line(installed)
            assert max(crowd.answered) < 500
        finally:
            server.end()
        cluster.primary.stop("fast")
        assert files_that_hold(installed.folder, but=THEIRS) == []
        # The log of the server stands beside its data.
        assert files_that_hold(cluster.primary.folder.parent) == []


@pytest.mark.parametrize("planted", [MARK, MARK.upper(), MARK.encode().hex()])
def test_what_is_planted_is_found(tmp_path: Path, planted: str) -> None:
    (tmp_path / "file").write_bytes(b"\0" * 99 + planted.encode())
    assert files_that_hold(tmp_path) == [str(tmp_path / "file")]
