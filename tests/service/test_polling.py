"""What is done beside a server reaches whoever polls it."""

import json
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.documents import spring_mailing
from tests.service.processes import Installed
from tests.service.processes import ServerProcess
from tests.service.processes import wait_until

KEY = "spring-mailing"


class Poller:
    """A client that asks for everything again and again."""

    def __init__(self, server: ServerProcess) -> None:
        self.command = server.installed.done
        self._server = server
        self._key = server.installed.key("client")

    def flags(self) -> dict[str, Any]:
        """What one poll answers, by experiment."""
        body = {"context": {"targetingKey": "ann", "womens": True}}
        status, answer = self._server.ask("POST", "/ofrep/v1/evaluate/flags", body, key=self._key)
        assert status == 200, answer
        return {item["key"]: item for item in answer["flags"]}

    def sees(self, holds: Callable[[dict[str, Any]], bool]) -> None:
        """Poll until it holds."""
        wait_until(lambda: holds(self.flags()), what="a poll sees the change")


@pytest.fixture(name="poller")
def _poller(tmp_path: Path) -> Iterator[Poller]:
    installed = Installed(tmp_path)
    installed.run_experiment(spring_mailing(policy={"kind": "fixed"}))
    server = ServerProcess(installed)
    yield Poller(server)
    server.end()


def test_a_change_beside_the_server_is_seen_by_those_who_poll(poller: Poller, tmp_path: Path) -> None:
    assert poller.flags()[KEY]["metadata"]["epoch"] == 1
    shares = {"one-letter": 0.2, "womens-letter": 0.8}
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(spring_mailing(policy={"kind": "fixed", "shares": shares, "max_step": 1})))
    poller.command("experiment", "apply", str(changed))
    poller.sees(lambda flags: bool(flags[KEY]["metadata"]["epoch"] == 2))
    poller.command("experiment", "pause", KEY)
    poller.sees(lambda flags: bool(flags[KEY]["reason"] == "DISABLED"))
    poller.command("experiment", "resume", KEY)
    poller.sees(lambda flags: bool(flags[KEY]["reason"] == "SPLIT"))
    poller.command("experiment", "stop", KEY)
    poller.command("experiment", "archive", KEY)
    poller.sees(lambda flags: flags == {})
