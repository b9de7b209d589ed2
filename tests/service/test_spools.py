"""Spools that nodes leave behind: reports wait for them until they are back, or until somebody accepts their loss."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from experiments.audit import Selection
from experiments.audit import audit_of
from experiments.storage.spools import SpoolRow
from service import create_app
from service.config import load_config
from service.current import EXTENSION
from service.installation import Installation
from tests.logs import LogCluster
from tests.logs import running_log
from tests.postgres import Databases
from tests.service.conftest import Run
from tests.service.conftest import SetClock
from tests.service.processes import wait_until
from tests.service.test_log import exposed
from tests.service.test_log import report
from tests.service.test_log import sent
from tests.service.test_log import with_shard

_SECRET = "of all nodes" * 4
#: Longer than a spool may be silent before it counts as away.
_AWAY_MS = 120_000


@pytest.fixture(scope="module")
def log() -> Iterator[LogCluster]:
    """A log of one server."""
    with running_log(nodes=1) as log:
        yield log


@pytest.fixture
def clock() -> SetClock:
    """A node's clock, which stands where commands say that it was some time ago."""
    return SetClock(time.time_ns() // 1_000_000 - _AWAY_MS)


@pytest.fixture
def settings(postgres: Databases, log: LogCluster, tmp_path: Path) -> dict[str, str]:
    """Settings of a database with a shard beside it, and of the log."""
    control, shard = postgres.empty(), postgres.empty()
    settings = {"BESPOKE_DATABASE_URL": control.url, "BESPOKE_SECRET": _SECRET}
    with_shard(load_config(settings), shard)
    return {**settings, "BESPOKE_LOG_URL": log.url, "BESPOKE_SPOOL": str(tmp_path / "spool"), "BESPOKE_MIN_CELL": "0"}


@pytest.fixture
def app(settings: dict[str, str], clock: SetClock) -> Iterator[Flask]:
    """A node for which nobody applies; its scheduler brings nothing by itself, so that tests say when."""
    app = create_app(load_config(settings), clock=clock)
    app.extensions[EXTENSION].collect = None
    yield app
    app.extensions[EXTENSION].close()


@pytest.fixture
def beside(run: Run, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Commands of the same installation, by the time of this machine."""
    for name, text in settings.items():
        monkeypatch.setenv(name, text)
    return run


def spools(installation: Installation) -> list[SpoolRow]:
    """Those that are waited for."""
    return installation.store.read(lambda session: session.spools.all())


def waiting(installation: Installation) -> str:
    """The one spool, once its node has told of what waits there."""
    wait_until(lambda: [row.entries for row in spools(installation)] == [1], what="the node tells of its spool")
    return spools(installation)[0].writer


@pytest.mark.usefixtures("running")
def test_what_waits_in_a_spool_is_listed_and_holds_reports_back(
    client: FlaskClient, keys: dict[str, str], installation: Installation, beside: Run, settings: dict[str, str]
) -> None:
    sent(client, keys, exposed(client, keys, "ann"))
    writer = waiting(installation)
    said = beside("spool", "list")
    assert said.status == 0 and said.out.startswith(f"{writer}  ")
    assert f":{settings['BESPOKE_SPOOL']}  away since " in said.out and "1 entries wait since " in said.out
    examined = beside("doctor")
    assert examined.status == 1
    assert f"fault spool {writer} is away since " in examined.out
    assert "fault shard first: nobody applies partitions 0-3: start a `bespoke worker`" in examined.out
    assert "note  log: 1 of 1 nodes follow" in examined.out


@pytest.mark.usefixtures("running")
def test_a_spool_whose_node_is_there_is_not_given_up(
    client: FlaskClient, keys: dict[str, str], installation: Installation, beside: Run, clock: SetClock
) -> None:
    sent(client, keys, exposed(client, keys, "ann"))
    writer = waiting(installation)
    clock.advance(seconds=_AWAY_MS // 1000)
    wait_until(lambda: spools(installation)[0].seen_ms == clock.now_ms(), what="the node has looked")
    said = beside("spool", "forget", writer, "--reason", "it is old")
    assert said.status == 1 and "must be away for a minute" in said.err
    assert beside("spool", "forget", writer).status == 2
    said = beside("spool", "forget", "another", "--reason", "it is old")
    assert said.status == 1 and "SPOOL: 'another' is none that is waited for" in said.err
    assert [row.writer for row in spools(installation)] == [writer]


@pytest.mark.usefixtures("running")
def test_a_loss_that_somebody_accepts_is_told_of_in_every_report_until_the_spool_is_back(
    client: FlaskClient, keys: dict[str, str], app: Flask, beside: Run, settings: dict[str, str], clock: SetClock
) -> None:
    installation = app.extensions[EXTENSION]
    sent(client, keys, exposed(client, keys, "ann"))
    writer = waiting(installation)
    found = report(client, keys)
    assert found["diagnostics"]["lost_spools"] == []
    installation.close()
    assert beside("spool", "forget", writer, "--reason", "its disk has died").status == 0
    told = reported(beside)
    [lost] = told["diagnostics"]["lost_spools"]
    assert lost["since"] < lost["accepted"]
    assert "is lost with a node's disk" in beside("report", "spring-mailing").out
    with_node = create_app(load_config(settings), clock=clock)
    again = with_node.extensions[EXTENSION]
    try:
        [deed] = audit_of(again.store, Selection("command line", writer, None, 10)).rows
        assert (deed["action"], deed["details"]["reason"]) == ("spool forget", "its disk has died")
        assert deed["details"]["entries"] == 1
        wait_until(lambda: writer in {row.writer for row in spools(again)}, what="the spool is back")
        assert reported(beside)["diagnostics"]["lost_spools"] == []
    finally:
        again.close()


def reported(beside: Run) -> dict[str, Any]:
    """The report, as a command prints it."""
    return dict(json.loads(beside("report", "spring-mailing", "--format", "json").out))
