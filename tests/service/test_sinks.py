"""Sinks: news reach whoever is to be told, in order and at least once, whatever is killed meanwhile."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request
from urllib.request import urlopen

import pytest

from experiments.errors import InvalidSetting
from service.config import load_config
from tests.experiments.documents import tiny
from tests.service.processes import Installed
from tests.service.processes import ServerProcess
from tests.service.processes import wait_until
from tests.service.receivers import SECRET
from tests.service.receivers import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    started = Receiver()
    yield started
    started.close()


@contextmanager
def serving(folder: Path, sinks: str) -> Iterator[tuple[ServerProcess, str]]:
    """A server that hands news to sinks, and a key."""
    installed = Installed(folder)
    installed.environ["BESPOKE_SINKS"] = sinks
    installed.done("init")
    admin = installed.done("key", "create", "--scope", "admin")
    server = ServerProcess(installed)
    try:
        # A new sink is told what comes from its first look on.
        wait_until(lambda: len(failures(server, admin)) == len(sinks.split()), what="sinks are looked after")
        yield server, admin
    finally:
        server.end()


def failures(server: ServerProcess, key: str) -> list[int]:
    """How often each sink has failed since it last went well."""
    asked = Request(f"{server.address}/metrics", headers={"Authorization": f"Bearer {key}"})
    with urlopen(asked, timeout=30) as answer:
        found = re.findall(r"bespoke_errand_failures\{errand=.*\} (\S+)", answer.read().decode())
    return [int(float(number)) for number in found]


def act(server: ServerProcess, key: str, *names: str) -> None:
    for name in names:
        assert server.ask("POST", f"/v1/experiments/tiny/{name}", {"reason": "to tell"}, key=key)[0] == 200


def types(news: list[dict[str, Any]]) -> list[str]:
    """What was told, each once."""
    return list({one["id"]: one["type"] for one in news}.values())


_STARTED = ["bespoke.experiment.create", "bespoke.experiment.start", "bespoke.allocation.published"]


def test_a_webhook_is_told_what_becomes_of_experiments_signed_and_in_order(
    tmp_path: Path, receiver: Receiver
) -> None:
    folder = tmp_path / "news"
    with serving(tmp_path, f"{receiver.sink} folder:{folder}") as (server, admin):
        assert server.ask("POST", "/v1/experiments", tiny(), key=admin)[0] == 201
        act(server, admin, "start", "pause", "resume", "freeze", "unfreeze", "stop")
        wait_until(lambda: len(receiver.taken) == len(lines(folder)) == 8, what="both are told")
    acts = [one.rpartition(".")[2] for one in types(receiver.taken) if "experiment" in one]
    assert acts == ["create", "start", "pause", "resume", "freeze", "unfreeze", "stop"]
    published = next(one for one in receiver.taken if one["type"] == "bespoke.allocation.published")
    assert (published["specversion"], published["source"], published["subject"]) == ("1.0", "/experiments/tiny", "tiny")
    assert published["data"]["weights"]["everyone-else"] and published["path"] == "/news?of=bespoke"
    # Who did it is in the audit log, and is nobody else's business.
    assert admin[:8] not in json.dumps(receiver.taken)
    assert [one["id"] for one in lines(folder)] == [one["id"] for one in receiver.taken]


def lines(folder: Path) -> list[dict[str, Any]]:
    """The news in a folder."""
    return [json.loads(line) for path in sorted(folder.glob("*.ndjson")) for line in path.read_text().splitlines()]


def test_news_survive_a_receiver_that_fails_and_a_server_that_is_killed(tmp_path: Path, receiver: Receiver) -> None:
    receiver.status = 503
    with serving(tmp_path, receiver.sink) as (server, admin):
        assert server.ask("POST", "/v1/experiments", tiny(), key=admin)[0] == 201
        act(server, admin, "start")
        wait_until(lambda: receiver.refused > 0, what="it is refused")
        server.kill_everything()
        assert receiver.taken == []
        receiver.status = 200
        server.start()
        wait_until(lambda: set(_STARTED) <= set(types(receiver.taken)), what="it is told after all", seconds=90)
        act(server, admin, "pause")
        wait_until(lambda: "bespoke.experiment.pause" in types(receiver.taken), what="it goes on")
    assert sorted(types(receiver.taken)) == sorted([*_STARTED, "bespoke.experiment.pause"])


def test_a_sink_that_fails_keeps_no_job_waiting_and_is_seen_by_the_doctor_and_in_metrics(tmp_path: Path) -> None:
    with serving(tmp_path, f"webhook:http://127.0.0.1:9/#{SECRET}") as (server, admin):
        document = tiny(policy={"kind": "thompson", "every": "1s"})
        assert server.ask("POST", "/v1/experiments", document, key=admin)[0] == 201
        act(server, admin, "start")
        wait_until(lambda: failures(server, admin)[0] > 1, what="it fails again and again")
        said = server.installed.command("doctor").stdout
        assert re.search(r"fault sink webhook \w{8}: failed \d+ times in a row, the last time so: Conn", said)
        assert SECRET not in said

        def rows() -> int:
            return len(server.ask("GET", "/v1/experiments/tiny/allocations", key=admin)[1]["allocations"])

        before = rows()
        wait_until(lambda: rows() > before, what="weights are looked at all the same")


@pytest.mark.parametrize(("value", "rule"), [
    ("nowhere:x", "must be of a kind that is installed: folder, webhook"),
    ("webhook", "KIND:TARGET"),
    ("webhook:ftp://host/#whsec_x", "must be like webhook:https://"),
    ("webhook:https://shop.example/news", "a secret of 24 bytes or more"),
    ("webhook:https://shop.example/news#whsec_?", "whsec_ and base64"),
])
def test_a_sink_that_cannot_be_is_refused_at_the_start(value: str, rule: str) -> None:
    with pytest.raises(InvalidSetting, match="BESPOKE_SINKS") as refused:
        load_config({"BESPOKE_SINKS": value})
    assert rule in str(refused.value)
