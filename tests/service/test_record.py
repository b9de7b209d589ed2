"""Outcomes by table: believed like a server key's, counted once, and told by line where they are not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.documents import spring_mailing
from tests.service.conftest import Run
from tests.service.conftest import Said

KEY = "spring-mailing"

Record = Callable[..., Said]


@pytest.fixture
def record(started: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
    """Records a table given as text or bytes, after forty visitors were exposed; reports hide nothing."""
    monkeypatch.setenv("BESPOKE_MIN_CELL", "0")
    visitors = "id\n" + "".join(f"u{number}\n" for number in range(40))
    assert started("assign", KEY, "-", stdin=visitors).status == 0

    def record(table: str | bytes) -> Said:
        path = tmp_path / "outcomes.csv"
        path.write_bytes(table.encode() if isinstance(table, str) else table)
        return started("record", str(path))

    return record


def total(run: Run, metric: str) -> float:
    """What the report counts of a metric."""
    report = json.loads(run("report", KEY, "--format", "json").out)
    return float(sum(row["metrics"][metric]["sum"] for row in report["totals"]))


def test_rows_are_counted_with_their_properties_as_columns_or_json(started: Run, record: Record) -> None:
    said = record(
        "visitor,event,id,revenue,shop,properties\n"
        "u1,Order Completed,o1,12.50,north,\n"
        'u2,Order Completed,o2,,,"{""revenue"": 30}"\n'
        'u3,Order Completed,o3,7,,"{""revenue"": 30, ""colour"": ""red""}"\n'
        "u4,Page Viewed,,,,\n"
    )
    assert said == Said(0, "accepted 4, duplicate 0, rejected 0, ignored 0\n", "")
    assert (total(started, "purchase"), total(started, "spend"), total(started, "visits")) == (3, 49.5, 1)
    assert started("verify").status == 0


@pytest.mark.parametrize("header", ["visitor,event,id,revenue", "visitor,event,note,revenue"])
def test_a_table_that_is_recorded_twice_counts_once(started: Run, record: Record, header: str) -> None:
    table = f"{header}\nu1,Order Completed,o1,10\nu1,Order Completed,o2,10\n"
    assert record(table).out == "accepted 2, duplicate 0, rejected 0, ignored 0\n"
    assert record(table).out == "accepted 0, duplicate 2, rejected 0, ignored 0\n"
    assert total(started, "spend") == 20


def test_rows_without_an_id_that_are_alike_count_once(started: Run, record: Record) -> None:
    row = "u1,Order Completed,10\n"
    assert record(f"visitor,event,revenue\n{row}{row}").out == "accepted 1, duplicate 1, rejected 0, ignored 0\n"
    assert total(started, "spend") == 10


def test_times_are_those_of_the_outcomes(started: Run, record: Record) -> None:
    said = record("visitor,event,timestamp\nu1,Order Completed,2999-01-01T00:00:00Z\nu2,Order Completed,\n")
    assert said.status == 0
    said = record("visitor,event,timestamp\nu3,Order Completed,yesterday\n")
    assert "line 2: invalid_timestamp: timestamp: 'yesterday' must be an ISO 8601 time" in said.err


def test_metrics_that_hear_servers_only_hear_it(run: Run) -> None:
    document: dict[str, Any] = spring_mailing()
    document["metrics"][0]["source"] = "server"
    run("init")
    run("experiment", "apply", "-", stdin=json.dumps(document))
    run("experiment", "start", KEY)
    said = run("record", "-", stdin="visitor,event\nu1,Order Completed\n")
    assert said.out == "accepted 1, duplicate 0, rejected 0, ignored 0\n"


def test_who_is_asked_for_consent_first_is_not_recorded(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BESPOKE_CONSENT_DEFAULT", "none")
    said = record("visitor,event\nu1,Order Completed\n")
    assert said.out == "accepted 0, duplicate 0, rejected 0, ignored 1\n"
    assert said.err == "line 2: no_consent: ignored\n"


@pytest.mark.parametrize(
    ("row", "saying"),
    [
        (",Order Completed,,,", "invalid_visitor: userId: ''"),
        ("u1,,,,", "invalid_event: event: ''"),
        ("u1,Nothing We Know,,,", "unknown_event: event: 'Nothing We Know'"),
        ("u1,Order Completed,2001-01-01,,", "too_old: timestamp: '2001-01-01'"),
        ("u1,Order Completed,,ten,", "invalid_value: properties.revenue: 'ten'"),
        ("u1,Order Completed,,-1,", "invalid_value: properties.revenue: -1"),
        ("u1,Order Completed,,1e400,", "invalid_value: properties.revenue: inf"),
        ("u1,Order Completed,,NaN,", "invalid_value: properties.revenue: 'NaN'"),
        ("u1,Order Completed,,1,[]", "invalid_properties: properties: [] must be an object"),
        ("u1,Order Completed,,1,{", "invalid_properties: properties: '{' must be an object"),
        ('u1,Order Completed,,1,"{""a"": NaN}"', "invalid_properties"),
        ('"u\n1",Order Completed,,1,', "invalid_visitor: userId: 'u\\n1'"),
    ],
)
def test_a_row_that_cannot_count_is_told_by_line_and_code_and_the_others_count(
    started: Run, record: Record, row: str, saying: str
) -> None:
    said = record(
        f"visitor,event,timestamp,revenue,properties\nu1,Order Completed,,5,\n{row}\nu2,Order Completed,,6,\n"
    )
    assert (said.status, said.out) == (1, "accepted 2, duplicate 0, rejected 1, ignored 0\n")
    told, ended = said.err.splitlines()
    assert told.startswith("line 3: ")
    assert saying in told
    assert ended == "bespoke: 1 of 3 rows were rejected"
    assert total(started, "spend") == 11


def test_of_very_many_rejected_rows_some_are_told_and_the_rest_counted(record: Record) -> None:
    said = record("visitor,event\n" + "u1,Nothing We Know\n" * 1000)
    lines = said.err.splitlines()
    assert len(lines) == 22
    assert lines[20:] == ["and 980 more", "bespoke: 1000 of 1000 rows were rejected"]


@pytest.mark.parametrize(
    ("table", "saying"),
    [
        ("", "line 1: the table is empty"),
        ("id,event\n", "line 1: column 'visitor' is missing; there are id, event"),
        ("visitor,name\n", "line 1: column 'event' is missing"),
        ("visitor,event,event\n", "column 'event' must have a name of its own"),
        ("visitor,event\nu1,Order Completed\nu2\n", "line 3: 1 cells must be 2"),
        (b"visitor,event\nu\xff,Order Completed\n", "line 2: is not UTF-8"),
        (b"visitor,event\nu\0,Order Completed\n", "line 2: holds a NUL"),
    ],
    ids=lambda value: repr(value[:24]),
)
def test_a_table_that_cannot_be_read_is_refused(record: Record, table: str | bytes, saying: str) -> None:
    said = record(table)
    assert said.status == 1
    assert saying in said.err
    assert "outcomes.csv" in said.err


def test_rows_by_the_thousand_are_recorded(started: Run, record: Record) -> None:
    rows = "".join(f"u{number % 40},Page Viewed,p{number}\n" for number in range(6000))
    assert record(f"visitor,event,id\n{rows}").out == "accepted 6000, duplicate 0, rejected 0, ignored 0\n"
    # The metric counts at most 100 for each visitor.
    assert total(started, "visits") == 4000
    assert started("verify").status == 0
