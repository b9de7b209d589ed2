"""The what-if by command line, HTTP and page: of an experiment, and of a table of any randomised experiment."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from experiments.replay.records import replay
from service.installation import Installation
from service.replay.text import replay_text
from tests.experiments.house import DAY
from tests.experiments.house import House
from tests.service.conftest import NOW_MS
from tests.service.conftest import Run
from tests.service.conftest import bearer
from tests.service.people import logged_in
from tests.service.showroom import in_days
from tests.service.showroom import two_tastes

_SALES = {"one-letter": 0.1, "womens-letter": 0.3, "mens-letter": 0.1, "nothing": 0.05}
_ADDRESS = "/v1/experiments/spring-mailing/replay"


def written(folder: Path, rows: list[dict[str, Any]], name: str = "log.csv") -> str:
    path = folder / name
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    return str(path)


def letters(seed: int = 1, *, visitors: int = 6000) -> list[dict[str, Any]]:
    """An even split of two letters; women like the second, men the first."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(visitors):
        sex, arm = ("women", "men")[rng.integers(2)], ("first", "second")[rng.integers(2)]
        liked = (sex == "women") == (arm == "second")
        rows.append({"who": number, "sex": sex, "arm": arm, "outcome": int(rng.random() < (0.12 if liked else 0.06))})
    return rows


def worth(found: dict[str, Any], policy: str, arm: str | None = None, *, measure: str = "goal") -> dict[str, Any]:
    [one] = [one for one in found["alternatives"] if (one["policy"], one["arm"]) == (policy, arm)]
    figures: dict[str, Any] = one["worth"][measure]
    return figures


def test_a_table_says_for_whom_another_message_would_have_been_better(run: Run, tmp_path: Path) -> None:
    path = written(tmp_path, letters())
    said = run("replay", path, "--segment", "sex")
    assert said.status == 0, said.err
    assert "Choosing for each segment would have brought" in said.out
    assert "more than" in said.out and "for everybody." in said.out
    assert re.search(r"sex women: second", said.out) and re.search(r"sex men: first", said.out)
    assert max(map(len, said.out.splitlines())) <= 100
    found = json.loads(run("replay", path, "--segment", "sex", "--mass", "first", "--format", "json").out)
    assert found["contexts"].keys() == {"sex women", "sex men"}
    best = worth(found, "best")
    assert best["low"] < 0.12 < best["high"] and best["gain"]["low"] > 0
    assert (found["reference"], found["unit"], found["currency"]) == ("first", "rate", None)


def test_an_even_split_without_segments_gives_each_arms_plain_mean(run: Run, shared_data: Path) -> None:
    table = str(shared_data / "hillstrom.csv")
    found = json.loads(run("replay", table, "--arm", "segment", "--outcome", "visit", "--format", "json").out)
    # As printed wherever this experiment is told of: 18.3, 15.1 and 10.6 % of 21,307, 21,387 and 21,306 visited.
    for arm, mean, visitors in (
        ("Mens E-Mail", 0.182757, 21_307), ("Womens E-Mail", 0.151400, 21_387), ("No E-Mail", 0.106167, 21_306),
    ):
        assert worth(found, "arm", arm)["self_normalised"] == pytest.approx(mean, abs=1e-6)
        assert worth(found, "arm", arm)["mean"] == pytest.approx(mean, abs=2e-5)
        [one] = [one for one in found["alternatives"] if one["arm"] == arm]
        assert one["effective_visitors"] == pytest.approx(visitors)


