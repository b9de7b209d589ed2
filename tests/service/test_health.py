import sqlite3
import time
from pathlib import Path

from flask.testing import FlaskClient

from experiments.audit import Deed
from experiments.lifecycle import act
from experiments.lifecycle import create
from service.config import Config
from service.installation import Installation
from service.installation import open_installation
from tests.experiments.documents import tiny
from tests.service.conftest import NOW_MS
from tests.service.conftest import SetClock


def test_the_process_answers(client: FlaskClient) -> None:
    response = client.get("/healthz")
    assert (response.status_code, response.json) == (200, {"status": "ok"})


def test_it_is_ready_once_the_database_and_the_scheduler_are(client: FlaskClient) -> None:
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json["database"] == "ok"
    assert response.json["scheduler"]["seconds_since_last_look"] == 0


def test_it_is_not_ready_without_its_tables(client: FlaskClient, config: Config) -> None:
    beside = sqlite3.connect(config.database_path)
    beside.execute("DROP TABLE meta")
    beside.close()
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json == {"status": "unavailable", "database": "storage_unavailable"}
    assert client.get("/healthz").status_code == 200


def test_what_another_process_commits_is_seen_within_a_second(
    client: FlaskClient, installation: Installation, config: Config
) -> None:
    beside = open_installation(config)
    create(beside.store, tiny(), deed=Deed("test", NOW_MS))
    act(beside.store, "tiny", "start", deed=Deed("test", NOW_MS))
    beside.close()
    until = time.monotonic() + 1
    while "tiny" not in installation.snapshots.latest.entries and time.monotonic() < until:
        time.sleep(0.02)
    assert installation.snapshots.latest.live("tiny") is not None


def test_the_watcher_survives_what_goes_wrong(installation: Installation, config: Config) -> None:
    beside = sqlite3.connect(config.database_path)
    beside.execute("ALTER TABLE meta RENAME TO hidden")
    beside.commit()
    time.sleep(0.6)
    beside.execute("ALTER TABLE hidden RENAME TO meta")
    beside.execute("UPDATE meta SET value = '77' WHERE name = 'config_version'")
    beside.commit()
    beside.close()
    until = time.monotonic() + 2
    while installation.snapshots.latest.version != 77 and time.monotonic() < until:
        time.sleep(0.02)
    assert installation.snapshots.latest.version == 77


def test_a_closed_installation_can_be_opened_again(config: Config, clock: SetClock, tmp_path: Path) -> None:
    for _ in range(2):
        installation = open_installation(config, clock=clock, serving=True)
        create(installation.store, tiny(key=f"tiny-{time.monotonic_ns()}"), deed=Deed("test", NOW_MS))
        installation.close()
    again = open_installation(config)
    assert len(again.snapshots.latest.entries) == 2
    again.close()
