"""Nodes: servers and schedulers as processes, on one PostgreSQL."""

import json
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from typing import NamedTuple

from experiments.storage.location import Server
from tests.service.processes import PATIENCE_SECONDS
from tests.service.processes import Installed
from tests.service.processes import ServerProcess

_SECRET = "a secret that only the nodes of tests know"


class InstalledNode(Installed):
    """What runs on one machine of several, all of them with one database and one secret."""

    def __init__(self, folder: Path, server: Server) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(folder)
        self.settings = {"BESPOKE_DATABASE_URL": server.url, "BESPOKE_SECRET": _SECRET, "BESPOKE_MIN_CELL": "0"}
        self.environ |= self.settings

    def set(self, **settings: str) -> None:
        """Have more settings."""
        self.settings |= settings
        self.environ |= settings


class Answer(NamedTuple):
    """An answer, its headers too."""

    status: int
    headers: Mapping[str, str]
    text: str


class Node(ServerProcess):
    """`bespoke serve` on one of several machines."""

    def answer(
        self, method: str, path: str, body: object = None, *, key: str, seconds: float = PATIENCE_SECONDS
    ) -> Answer:
        """One request, and all that is answered within so many seconds."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request(method, path, json.dumps(body), {"Authorization": f"Bearer {key}"})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read().decode())
        finally:
            connection.close()

    def readiness(self) -> dict[str, object]:
        """What it says of itself, whether it is ready or not."""
        answer: dict[str, object] = self.ask("GET", "/readyz")[1]
        return answer

    def evaluate(self, visitor: str, *, key: str, experiment: str, **context: object) -> tuple[int, dict[str, Any]]:
        """The status and the answer of an evaluation."""
        path, body = f"/ofrep/v1/evaluate/flags/{experiment}", {"context": {"targetingKey": visitor, **context}}
        return self.ask("POST", path, body, key=key)
