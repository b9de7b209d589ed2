"""Figures for Prometheus, read by Prometheus' own parser."""

import sys
import threading
from pathlib import Path
from typing import Any
from typing import get_args

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from experiments.backups import back_up
from experiments.overview import ConcernKind
from service.config import Config
from service.installation import Installation
from service.operation.tallies import Tally
from tests.service.conftest import SetClock
from tests.service.conftest import bearer
from tests.service.processes import wait_until

EVALUATE = "/ofrep/v1/evaluate/flags/spring-mailing"

Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scraped(client: FlaskClient, keys: dict[str, str]) -> Figures:
    """Every figure by its name and labels."""
    response = client.get("/metrics", headers=bearer(keys["report"]))
    assert response.status_code == 200
    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name.removeprefix("bespoke_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def of(figures: Figures, name: str, **labels: str) -> float:
    """The sum of a name's figures that have these labels."""
    return sum(
        value for (found, has), value in figures.items() if found == name and set(labels.items()) <= set(has)
    )


@pytest.fixture(name="token")
def _token(client: FlaskClient, running: dict[str, Any], keys: dict[str, str]) -> str:
    answer = client.post(EVALUATE, json={"context": {"targetingKey": "ann"}}, headers=bearer(keys["client"])).json
    return str(answer["metadata"]["token"])


def exposure(token: str, **more: object) -> dict[str, Any]:
    """The event that makes Ann a part of it."""
    properties = {"experiment_id": "spring-mailing", "token": token}
    return {"type": "track", "userId": "ann", "event": "Experiment Viewed", "properties": properties, **more}


def test_evaluations_are_counted_by_each_way_that_they_come(
    client: FlaskClient, running: dict[str, Any], keys: dict[str, str]
) -> None:
    context = {"context": {"targetingKey": "ann"}}
    for kind in ("application/json", "application/json;charset=UTF-8"):
        client.post(EVALUATE, json=context, headers=bearer(keys["client"]), content_type=kind)
    client.post(EVALUATE, json={"context": {"targetingKey": "b", "consent": "none"}}, headers=bearer(keys["client"]))
    client.post("/ofrep/v1/evaluate/flags", json=context, headers=bearer(keys["client"]))
    people = [{"id": f"v{number}"} for number in range(5)]
    client.post(
        "/v1/assignments", json={"experiment": "spring-mailing", "visitors": people}, headers=bearer(keys["server"])
    )
    figures = scraped(client, keys)
    assert of(figures, "evaluations_total", experiment="spring-mailing") == 9
    assert of(figures, "evaluations_total", cause="allocated") == 8
    assert of(figures, "evaluations_total", cause="no_consent", arm="one-letter") == 1


def test_events_are_counted_by_what_became_of_them(client: FlaskClient, token: str, keys: dict[str, str]) -> None:
    order = {"type": "track", "userId": "bob", "event": "Order Completed", "messageId": "1"}
    batch = [exposure(token), exposure(token), exposure("forged"), order, {**order, "properties": {"revenue": 2}}]
    client.post("/v1/batch", json={"batch": batch}, headers=bearer(keys["client"]))
    client.post("/v1/page", json={"userId": "ann"}, headers=bearer(keys["client"]))
    client.post("/v1/track", json={"userId": "ann", "event": "Nobody Knows"}, headers=bearer(keys["client"]))
    figures = scraped(client, keys)
    assert of(figures, "events_total", status="accepted", code="") == 3
    assert of(figures, "events_total", status="duplicate") == 1
    assert of(figures, "events_total", status="rejected", code="invalid_token") == 1
    assert of(figures, "events_total", status="rejected", code="id_reused") == 1
    assert of(figures, "events_total", status="rejected", code="unknown_event") == 1
    assert of(figures, "refusals_total", status="422") == 1
    assert of(figures, "waiting_outcomes", experiment="spring-mailing") == 1
    assert of(figures, "orphans", experiment="spring-mailing") == 0


def test_an_outcome_whose_time_is_over_is_an_orphan(
    client: FlaskClient, running: dict[str, Any], keys: dict[str, str], clock: SetClock
) -> None:
    client.post("/v1/track", json={"userId": "bob", "event": "Order Completed"}, headers=bearer(keys["client"]))
    clock.advance(seconds=61 * 86_400)
    figures = scraped(client, keys)
    assert of(figures, "waiting_outcomes", experiment="spring-mailing") == 0
    assert of(figures, "orphans", experiment="spring-mailing") == 1


def test_the_writer_tells_how_it_gets_on(client: FlaskClient, token: str, keys: dict[str, str]) -> None:
    before = scraped(client, keys)
    client.post("/v1/batch", json={"batch": [exposure(token)]}, headers=bearer(keys["client"]))
    after = scraped(client, keys)
    for name in ("commit_seconds", "commit_works", "write_wait_seconds"):
        assert of(after, f"{name}_count") > of(before, f"{name}_count")
        assert of(after, f"{name}_sum") > of(before, f"{name}_sum")
        assert of(after, f"{name}_bucket", le="+Inf") == of(after, f"{name}_count")
        steps = [value for (found, _), value in after.items() if found == f"{name}_bucket"]
        assert steps == sorted(steps)
    assert of(after, "write_queue_length") == 0


def test_sizes_ages_and_versions_are_told(
    client: FlaskClient, running: dict[str, Any], keys: dict[str, str], installation: Installation, config: Config,
    clock: SetClock,
) -> None:
    figures = scraped(client, keys)
    names = {name for name, _ in figures}
    assert "backup_timestamp_seconds" not in names
    assert of(figures, "database_bytes") + of(figures, "log_bytes") > 50_000
    assert of(figures, "disk_limit_bytes") == config.disk_limit_bytes < of(figures, "disk_free_bytes")
    assert 0 <= of(figures, "scheduler_age_seconds") < 30 and 0 <= of(figures, "snapshot_age_seconds") < 30
    assert of(figures, "snapshot_version") == installation.snapshots.latest.version
    assert of(figures, "decision_timestamp_seconds", experiment="spring-mailing") == clock.at_ms / 1000
    assert of(figures, "build_info") == 1
    assert of(figures, "process_resident_memory_bytes") > 2**24
    copy = config.database_path.with_name("copy.db")
    back_up(installation.store, config.database_path, copy, now_ms=clock.at_ms)
    assert of(scraped(client, keys), "backup_timestamp_seconds") == clock.at_ms / 1000


def test_alarms_are_told_by_experiment_and_all_is_well_is_a_zero(
    client: FlaskClient, running: dict[str, Any], keys: dict[str, str], clock: SetClock
) -> None:
    clock.advance(seconds=3 * 86_400)
    figures = scraped(client, keys)
    assert of(figures, "alarm", experiment="spring-mailing", kind="no_visitors") == 1
    assert of(figures, "alarm", experiment="spring-mailing") == 1
    assert figures["alarm", (("experiment", "spring-mailing"), ("kind", "sample_ratio"))] == 0


def test_jobs_that_fail_are_counted(client: FlaskClient, keys: dict[str, str], installation: Installation) -> None:
    store = installation.store
    installation.store = None  # type: ignore[assignment]
    wait_until(lambda: bool(installation.tallies.failures.counts()), what="a job fails")
    installation.store = store
    assert of(scraped(client, keys), "job_failures_total", job="reallocate") >= 1


@pytest.mark.parametrize(("scope", "status"), [("client", 403), ("server", 403), ("report", 200), ("admin", 200)])
def test_whoever_reads_reports_may_read_them(
    client: FlaskClient, keys: dict[str, str], scope: str, status: int
) -> None:
    assert client.get("/metrics", headers=bearer(keys[scope])).status_code == status
    assert client.get("/metrics").status_code == 401


def test_the_runbook_says_what_to_do_with_each_figure(
    client: FlaskClient, running: dict[str, Any], keys: dict[str, str]
) -> None:
    runbook = (Path(__file__).resolve().parents[2] / "docs" / "runbook.md").read_text()
    families = text_string_to_metric_families(client.get("/metrics", headers=bearer(keys["report"])).text)
    names = {family.name for family in families if family.name.startswith("bespoke_")}
    assert len(names) > 15
    assert {name for name in names if name not in runbook} == set()
    kinds = {f'kind="{kind}"' for kind in get_args(ConcernKind)}
    assert {kind for kind in kinds if kind not in runbook} == set()


def test_nobody_can_make_figures_many(client: FlaskClient, running: dict[str, Any], keys: dict[str, str]) -> None:
    scraped(client, keys)
    client.get("/nowhere-0")
    before = len(scraped(client, keys))
    for number in range(50):
        client.get(f"/nowhere-{number}")
        client.open(f"/v1/experiments/none-{number}", headers=bearer(keys["admin"]))
        client.post(f"{EVALUATE}-{number}", json={}, headers=bearer(keys["client"]))
        event = {"userId": f"v{number}", "event": f"Event {number}", "type": f"type {number}"}
        client.post("/v1/batch", json={"batch": [event]}, headers=bearer(keys["client"]))
    assert len(scraped(client, keys)) <= before + 5


def test_counts_of_many_threads_are_exact() -> None:
    tally, rounds = Tally(), 50_000
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def count() -> None:
        for number in range(rounds):
            tally.add(("same", "labels"))
            tally.add((str(number % 7), ""))

    threads = [threading.Thread(target=count) for _ in range(8)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    counts = tally.counts()
    assert counts["same", "labels"] == 8 * rounds
    assert sum(counts.values()) == 16 * rounds