def test_chances_that_differ_are_weighed(run: Run, tmp_path: Path) -> None:
    rng, rows = np.random.default_rng(2), []
    for number in range(8000):
        chance = (0.9, 0.3)[number % 2]
        is_first = rng.random() < chance
        rate = (0.5 if number % 2 else 0.1) + (0 if is_first else 0.1)
        rows.append({"arm": "first" if is_first else "second", "propensity": chance if is_first else 1 - chance,
                     "outcome": ("false", "true")[int(rng.random() < rate)]})
    found = json.loads(run("replay", written(tmp_path, rows), "--format", "json").out)
    # Where the second arm is common, everything sells better: its plain mean is above .5, and it is worth .4.
    second = worth(found, "arm", "second")
    assert np.mean([row["outcome"] == "true" for row in rows if row["arm"] == "second"]) > 0.5
    assert second["low"] < 0.4 < second["high"] and abs(second["self_normalised"] - 0.4) < 0.03


def test_profit_pays_what_each_arm_costs(run: Run, tmp_path: Path) -> None:
    path = written(tmp_path, letters())
    asked = ("--segment", "sex", "--mass", "first", "--value", "10", "--cost", "second=0.5", "--currency", "USD")
    found = json.loads(run("replay", path, *asked, "--format", "json").out)
    assert found["currency"] == "USD"
    second = worth(found, "arm", "second", measure="profit")
    assert second["mean"] == pytest.approx(10 * worth(found, "arm", "second")["mean"] - 0.5)
    assert "Profit per visitor" in run("replay", path, *asked).out


def test_a_wrong_question_or_row_is_refused_with_its_name_and_the_rule(run: Run, tmp_path: Path) -> None:
    good = letters(visitors=50)
    path = written(tmp_path, good)
    one_arm = written(tmp_path, [{**row, "arm": "first"} for row in good], "one.csv")
    wide = [{**row, "sex": f"taste {number}"} for number, row in enumerate(letters(visitors=300))]
    cases: list[tuple[tuple[str, ...], str]] = [
        ((path, "--outcome", "sales"), "column 'sales' is not in"),
        ((path, "--segment", "colour"), "column 'colour' is not in"),
        ((path, "--propensity", "chance"), "column 'chance' is not in"),
        ((path, "--mass", "third"), "arm 'third' is not in"),
        ((path, "--cost", "third=1"), "arm 'third' is not in"),
        ((path, "--cost", "first"), "cost: 'first' must be an arm, = and an amount"),
        ((path, "--cost", "first=nan"), "cost: 'nan' must be"),
        ((path, "--value", "much"), "value: 'much' must be an amount"),
        ((path, "--value", "1", "--currency", "money"), "currency: 'money' must be three capital letters"),
        ((path, "--outcome", "sex"), "line 2: sex:"),
        ((path, "--visitor", "sex"), "must be in one row"),
        ((one_arm,), "has 1 arms in column 'arm', must have at least 2"),
        ((written(tmp_path, wide, "wide.csv"), "--segment", "sex"), "more than 200 combinations"),
        (("nobody",), "experiment 'nobody' does not exist"),
        (("nobody", "--value", "3"), "value: only a table has it"),
        ((str(tmp_path / "none.csv"),), "none.csv"),
    ]
    assert run("init").status == 0
    for arguments, reason in cases:
        said = run("replay", *arguments)
        assert said.status == 1 and reason in said.err, (arguments, said)
    for propensity in ("0", "1.5", "-1", "", "nan", "1e999"):
        bad = written(tmp_path, [{**row, "propensity": propensity} for row in good], "bad.csv")
        said = run("replay", bad)
        assert said.status == 1 and "line 2: propensity:" in said.err and "above 0 and at most 1" in said.err
    for outcome in ("", "nan", "inf", "1e300", "yes"):
        bad = written(tmp_path, [{**row, "outcome": outcome} for row in good], "bad.csv")
        said = run("replay", bad)
        assert said.status == 1 and "line 2: outcome:" in said.err, outcome


def test_a_message_that_a_segment_never_had_is_not_guessed_at(run: Run, tmp_path: Path) -> None:
    rows = [row for row in letters() if row["sex"] == "women" or row["arm"] == "first"]
    said = run("replay", written(tmp_path, rows), "--segment", "sex")
    assert said.status == 0
    assert re.search(r"second for everybody: second in sex men: [\d,]+ of [\d,]+ visitors\s+cannot", said.out)
    assert "This log cannot tell what a choice for each segment would have brought" in said.out


