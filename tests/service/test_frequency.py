"""Frequency caps and what one more send is worth: by HTTP, by command, on the page, as lists are really sent."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from experiments.errors import InvalidSetting
from service.config import load_config
from service.installation import Installation
from tests.experiments.documents import spring_mailing
from tests.service.conftest import Run
from tests.service.conftest import SetClock
from tests.service.conftest import bearer
from tests.service.people import logged_in

KEY = "spring-mailing"
ADDRESS = f"/v1/experiments/{KEY}/frequency"
DAY_SECONDS = 86_400


def begin(client: FlaskClient, keys: dict[str, str], **changes: Any) -> None:
    headers = bearer(keys["admin"])
    answer = client.post("/v1/experiments", json=spring_mailing(**changes), headers=headers)
    assert answer.status_code == 201, answer.text
    assert client.post(f"/v1/experiments/{KEY}/start", headers=headers).status_code == 200


def sent(client: FlaskClient, keys: dict[str, str], call: str, names: list[str]) -> list[dict[str, Any]]:
    body = {"experiment": KEY, "expose": True, "messageId": call, "visitors": [{"id": name} for name in names]}
    answer = client.post("/v1/assignments", json=body, headers=bearer(keys["server"]))
    assert answer.status_code == 200
    items: list[dict[str, Any]] = answer.get_json()["assignments"]
    return items


def test_a_list_says_who_is_left_out_and_why(client: FlaskClient, keys: dict[str, str], clock: SetClock) -> None:
    begin(client, keys, frequency={"cap": 1, "per": "7d"})
    assert [item["exposure"] for item in sent(client, keys, "april", ["ann", "bob"])] == ["accepted", "accepted"]
    again = sent(client, keys, "may", ["ann", "cem"])
    assert again[0] == {
        "index": 0, "id": "ann", "code": "capped",
        "detail": f"1 exposure in 7d in {KEY} is the visitor's cap, and reached",
    }
    assert again[1]["exposure"] == "accepted"
    assert [item["exposure"] for item in sent(client, keys, "april", ["ann", "bob"])] == ["duplicate", "duplicate"]
    clock.advance(seconds=7 * DAY_SECONDS)
    assert sent(client, keys, "june", ["ann"])[0]["exposure"] == "accepted"


def test_asking_without_exposing_leaves_nobody_out(client: FlaskClient, keys: dict[str, str]) -> None:
    begin(client, keys, frequency={"cap": 1, "per": "7d"})
    sent(client, keys, "april", ["ann"])
    answer = client.post(
        "/v1/assignments", json={"experiment": KEY, "visitors": [{"id": "ann"}]}, headers=bearer(keys["server"])
    )
    assert answer.get_json()["assignments"][0]["cause"] == "sticky"
    context = {"context": {"targetingKey": "ann"}}
    answer = client.post(f"/ofrep/v1/evaluate/flags/{KEY}", json=context, headers=bearer(keys["client"]))
    assert answer.get_json()["metadata"]["cause"] == "sticky"


def test_a_mail_merge_writes_no_letter_to_whom_a_cap_leaves_out(
    started: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BESPOKE_FREQUENCY_CAP", "1/7d")
    (tmp_path / "customers.csv").write_text("visitor\nann\nbob\n")
    said = started("assign", KEY, "customers.csv", "--message-id", "april", "--out", "april.csv")
    assert said.status == 0 and "2 assigned, 2 counted" in said.err, said.err
    (tmp_path / "customers.csv").write_text("visitor\nann\ncem\n")
    said = started("assign", KEY, "customers.csv", "--message-id", "may")
    assert said.status == 0 and "1 assigned, 1 counted, 1 left out: capped" in said.err, said.err
    assert [row["visitor"] for row in csv.DictReader(io.StringIO(said.out))] == ["cem"]


@pytest.mark.parametrize("text", ["0/7d", "5", "5/", "five/7d", "5/0s", "5/400d", ""])
def test_a_cap_over_all_experiments_that_cannot_be_stops_the_start(text: str) -> None:
    with pytest.raises(InvalidSetting, match="BESPOKE_FREQUENCY_CAP"):
        load_config({"BESPOKE_FREQUENCY_CAP": text})


def test_what_one_more_send_is_worth_is_told_by_http_by_command_and_by_page(
    app: Flask, client: FlaskClient, keys: dict[str, str], installation: Installation, clock: SetClock, run: Run
) -> None:
    [goal, *others] = spring_mailing()["metrics"]
    begin(client, keys, metrics=[{**goal, "window": "1d"}, *others], control_share=0.1,
          frequency={"cap": [1, 2], "per": "30d", "costs": {"unsubscribe": 5}})
    rng, names = np.random.default_rng(4), [f"v{number}" for number in range(1600)]
    times = dict.fromkeys(names, 0)
    for call in ("first", "second"):
        for item in sent(client, keys, call, names):
            times[item["id"]] += "arm" in item
    orders = [
        {"type": "track", "userId": name, "event": "Order Completed", "messageId": name, "properties": {"revenue": 9}}
        for name in names if rng.random() < (0.3 if times[name] == 2 else 0.1)
    ]
    assert client.post("/v1/batch", json={"batch": orders}, headers=bearer(keys["server"])).status_code == 200
    clock.advance(seconds=3 * DAY_SECONDS)
    found = client.get(ADDRESS, headers=bearer(keys["report"])).get_json()
    whole = found["raises"][0]
    assert (whole["arm"], whole["fewer"], whole["more"], whole["verdict"]) == (None, 1, 2, "worth_it")
    assert found["left_out"] == sum(n == 1 for n in times.values())
    page = logged_in(app, installation, "viewer").open(f"/experiments/{KEY}/frequency")
    assert "One more send is worth it: 2 rather than 1" in page.text and "An association, not an effect" in page.text
    said = run("frequency", KEY)
    assert said.status == 0 and "exposures in 30d, drawn for each visitor" in said.out, said.err
    assert max(map(len, said.out.splitlines())) <= 100
    told = json.loads(run("frequency", KEY, "--format", "json").out)
    assert [row["visitors"] for row in told["rows"]] == [row["visitors"] for row in found["rows"]]


def test_without_caps_it_says_how_it_could_be_told(app: Flask, installation: Installation, running: Any) -> None:
    ann = logged_in(app, installation, "viewer")
    page = ann.open(f"/experiments/{KEY}/frequency").text
    assert "No cap is set" in page and "only where chance draws each visitor" in page
    assert ann.open(f"/experiments/{KEY}").text.count(f'href="/experiments/{KEY}/frequency"') == 1


def test_a_frequency_that_cannot_be_is_refused_by_its_field(client: FlaskClient, keys: dict[str, str]) -> None:
    document = spring_mailing(frequency={"cap": [3], "per": "7d"})
    answer = client.post("/v1/experiments", json=document, headers=bearer(keys["admin"]))
    assert answer.status_code == 422
    assert answer.get_json()["problems"][0]["field"] == "frequency.cap"
