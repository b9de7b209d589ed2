"""Fixtures for the web shell: an application on a database of its own, a clock to be set, a key of every scope."""

import io
import json
import os
import secrets
import shutil
import sys
from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import NamedTuple

import pytest
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser
from playwright.sync_api import sync_playwright

from experiments.keys import SCOPES
from experiments.keys import create_key
from experiments.lifecycle import create
from experiments.people import ROLES
from service import create_app
from service.cli import main
from service.config import Config
from service.config import load_config
from service.current import EXTENSION
from service.installation import Installation
from service.installation import open_installation
from tests.experiments.documents import at_home
from tests.experiments.documents import spring_mailing
from tests.experiments.wide import fifty_segments
from tests.service.deeds import DEED
from tests.service.deeds import NOW_MS
from tests.service.described import DescribedClient
from tests.postgres import Databases
from tests.service.people import add_user
from tests.service.processes import Installed
from tests.service.processes import ServerProcess
from tests.service.rules import RememberedRule

Flask.url_rule_class = RememberedRule


@dataclass
class SetClock:
    """A clock that stands until it is set."""

    at_ms: int = NOW_MS

    def now_ms(self) -> int:
        """The time it was set to."""
        return self.at_ms

    def advance(self, *, seconds: int) -> None:
        """Let time pass."""
        self.at_ms += seconds * 1000


def bearer(key: str) -> dict[str, str]:
    """The headers of a request that brings a key."""
    return {"Authorization": f"Bearer {key}"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests on an embedded database, and those marked so on each kind of database."""
    if "config" in metafunc.fixturenames and metafunc.definition.get_closest_marker("every_database"):
        metafunc.parametrize("config", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(scope="session")
def empty_installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an installation in which nothing is yet."""
    folder = tmp_path_factory.mktemp("empty")
    config = load_config({"BESPOKE_DATABASE_URL": f"sqlite:///{folder}/bespoke.db"})
    open_installation(config, serving=True).close()
    return folder


@pytest.fixture
def config(request: pytest.FixtureRequest, tmp_path: Path, empty_installation: Path) -> Config:
    """Settings for a database that nobody else has."""
    if getattr(request, "param", "sqlite") == "postgresql":
        databases: Databases = request.getfixturevalue("postgres")
        return load_config({"BESPOKE_DATABASE_URL": databases.empty().url, "BESPOKE_SECRET": "of all nodes" * 4})
    for name in ("bespoke.db", "bespoke.db.secret"):
        shutil.copy(empty_installation / name, tmp_path)
    return load_config({"BESPOKE_DATABASE_URL": f"sqlite:///{tmp_path}/bespoke.db"})


@pytest.fixture
def clock() -> SetClock:
    """The application's clock."""
    return SetClock()


@pytest.fixture
def app(config: Config, clock: SetClock) -> Iterator[Flask]:
    """The application as a server has it, its scheduler at work."""
    app = create_app(config, clock=clock)
    yield app
    app.extensions[EXTENSION].close()


@pytest.fixture
def installation(app: Flask) -> Installation:
    """What the application works with."""
    installation = app.extensions[EXTENSION]
    assert isinstance(installation, Installation)
    return installation


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client without a key; every answer is held against the reference."""
    app.test_client_class = DescribedClient
    return app.test_client()


@pytest.fixture
def keys(installation: Installation) -> dict[str, str]:
    """A key of every scope."""
    return {
        scope: create_key(
            installation.store, scope=scope, name=scope, origins=(), random=secrets.token_bytes, deed=DEED
        )
        for scope in SCOPES
    }


@pytest.fixture
def running(client: FlaskClient, keys: dict[str, str]) -> dict[str, Any]:
    """The contract's example, created and started through HTTP; its document."""
    document = spring_mailing()
    headers = bearer(keys["admin"])
    assert client.post("/v1/experiments", json=document, headers=headers).status_code == 201
    assert client.post("/v1/experiments/spring-mailing/start", headers=headers).status_code == 200
    return document


def count_rows(installation: Installation, table: str) -> int:
    """The rows of a table, so that a test can say that nothing was stored."""
    return installation.store.read(
        lambda session: int(session.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    )


class Said(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


Run = Callable[..., Said]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs commands on a database of their own; `stdin` is what they read there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BESPOKE_DATABASE_URL", f"sqlite:///{tmp_path}/bespoke.db")

    def run(*arguments: str, stdin: str = "") -> Said:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode("utf-8", "surrogatepass"))))
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capsys.readouterr()
        return Said(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def started(run: Run) -> Run:
    """The same, once the example has been written and started."""
    assert run("init").status == 0
    assert run("experiment", "apply", "-", stdin=json.dumps(spring_mailing())).status == 0
    assert run("experiment", "start", "spring-mailing").status == 0
    return run


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The real server, with somebody of every role and two experiments that run, and a wide one that does not."""
    installed = Installed(tmp_path_factory.mktemp("server"))
    for document in (spring_mailing(), at_home()):
        installed.run_experiment(document)
    with installed.opened() as installation:
        create(installation.store, fifty_segments(), deed=DEED)
        for role in ROLES:
            add_user(installation, role)
    process = ServerProcess(installed)
    yield process
    process.end()


@pytest.fixture(scope="module")
def address(server: ServerProcess) -> str:
    """Where the real server is."""
    return server.address


CHROMIUM_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A real Chromium; in CI its absence is a failure."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        reason = "no Chromium was found: the browser tests are skipped"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_FLAGS))
        yield browser
        browser.close()
