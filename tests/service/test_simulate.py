"""`bespoke simulate`: a pre-flight on the command line."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.flights import flight
from tests.experiments.flights import uplift
from tests.service.conftest import Run

BESPOKE = Path(sys.executable).parent / "bespoke"


def simulate(value: Any, *options: str) -> subprocess.CompletedProcess[str]:
    """The command as installed, reading stdin; it needs no database."""
    return subprocess.run(
        [BESPOKE, "simulate", "-", *options], input=json.dumps(value), capture_output=True, text=True, timeout=200
    )


ASSUMED = {"visitors_per_day": 1500, "uplift": uplift(0.9)}


def test_the_advice_comes_first_and_everything_else_after_it() -> None:
    said = simulate({"experiment": flight(), "assumptions": ASSUMED}, "--days", "8", "--runs", "6")
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    assert lines[0] == "flight: 8 days, 6 simulated campaigns of each policy"
    assert lines[2].startswith("Use Thompson sampling")
    rows = [line for line in lines if line.lstrip("* ").startswith(("an even split", "top-two", "epsilon", "Thompson"))]
    assert len(rows) == 4
    assert any(line.startswith("* Thompson sampling") for line in rows)
    assert "letter-taste-0 for taste-0" in said.stdout
    assert "Not given, so by default: segment_shares, consent_share, base_rates, delay, drift, weekly." in said.stdout
    assert max(map(len, lines)) <= 100
    assert "Campaigns" in said.stderr


def test_json_has_every_figure_and_the_same_seed_the_same_ones() -> None:
    options = ("--days", "3", "--runs", "2", "--seed", "7", "--format", "json")
    first, second = (simulate({"experiment": flight(), "assumptions": ASSUMED}, *options) for _ in range(2))
    assert first.stdout == second.stdout
    found = json.loads(first.stdout)
    assert (found["days"], found["runs"], found["seed"], found["own"]) == (3, 2, 7, "thompson")
    assert found["assumptions"]["rates"]["taste-0"]["letter-taste-0"] == pytest.approx(0.095)
    assert [policy["policy"] for policy in found["policies"]][0] == "fixed"
    assert found["effects"][0]["assumed"] == pytest.approx(0.9)
    assert found["advice"]["sentences"]


def test_weights_by_context_are_a_row_and_what_is_assumed_of_attributes_is_said() -> None:
    stored = {"taste": "string", "member": {"type": "boolean", "store": True}}
    document = flight(policy={"kind": "contextual_thompson"}, attributes=stored)
    by_value = {"true": {"share": 0.4, "uplift": {"letter-taste-0": 0.5}}}
    asked = {"experiment": document, "assumptions": {"attributes": {"member": by_value}}}
    said = simulate(asked, "--days", "3", "--runs", "2")
    assert said.returncode == 0, said.stderr
    assert any(line.startswith("* Thompson by context  ") for line in said.stdout.splitlines())
    words = " ".join(said.stdout.split())
    assert "attributes member: true 40% (letter-taste-0 +50%) / false 60%;" in words


def test_a_plain_document_is_simulated_on_defaults() -> None:
    said = simulate(flight(), "--days", "2", "--runs", "2")
    assert said.returncode == 0
    assert "1,000 visitors a day" in said.stdout


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ("{", ["the document"]),
        (flight(control_share=2), ["control_share: 2 must be from 0"]),
        (
            {"experiment": flight(), "assumptions": {"drift": "much", "weekly": 2}},
            ["assumptions.drift: 'much' must be a number", "assumptions.weekly: 2 must be from 0 to 1"],
        ),
        ({"experiment": flight(), "guesses": {}}, ["guesses: 'guesses' is not a field here"]),
        ({"experiment": 1}, ["document: 1 must be an object"]),
    ],
)
def test_bad_input_is_refused_line_by_line(run: Run, value: Any, lines: list[str]) -> None:
    said = run("simulate", "-", stdin=value if isinstance(value, str) else json.dumps(value))
    assert (said.status, said.out) == (1, "")
    assert len(said.err.splitlines()) == len(lines)
    assert all(line in found for line, found in zip(lines, said.err.splitlines(), strict=True))


@pytest.mark.parametrize("options", [("--days", "0"), ("--runs", "1"), ("--seed", "-1"), ("--format", "csv")])
def test_what_cannot_be_asked_is_wrong_usage(run: Run, options: tuple[str, str]) -> None:
    assert run("simulate", "-", *options, stdin=json.dumps(flight())).status == 2
