"""Histories by the command line: written once, then asked instead of the database."""

import json
from pathlib import Path

import pytest

from tests.service.conftest import Run

KEY = "spring-mailing"


@pytest.fixture(name="mailed")
def _mailed(started: Run) -> Run:
    """Thirty customers got a letter, some of them bought something, and all of it was exported."""
    customers = "".join(f"c{number},{'true' if number % 2 else 'false'}\n" for number in range(30))
    assert started("assign", KEY, "-", stdin=f"visitor,womens\n{customers}").status == 0
    orders = "".join(f"c{number},Order Completed,{number}.5\n" for number in range(0, 30, 3))
    assert started("record", "-", stdin=f"visitor,event,revenue\n{orders}").status == 0
    said = started("export", KEY, "--history", "history")
    assert said.status == 0, said.err
    # Of each order the goal, what was spent, and whether somebody came back.
    told = f"history/experiment={KEY}: 30 rows of exposures and 30 rows of outcomes, as of 20"
    assert said.out.startswith(told) and said.out.endswith("Z: all that was accepted before is in it\n")
    return started


def test_a_history_is_verified_as_the_database_is(mailed: Run) -> None:
    said = mailed("verify", "--history", "history", "--engine", "duckdb")
    assert said.status == 0, said.err
    assert said.out == mailed("verify").out


def test_a_difference_in_a_history_ends_with_status_1(mailed: Run) -> None:
    folder = Path("history") / f"experiment={KEY}"
    manifest = json.loads((folder / "manifest.json").read_text())
    part = manifest["parts"]["control"]
    part["files"] = [file for file in part["files"] if "outcomes/received=2" not in file["path"]]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    said = mailed("verify", "--history", "history")
    assert said.status == 1 and "differences were found" in said.err
    assert "metric purchase: " in said.err and "with a sum of 0 and of 0 squared are in the events" in said.err


def test_what_a_history_cannot_answer_is_refused_as_by_the_database(mailed: Run) -> None:
    for command in ("discover", "replay"):
        said = mailed(command, KEY, "--history", "history")
        assert said.status == 1 and said == mailed(command, KEY)
    said = mailed("discover", KEY, "--history", "elsewhere")
    assert said.status == 1 and f"elsewhere/experiment={KEY} has no history" in said.err
    assert mailed("discover", "no-such", "--history", "history").status == 1


@pytest.mark.parametrize(
    ("arguments", "status", "saying"),
    [
        (["export", KEY], 2, "either --table or --history must say what is to be written"),
        (["export", KEY, "--table", "cells", "--history", "history"], 2, "either --table or --history"),
        (["export", KEY, "--history", "history", "--format", "parquet"], 2, "--format is of a table"),
        (["export", "no-such", "--history", "history"], 1, "no-such"),
        (["verify", "--engine", "duckdb"], 2, "name it with --history"),
        (["replay", KEY, "--engine", "duckdb"], 2, "name it with --history"),
        (["replay", "a.csv", "--history", "history"], 1, "only an experiment has one, and 'a.csv' is a table"),
        (["verify", "--history", "history", "--engine", "pandas"], 1, "engine: 'pandas' must be duckdb, or"),
        (["verify", "--history", "nowhere"], 1, "nowhere has no history"),
    ],
)
def test_what_is_asked_wrongly_is_refused_with_the_rule(
    started: Run, arguments: list[str], status: int, saying: str
) -> None:
    said = started(*arguments)
    assert said.status == status and saying in " ".join(said.err.split())
