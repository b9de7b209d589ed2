"""The main job over HTTP: from the first decision to the report."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from service.config import Config
from service.config import load_config
from tests.service.conftest import bearer

VISITORS = [f"u{number}" for number in range(60)]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Settings under which small cells are shown."""
    return load_config({"BESPOKE_DATABASE_URL": f"sqlite:///{tmp_path}/bespoke.db", "BESPOKE_MIN_CELL": "0"})


@pytest.fixture(name="evaluations")
def _evaluations(client: FlaskClient, keys: dict[str, str], running: dict[str, Any]) -> dict[str, Any]:
    """What each visitor was given; every second one buys women's clothing."""

    def evaluate(visitor: str, *, womens: bool) -> Any:
        context = {"context": {"targetingKey": visitor, "womens": womens}}
        path = "/ofrep/v1/evaluate/flags/spring-mailing"
        return client.post(path, json=context, headers=bearer(keys["client"])).json

    return {visitor: evaluate(visitor, womens=number % 2 == 0) for number, visitor in enumerate(VISITORS)}


def viewed(visitor: str, evaluation: Any) -> dict[str, Any]:
    properties = {"experiment_id": "spring-mailing", "token": evaluation["metadata"]["token"]}
    return {"type": "track", "event": "Experiment Viewed", "userId": visitor, "properties": properties}


def ordered(visitor: str) -> dict[str, Any]:
    order = {"type": "track", "event": "Order Completed", "userId": visitor, "messageId": "o1"}
    return {**order, "properties": {"revenue": 20}}


def test_the_report_counts_what_was_given_and_what_came_of_it(
    client: FlaskClient, keys: dict[str, str], evaluations: dict[str, Any]
) -> None:
    buyers = set(VISITORS[::3])
    events = [viewed(visitor, evaluation) for visitor, evaluation in evaluations.items()]
    events += [ordered(visitor) for visitor in VISITORS if visitor in buyers]
    for _ in range(2):
        client.post("/v1/batch", json={"batch": events}, headers=bearer(keys["client"]))

    report = client.get("/v1/experiments/spring-mailing/report", headers=bearer(keys["report"])).json
    assert report is not None
    given = {visitor: (body["metadata"]["segment"], body["variant"]) for visitor, body in evaluations.items()}
    rows = {(row["segment"], row["arm"]): row for row in report["arms"]}
    visitors, purchases = Counter(given.values()), Counter(given[visitor] for visitor in buyers)
    for place, row in rows.items():
        purchase = row["metrics"]["purchase"]
        assert (row["visitors"], purchase["sum"]) == (visitors[place], purchases[place])
        assert row["metrics"]["spend"]["sum"] == 20 * purchases[place]
    assert sum(row["visitors"] for row in report["totals"]) == len(VISITORS)
    assert report["diagnostics"]["duplicates"] == len(events)
    assert {entry["segment"] for entry in report["verdict"]["segments"]} == {"womens-shoppers", "everyone-else"}
    assert report["verdict"]["headline"]