def campaign(
    installation: Installation, *, days: int = 6, daily: int = 150, document: dict[str, Any] | None = None
) -> None:
    """A campaign through the doors of the service, its goal reached within three days."""
    rng = np.random.default_rng(5)
    house = House(installation.store, now_ms=NOW_MS - days * DAY)
    house.start(in_days(document or two_tastes(policy={"kind": "fixed"}), 3))
    for day in range(days):
        house.now_ms = NOW_MS - (days - day) * DAY
        for number in range(daily):
            visitor, womens = f"{day}-{number}", bool(number % 2)
            shown = house.evaluate("spring-mailing", visitor, womens=womens)
            house.record(house.exposure("spring-mailing", visitor, womens=womens))
            if rng.random() < _SALES[shown.assignment.arm]:
                house.record(house.event(visitor, "Order Completed", total=30))


def test_an_experiment_answers_by_http_by_command_and_by_page(
    app: Flask, client: FlaskClient, keys: dict[str, str], installation: Installation
) -> None:
    campaign(installation)
    answer = client.get(_ADDRESS, headers=bearer(keys["report"]))
    assert answer.status_code == 200
    found = answer.get_json()
    # The days before the last three.
    assert found["visitors"] == 3 * 150
    tailored = worth(found, "tailored")
    assert tailored["low"] < 0.5 * 0.3 + 0.5 * 0.1 < tailored["high"]
    assert {one["arm"] for one in found["alternatives"] if one["policy"] == "arm"} == {"nothing", "one-letter"}
    ann = logged_in(app, installation, "viewer")
    page = ann.open("/experiments/spring-mailing/replay")
    assert page.status_code == 200
    assert "one-letter for everybody" in page.text and "Each segment its own message" in page.text
    assert ann.open("/experiments/spring-mailing").text.count('href="/experiments/spring-mailing/replay"') == 1


def test_where_attributes_are_stored_the_best_for_each_context_is_told(
    app: Flask, client: FlaskClient, keys: dict[str, str], installation: Installation
) -> None:
    document = two_tastes(policy={"kind": "fixed"})
    document["attributes"]["womens"] = {"type": "boolean", "store": True}
    campaign(installation, document=document, days=5, daily=450)
    answer = client.get(_ADDRESS, headers=bearer(keys["report"])).get_json()
    # The days before the last three, as for all other policies.
    assert answer["visitors"] == 2 * 450
    by_context = next(one for one in answer["alternatives"] if one["policy"] == "best_by_context")
    assert by_context["unanswered"] is None and by_context["worth"].keys() == {"goal"}
    # Segments know already whatever the attribute says, so that contexts add nothing.
    assert by_context["over_best"]["low"] <= 0 <= by_context["over_best"]["high"]
    assert by_context["choices"]['womens-shoppers: {"womens":true}'] == "womens-letter"
    page = logged_in(app, installation, "viewer").open("/experiments/spring-mailing/replay").text
    found = replay(installation.store, "spring-mailing", now_ms=installation.clock.now_ms(), min_cell=10)
    said = " ".join(replay_text(found).split())
    for text in (page, said):
        assert "The best for each context" in text
        assert "Choosing for each context cannot be told from choosing for each segment." in text
        assert "womens-shoppers: {" in text


def test_before_anybodys_time_is_over_there_is_no_answer_and_it_says_so(
    app: Flask, client: FlaskClient, keys: dict[str, str], installation: Installation
) -> None:
    campaign(installation, days=2, daily=5)
    answer = client.get(_ADDRESS, headers=bearer(keys["report"]))
    assert (answer.status_code, answer.get_json()["code"]) == (409, "unanswered_past")
    assert "the windows of 0 visitors are over, must be those of 10" in answer.get_json()["detail"]
    assert client.get("/v1/experiments/nobody/replay", headers=bearer(keys["report"])).status_code == 404
