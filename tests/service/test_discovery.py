"""Discovery by command line, HTTP and page: what is proposed, what is not, and the draft that tests it."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser
from playwright.sync_api import expect

from experiments.lifecycle import find
from service.config import Config
from service.config import load_config
from service.discovery.rule_words import rule_words
from service.installation import Installation
from tests.experiments.house import House
from tests.experiments.tastes import Visitor
from tests.experiments.tastes import letters
from tests.experiments.tastes import likes
from tests.experiments.tastes import send
from tests.service.browsers import log_in
from tests.service.browsers import opened
from tests.service.conftest import NOW_MS
from tests.service.conftest import Run
from tests.service.conftest import bearer
from tests.service.people import add_user
from tests.service.people import logged_in
from tests.service.processes import Installed
from tests.service.sites import serving

_ADDRESS = "/v1/experiments/letters/discovery"
_PAGE = "/experiments/letters/discovery"


def furnish(installation: Installation, key: str, *, buys: Callable[[str, Visitor], float] = likes) -> None:
    """An experiment with two letters, of which the second does better for shoppers of women's clothing."""
    house = House(installation.store, now_ms=NOW_MS)
    house.start(letters(key=key))
    send(house, key, visitors=12_000, rng=np.random.default_rng(4), buys=buys)


@pytest.fixture(scope="module")
def furnished(empty_installation: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an installation with such an experiment, which takes a while to make."""
    folder = Path(shutil.copytree(empty_installation, tmp_path_factory.mktemp("furnished"), dirs_exist_ok=True))
    with Installed(folder).opened() as installation:
        furnish(installation, "letters")
    return folder


@pytest.fixture
def config(furnished: Path, tmp_path: Path) -> Config:
    """Settings for a copy of it."""
    shutil.copytree(furnished, tmp_path, dirs_exist_ok=True)
    return load_config({"BESPOKE_DATABASE_URL": f"sqlite:///{tmp_path}/bespoke.db"})


def test_the_api_proposes_a_segment_with_its_figures(client: FlaskClient, keys: dict[str, str]) -> None:
    answer = client.get(_ADDRESS, headers=bearer(keys["report"]))
    assert answer.status_code == 200
    found: dict[str, Any] = answer.get_json()
    [proposal] = found["proposals"]
    assert (proposal["arm"], proposal["against"], proposal["rule"]) == ("new-letter", "one-letter", {"womens": True})
    assert proposal["difference"]["low"] > 1 > proposal["p_value"]
    assert found["visitors"] == 12_000 and found["attributes"] == ["recency", "womens", "zip_code"]
    assert client.get(_ADDRESS, headers=bearer(keys["client"])).status_code == 403


def test_an_experiment_that_stores_nothing_says_so(client: FlaskClient, keys: dict[str, str], running: Any) -> None:
    answer = client.get("/v1/experiments/spring-mailing/discovery", headers=bearer(keys["report"]))
    assert (answer.status_code, answer.get_json()["code"]) == (409, "nothing_to_discover")
    assert "no attribute is stored" in answer.get_json()["detail"]


@pytest.mark.usefixtures("config")
def test_the_command_says_where_and_by_how_much(run: Run) -> None:
    said = run("discover", "letters")
    assert said.status == 0, said.err
    assert "new-letter does better against one-letter where womens is true." in said.out
    assert re.search(r"There +[\d,]+ +\d+\.\d% +\d+\.\d% +\+\d+% +\+\d+% to \+\d+%", said.out)
    assert 'Rule: { "womens": true }' in said.out
    assert max(map(len, said.out.splitlines())) <= 100
    found = json.loads(run("discover", "letters", "--format", "json").out)
    assert [one["rule"] for one in found["proposals"]] == [{"womens": True}]


def test_where_nothing_is_found_it_says_what_would_have_been(installation: Installation, run: Run) -> None:
    furnish(installation, "alike", buys=lambda arm, visitor: 0.1)
    said = run("discover", "alike")
    assert said.status == 0 and "No segment stands out." in said.out
    assert re.search(r"if new-letter did \d+% better against the other for one half", " ".join(said.out.split()))


def test_the_command_refuses_in_one_line(run: Run, running: Any) -> None:
    said = run("discover", "spring-mailing")
    assert said.status == 1 and said.err.count("\n") == 1 and "no attribute is stored" in said.err
    assert run("discover", "none").err == "bespoke: experiment 'none' does not exist\n"


def test_the_page_shows_viewers_the_segment_and_no_button(app: Flask, installation: Installation) -> None:
    viewer = logged_in(app, installation, "viewer")
    page = viewer.open(_PAGE).text
    assert "new-letter does better against one-letter where womens is true" in page
    assert "Make a draft" not in page
    assert viewer.open("/experiments/letters").text.count(f'href="{_PAGE}"') == 1


def test_a_forged_rule_makes_no_draft(app: Flask, installation: Installation) -> None:
    editor = logged_in(app, installation, "editor")
    forged = ['{"womens": false}', "{}", '{"$or": "x"}', '{"$or": [1]}', '{"$and": null}', '{"womens": {"$regex": 1}}']
    for rule in (*forged, "[", ""):
        answer = editor.send(_PAGE, on=_PAGE, arm="new-letter", rule=rule)
        assert answer.status_code == 404 and ("no longer" if rule in forged else "none that could be") in answer.text
    assert editor.open("/experiments/letters-discovered").status_code == 404


@pytest.mark.browser
def test_one_click_makes_a_draft_that_tests_the_segment(
    app: Flask, installation: Installation, chromium: Browser
) -> None:
    add_user(installation, "admin")
    with serving(app) as address, opened(chromium, f"{address}/login", java_script_enabled=False) as page:
        log_in(page)
        page.goto(f"{address}{_PAGE}")
        expect(page.locator("h1")).to_have_text("new-letter does better against one-letter where womens is true")
        expect(page.locator("figure img")).to_have_count(1)
        page.get_by_role("button", name="Make a draft that tests it").press("Enter")
        expect(page).to_have_url(re.compile(r"/experiments/letters-discovered/edit\?step=segments"))
        expect(page.get_by_text("womens is true").first).to_be_visible()
    made = installation.store.read(lambda session: find(session, "letters-discovered"))
    assert made.state == "draft"
    assert [(segment.key, segment.rule) for segment in made.experiment.segments] == [("discovered", {"womens": True})]


@pytest.mark.parametrize(("rule", "words"), [
    ({"womens": True}, "womens is true"),
    ({"zip_code": "Urban", "womens": False}, "zip_code is Urban and womens is false"),
    ({"recency": {"$exists": True, "$lt": 6}}, "recency is less than 6"),
    ({"recency": {"$exists": True, "$gte": 3, "$lt": 6.5}}, "recency is at least 3 and recency is less than 6.5"),
    ({"recency": {"$exists": False}}, "recency is not known"),
    ({"zip_code": {"$in": ["Rural", "Urban"]}}, "zip_code is one of Rural, Urban"),
    ({"zip_code": {"$exists": True, "$nin": ["Rural"]}}, "zip_code is none of Rural"),
    ({"post_code": {"$regex": r"^1\.2"}}, "post_code begins with 1.2"),
    ({"$or": [{"womens": True}, {"zip_code": "Urban"}]}, "womens is true, or zip_code is Urban"),
])
def test_a_rule_is_said_in_plain_words(rule: dict[str, Any], words: str) -> None:
    types = {"womens": "boolean", "zip_code": "string", "recency": "number", "post_code": "string"}
    assert rule_words(rule, types) == words
