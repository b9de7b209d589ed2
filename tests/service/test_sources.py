"""Sources: outcomes that are fetched count once, whatever is killed, what cannot be counted keeps nobody waiting."""

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.errors import InvalidSetting
from experiments.outcome_sources import Fetched
from experiments.outcome_sources import fetch
from experiments.receipts import Receipt
from experiments.storage.store import Store
from service.config import load_config
from service.outlets.folders import FolderSource
from tests.experiments.documents import tiny
from tests.experiments.house import START
from tests.service.processes import Installed
from tests.service.processes import ServerProcess
from tests.service.processes import wait_until

_ARMS = [{"key": "everyone", "role": "mass"}]


def line(visitor: str, **others: Any) -> str:
    """An outcome as a line."""
    return json.dumps({"type": "track", "userId": visitor, "event": "Signed Up", "messageId": visitor, **others}) + "\n"


def exposed(server: ServerProcess, key: str, *, visitors: int) -> None:
    lists = {"experiment": "tiny", "visitors": [{"id": f"v{n}"} for n in range(visitors)], "expose": True}
    assert server.ask("POST", "/v1/assignments", lists, key=key)[0] == 200


def counted(server: ServerProcess, key: str) -> tuple[int, int]:
    """Visitors who did it, and what came twice."""
    report = server.ask("GET", "/v1/experiments/tiny/report", key=key)[1]
    return report["arms"][0]["metrics"]["signup"]["sum"], report["diagnostics"]["duplicates"]


def test_what_is_appended_to_a_folder_counts_once_though_the_server_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "outcomes"
    folder.mkdir()
    installed = Installed(tmp_path)
    installed.environ |= {"BESPOKE_SOURCES": f"folder:{folder}", "BESPOKE_MIN_CELL": "0"}
    installed.run_experiment(tiny(arms=_ARMS))
    admin = installed.done("key", "create", "--scope", "admin")
    server = ServerProcess(installed)
    try:
        exposed(server, admin, visitors=6)
        (folder / "1.ndjson").write_text(line("v0") + line("v1") + "no event\n" + line("v2").rstrip())
        wait_until(lambda: counted(server, admin)[0] == 2, what="whole lines are counted")
        assert "1 of 3 events were rejected, the first as invalid_type" in installed.command("doctor").stdout
        server.kill_everything()
        with (folder / "1.ndjson").open("a") as file:
            file.write("\n" + line("v3"))
        (folder / "2.ndjson").write_text(line("v4"))
        server.start()
        wait_until(lambda: counted(server, admin)[0] == 5, what="the rest is counted", seconds=90)
        assert counted(server, admin) == (5, 0)
    finally:
        server.end()
    assert installed.done("verify")


def test_a_source_that_was_not_said_to_be_read_is_read_again_and_counts_once(store: Store) -> None:
    asked, recorded = list[str](), list[str]()

    def source(reached: str) -> Fetched:
        asked.append(reached)
        if len(asked) == 2:
            raise ConnectionError("the shop is away")
        return Fetched([{"userId": "ann", "n": len(recorded)}], f"{reached}+")

    def record(events: Any) -> list[Receipt]:
        recorded.extend(event["messageId"] for event in events)
        return [Receipt("accepted") for _ in events]

    def ask(now_ms: int) -> Any:
        return fetch(store, "source test", source, record=record, now_ms=now_ms)

    assert ask(START).reached == "+"
    failed = ask(START)
    assert (failed.failures, failed.fault, failed.reached) == (1, "ConnectionError: the shop is away", "+")
    assert ask(START + 999) is None
    assert ask(START + 1000).reached == "++"
    assert asked == ["", "+", "+"]
    assert len(set(recorded)) == 2 and all(one.startswith("row-") for one in recorded)


def test_a_folder_is_read_file_by_file_and_no_half_line(tmp_path: Path) -> None:
    source = FolderSource(str(tmp_path))
    assert source("").events == []
    (tmp_path / "b.ndjson").write_text('{"n": 2}\n{"n"')
    (tmp_path / "a.ndjson").write_text('{"n": 1}\n')
    (tmp_path / "a.txt").write_text("no lines")
    first = source("")
    assert first.events == [{"n": 1}, {"n": 2}]
    assert source(first.reached) == Fetched([], first.reached)
    with (tmp_path / "b.ndjson").open("a") as file:
        file.write(': 3}\n')
    assert source(first.reached).events == [{"n": 3}]
    with pytest.raises(FileNotFoundError, match="must be a folder"):
        FolderSource(str(tmp_path / "gone"))("")


def test_a_long_file_comes_in_parts(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text("".join(f'{{"n": {n}}}\n' for n in range(2500)))
    source, reached, seen = FolderSource(str(tmp_path)), "", list[Any]()
    while (fetched := source(reached)).events:
        seen += fetched.events
        reached = fetched.reached
    assert [event["n"] for event in seen] == list(range(2500))


def test_a_source_that_cannot_be_is_refused_at_the_start() -> None:
    with pytest.raises(InvalidSetting, match="BESPOKE_SOURCES.*must be of a kind that is installed: folder"):
        load_config({"BESPOKE_SOURCES": "webhook:https://shop.example"})
