"""The example package, installed by pip: a real server with it, and what becomes of it without."""

import json
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from experiments.plugins import plugins
from experiments.reading.policy import policy_section
from service.setup import wording as setup_wording
from service.setup.form import FORM
from service.setup.kinds import Reading
from tests.experiments.documents import tiny
from tests.packages import EXAMPLE
from tests.packages import install_example
from tests.service.processes import Installed
from tests.service.processes import REPOSITORY
from tests.service.processes import ServerProcess
from tests.service.processes import wait_until

_ARMS = [{"key": "a", "role": "mass"}, {"key": "b", "role": "mass"}]
_POLICY = {
    "kind": "epsilon_decay", "halved_after": 100, "every": "1s", "burn_in": 0, "burn_in_conversions": 0,
    "min_share": 0.01, "max_step": 1,
}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the example package is installed in."""
    folder = tmp_path_factory.mktemp("extended") / "packages"
    install_example(folder)
    return folder


def extended(folder: Path, example: Path) -> Installed:
    """An installation that finds the example package."""
    installed = Installed(folder)
    installed.environ["PYTHONPATH"] = os.pathsep.join([installed.environ["PYTHONPATH"], str(example)])
    return installed


def events(server: ServerProcess, key: str, experiment: str, *, visitors: int) -> None:
    """Everybody comes; every third of arm b's does what is hoped for, and nobody of arm a's."""
    lists = {"experiment": experiment, "visitors": [{"id": f"v{n}"} for n in range(visitors)], "expose": True}
    status, answer = server.ask("POST", "/v1/assignments", lists, key=key)
    assert status == 200
    happy = [one["id"] for one in answer["assignments"] if one["arm"] == "b"][::3]
    batch = [{"type": "track", "userId": one, "event": "Signed Up", "messageId": one} for one in happy]
    assert server.ask("POST", "/v1/batch", {"batch": batch}, key=key)[1]["accepted"] == len(happy)


def weights(server: ServerProcess, key: str) -> dict[str, Any]:
    """The weights in force."""
    rows = server.ask("GET", "/v1/experiments/tiny/allocations", key=key)[1]["allocations"]
    found: dict[str, Any] = rows[-1]["weights"]["everyone-else"]
    return found


def test_the_policy_of_the_example_moves_traffic_and_is_held_without_it(tmp_path: Path, example: Path) -> None:
    installed = extended(tmp_path, example)
    installed.done("init")
    admin = installed.done("key", "create", "--scope", "admin")
    server = ServerProcess(installed)
    assert server.ask("POST", "/v1/experiments", tiny(arms=_ARMS, policy=_POLICY), key=admin)[0] == 201
    assert server.ask("POST", "/v1/experiments/tiny/start", key=admin)[0] == 200
    events(server, admin, "tiny", visitors=300)
    # 100 of 100 + 300 explore, evenly; of the rest the floor takes a little.
    wait_until(lambda: weights(server, admin)["b"] > 0.85, what="the policy moves traffic")
    moved = weights(server, admin)
    assert moved["b"] == pytest.approx(0.01 + 0.98 * 0.875, abs=2e-4)
    assert "epsilon_decay" in str(server.ask("GET", "/openapi.json")[1]["components"])
    assert server.end() == 0
    assert installed.done("verify")
    bare = Installed(tmp_path)
    server = ServerProcess(bare)
    flag = "/ofrep/v1/evaluate/flags/tiny"
    assert server.ask("POST", flag, {"context": {"targetingKey": "ann"}}, key=admin)[0] == 200

    def refused() -> str:
        answer = server.ask("GET", "/v1/experiments/tiny/report", key=admin)[1]
        return answer["diagnostics"]["refused"] or ""

    wait_until(lambda: "policy.kind 'epsilon_decay' is not installed" in refused(), what="the report says why")
    assert weights(server, admin) == moved
    status, answer = server.ask("PUT", "/v1/experiments/tiny", tiny(arms=_ARMS, policy=_POLICY), key=admin)
    assert (status, answer["problems"][0]["field"]) == (422, "policy.kind")
    assert server.end() == 0


def test_the_preflight_simulates_the_policy_of_the_example(tmp_path: Path, example: Path) -> None:
    said = extended(tmp_path, example).done(
        "simulate", "-", "--runs", "4", "--days", "10", stdin=json.dumps(tiny(arms=_ARMS, policy=_POLICY))
    )
    assert "* epsilon_decay" in said


def test_the_source_and_the_sink_of_the_example_work_in_a_real_server(tmp_path: Path, example: Path) -> None:
    shop, news = tmp_path / "shop.db", tmp_path / "news.db"
    with closing(sqlite3.connect(shop)) as orders, orders:
        orders.execute("CREATE TABLE orders (number INTEGER PRIMARY KEY, customer TEXT, revenue REAL, at TEXT)")
    installed = extended(tmp_path, example)
    installed.environ |= {
        "BESPOKE_SOURCES": f"sqlite:{shop}", "BESPOKE_SINKS": f"table:{news}", "BESPOKE_MIN_CELL": "0",
    }
    metrics = [{"key": "order", "event": "Order Completed", "kind": "conversion", "role": "goal"}]
    installed.run_experiment(tiny(arms=_ARMS, metrics=metrics, policy={"kind": "fixed"}))
    admin = installed.done("key", "create", "--scope", "admin")
    server = ServerProcess(installed)
    try:
        people = {"experiment": "tiny", "visitors": [{"id": f"v{n}"} for n in range(3)], "expose": True}
        assert server.ask("POST", "/v1/assignments", people, key=admin)[0] == 200
        with closing(sqlite3.connect(shop)) as orders, orders:
            # Bought again, and somebody whom nobody knows.
            rows = [("v0", 10.0, None), ("v0", 5.0, None), ("v2", 7.5, None), ("w", 1.0, None)]
            orders.executemany("INSERT INTO orders (customer, revenue, at) VALUES (?, ?, ?)", rows)

        def bought() -> int:
            report = server.ask("GET", "/v1/experiments/tiny/report", key=admin)[1]
            return sum(arm["metrics"]["order"]["sum"] for arm in report["arms"] if arm["metrics"]["order"]["sum"])

        wait_until(lambda: bought() == 2, what="orders are counted")
        assert server.ask("POST", "/v1/experiments/tiny/pause", key=admin)[0] == 200
        wait_until(lambda: _told(news) == [("bespoke.experiment.pause", "tiny")], what="the table has the news")
    finally:
        server.end()
    assert "bespoke.sinks: table of bespoke-epsilon-decay 1.0: can be used" in installed.command("doctor").stdout


def _told(news: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(news)) as kept:
        try:
            return kept.execute("SELECT type, experiment FROM news").fetchall()
        except sqlite3.OperationalError:
            return []


def test_the_form_offers_the_policy_and_keeps_what_it_has_no_field_for(
    example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches = plugins, policy_section
    monkeypatch.syspath_prepend(example)
    for cached in caches:
        cached.cache_clear()
    try:
        assert ("epsilon_decay", "Give more and more traffic to whatever leads") in setup_wording.policy().options
        written = FORM.write({"policy": _POLICY}, {})
        assert written["policy"]["kind"] == "epsilon_decay"
        assert FORM.read(written, "", Reading({}))["policy"]["halved_after"] == 100
    finally:
        monkeypatch.undo()
        for cached in caches:
            cached.cache_clear()
    assert FORM.write({"policy": _POLICY}, {})["policy"]["kind"] == ""


def test_what_the_documentation_prints_is_what_the_example_has() -> None:
    blocks = re.findall(r"```python (\S+)\n(.*?)```", (REPOSITORY / "docs" / "extending.md").read_text(), re.DOTALL)
    assert blocks and all(code == (EXAMPLE / name).read_text() for name, code in blocks)
