import logging
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from pysqlite3 import dbapi2

from experiments.audit import Deed
from experiments.lifecycle import act
from experiments.lifecycle import create
from service import create_app
from service.config import Config
from service.config import load_config
from service.current import EXTENSION
from service.installation import Installation
from service.installation import open_installation
from service.scheduler import Scheduler
from tests.experiments.documents import tiny
from tests.service.conftest import NOW_MS
from tests.service.conftest import SetClock
from tests.service.people import logged_in
from tests.service.processes import wait_until

#: More space than any disk has.
MORE = "999999999MB"


def test_the_process_answers(client: FlaskClient) -> None:
    response = client.get("/healthz")
    assert (response.status_code, response.json) == (200, {"status": "ok"})


def test_it_is_ready_once_the_database_and_the_scheduler_are(client: FlaskClient) -> None:
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json["status"] == response.json["database"] == response.json["schema"] == "ok"
    assert response.json["disk"] == "ok" and response.json["failing"] == []
    assert 0 <= response.json["scheduler"]["seconds_since_last_look"] < 30
    assert 0 <= response.json["snapshot"]["seconds_since_last_look"] < 30


def test_it_is_not_ready_without_its_tables(client: FlaskClient, config: Config) -> None:
    beside = sqlite3.connect(config.database_path)
    beside.execute("DROP TABLE meta")
    beside.close()
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json["status"] == "unavailable"
    assert response.json["failing"] == ["database"]
    assert response.json["database"] == "storage_unavailable"
    assert client.get("/healthz").status_code == 200


def test_it_is_not_ready_without_a_step_of_the_schema(client: FlaskClient, config: Config) -> None:
    beside = sqlite3.connect(config.database_path)
    beside.execute("DELETE FROM migrations WHERE name = '0004_drafts'")
    beside.commit()
    beside.close()
    response = client.get("/readyz")
    assert (response.status_code, response.json["failing"]) == (503, ["schema"])
    assert response.json["schema"] == "lacks 0004_drafts"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a lock as long as servers do."""
    monkeypatch.setattr("experiments.storage.sqlite.BUSY_SECONDS", 0.2)


@pytest.mark.usefixtures("impatient")
def test_it_is_not_ready_while_another_process_keeps_the_lock(client: FlaskClient, config: Config) -> None:
    # Of the same library: two of them in one process would not see each other's locks.
    beside = dbapi2.connect(config.database_path, isolation_level=None)
    beside.execute("BEGIN EXCLUSIVE")
    response = client.get("/readyz")
    assert (response.status_code, response.json["failing"]) == (503, ["database"])
    assert response.json["database"] == "storage_busy"
    beside.execute("ROLLBACK")
    beside.close()
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(("part", "since"), [("scheduler", "ticked"), ("snapshot", "watched")])
def test_it_is_not_ready_once_a_thread_of_its_own_has_stopped(
    client: FlaskClient, installation: Installation, part: str, since: str
) -> None:
    # The threads end, so that nobody looks any more; the writer goes on.
    while installation._endings:
        installation._endings.pop()()
    setattr(installation, since, time.monotonic() - 61)
    response = client.get("/readyz")
    assert (response.status_code, response.json["failing"]) == (503, [part])
    assert response.json[part]["seconds_since_last_look"] >= 61


def test_little_space_is_told_and_sends_nobody_away(tmp_path: Path, clock: SetClock) -> None:
    config = load_config({"BESPOKE_DATABASE_URL": f"sqlite:///{tmp_path}/bespoke.db", "BESPOKE_DISK_LIMIT": MORE})
    app = create_app(config, clock=clock)
    try:
        response = app.test_client().get("/readyz")
        assert (response.status_code, response.json["disk"]) == (200, "low")
        page = logged_in(app, app.extensions[EXTENSION], "viewer").open("/").text
        assert "of disk space are left under the database" in page
    finally:
        app.extensions[EXTENSION].close()


def test_little_space_is_logged_once_and_that_there_is_enough_again_too(
    installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="service")
    plenty = installation.config
    scheduler = Scheduler(installation)
    for config in (plenty, replace(plenty, disk_limit_bytes=2**60), plenty):
        installation.config = config
        for _ in range(2):
            scheduler.tick()
    told = [record for record in caplog.records if getattr(record, "event", "") == "disk"]
    assert [record.levelname for record in told] == ["WARNING", "INFO"]


def test_what_another_process_commits_is_seen(
    client: FlaskClient, installation: Installation, config: Config
) -> None:
    beside = open_installation(config)
    create(beside.store, tiny(), deed=Deed("test", NOW_MS))
    act(beside.store, "tiny", "start", deed=Deed("test", NOW_MS))
    beside.close()
    wait_until(lambda: "tiny" in installation.snapshots.latest.entries, what="it is seen")
    assert installation.snapshots.latest.live("tiny") is not None


def test_the_watcher_survives_what_goes_wrong(
    installation: Installation, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    beside = sqlite3.connect(config.database_path)
    beside.execute("ALTER TABLE meta RENAME TO hidden")
    beside.commit()
    wait_until(
        lambda: any(getattr(record, "event", "") == "unseen" for record in caplog.records), what="a look that fails"
    )
    beside.execute("ALTER TABLE hidden RENAME TO meta")
    beside.execute("UPDATE meta SET value = '77' WHERE name = 'config_version'")
    beside.commit()
    beside.close()
    wait_until(lambda: installation.snapshots.latest.version == 77, what="it looks again")


def test_a_closed_installation_can_be_opened_again(config: Config, clock: SetClock, tmp_path: Path) -> None:
    for _ in range(2):
        installation = open_installation(config, clock=clock, serving=True)
        create(installation.store, tiny(key=f"tiny-{time.monotonic_ns()}"), deed=Deed("test", NOW_MS))
        installation.close()
    again = open_installation(config)
    assert len(again.snapshots.latest.entries) == 2
    again.close()
