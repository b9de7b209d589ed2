"""Witnesses: clients that write down what was acknowledged, so that it can be held against what is stored."""

import os
import threading
import time
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

from experiments.times import iso
from tests.experiments.documents import spring_mailing
from tests.service.processes import Installed
from tests.service.processes import ServerProcess
from tests.service.processes import wait_until

KEY = "spring-mailing"

#: As long as a visitor takes: of several witnesses one is nearly always being served, beside the work of the server.
_PAUSE_SECONDS = 0.005
#: After a fault each of two has to come through, on a machine that does much else.
_COMING_SECONDS = 120


class Witness(threading.Thread):
    """Visitors one after the other: each is assigned, exposed and buys; what was acknowledged is written down.

    `ledger` is synced before the next visitor comes, so that it tells the truth whatever happens.
    """

    def __init__(self, server: ServerProcess, *, key: str, name: str) -> None:
        super().__init__(name=name)
        self.sent: list[list[dict[str, Any]]] = []
        self.ledger = server.installed.folder / f"{name}.txt"
        self.ledger.touch()
        self._server = server
        self._key = key
        self._ended = threading.Event()

    def run(self) -> None:
        """Bring visitors until told to end."""
        with self.ledger.open("w") as ledger:
            while not self._ended.wait(_PAUSE_SECONDS):
                if self._bring(f"{self.name}-{len(self.sent)}"):
                    ledger.write(f"{len(self.sent) - 1} {time.time()}\n")
                    ledger.flush()
                    os.fsync(ledger.fileno())

    def _bring(self, visitor: str) -> bool:
        """Whether all was acknowledged; a server that is just not there acknowledges nothing."""
        try:
            status, answer = self._ask(f"/ofrep/v1/evaluate/flags/{KEY}", {"context": {"targetingKey": visitor}})
            if status != 200:
                return False
            self.sent.append(events(visitor, token=answer["metadata"]["token"]))
            status, answer = self._ask("/v1/batch", {"batch": self.sent[-1]})
            return status == 200 and bool(answer["accepted"] == len(self.sent[-1]))
        except (OSError, HTTPException, ValueError):
            return False

    def _ask(self, path: str, body: object) -> tuple[int, Any]:
        return self._server.ask("POST", path, body, key=self._key)

    def acknowledged(self) -> dict[int, float]:
        """When batches were acknowledged, by their numbers."""
        lines = self.ledger.read_text().splitlines()
        return {int(number): float(at) for number, at in map(str.split, lines)}

    def end(self) -> None:
        """Bring nobody more."""
        self._ended.set()
        self.join()


def witnessed(folder: Path) -> Installed:
    """An installation whose experiment runs, and whose report hides nobody, however few come."""
    installed = Installed(folder)
    installed.run_experiment(spring_mailing())
    installed.environ["BESPOKE_MIN_CELL"] = "0"
    return installed


@contextmanager
def at_work(server: ServerProcess) -> Iterator[list[Witness]]:
    """Two witnesses at work."""
    key = server.installed.key("server")
    witnesses = [Witness(server, key=key, name=name) for name in ("ann", "bob")]
    for witness in witnesses:
        witness.start()
    try:
        yield witnesses
    finally:
        for witness in witnesses:
            witness.end()


def events(visitor: str, *, token: str) -> list[dict[str, Any]]:
    """An exposure and a purchase, of now."""
    now = iso(time.time_ns() // 1_000_000)
    return [
        {
            "type": "track", "userId": visitor, "messageId": f"{visitor}-exposure", "event": "Experiment Viewed",
            "properties": {"experiment_id": KEY, "token": token}, "timestamp": now,
        },
        {
            "type": "track", "userId": visitor, "messageId": f"{visitor}-order", "event": "Order Completed",
            "properties": {"revenue": 12.5}, "timestamp": now,
        },
    ]


def more_come(witnesses: Sequence[Witness], number: int) -> None:
    """Wait until so many more batches have been acknowledged, whoever is being killed meanwhile."""

    def acknowledged() -> int:
        return sum(len(witness.acknowledged()) for witness in witnesses)

    goal = acknowledged() + number
    wait_until(lambda: acknowledged() >= goal, what="events are acknowledged", seconds=_COMING_SECONDS)


def _again(server: ServerProcess, batch: list[dict[str, Any]], *, key: str) -> Any:
    """The answer to a batch that is sent until it is taken, as clients do that are told to try again."""
    answers: list[Any] = []

    def is_taken() -> bool:
        status, answer = server.ask("POST", "/v1/batch", {"batch": batch}, key=key)
        answers.append(answer)
        assert status in (200, 507), answer
        return status == 200

    wait_until(is_taken, what="a batch is taken")
    return answers[-1]


def check_exactly_once(server: ServerProcess, witnesses: Sequence[Witness]) -> None:
    """All that was acknowledged is stored; all that was sent, when it is sent again, is counted once."""
    key = server.installed.key("admin")
    for witness in witnesses:
        witness.end()
        acknowledged = set(witness.acknowledged())
        for number, batch in enumerate(witness.sent):
            answer = _again(server, batch, key=key)
            assert answer["accepted"] + answer["duplicate"] == len(batch)
            if number in acknowledged:
                assert answer["duplicate"] == len(batch), f"batch {number} was acknowledged and is not there"
    visitors = sum(len(witness.sent) for witness in witnesses)
    report = server.ask("GET", f"/v1/experiments/{KEY}/report", key=key)[1]
    assert sum(row["visitors"] or 0 for row in report["totals"]) == visitors
    assert sum(row["metrics"]["purchase"]["sum"] or 0 for row in report["totals"]) == visitors
    server.installed.check()
