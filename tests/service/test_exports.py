"""Exports: whole, in constant memory, safe for spreadsheets, and telling nobody who a visitor is."""

import csv
import io
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from flask.testing import FlaskClient
from pyarrow import parquet

from experiments.signing import pseudonym
from service.installation import Installation
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny
from tests.experiments.house import House
from tests.service.conftest import Run
from tests.service.conftest import bearer
from tests.service.deeds import NOW_MS
from tests.service.processes import Installed

KEY = "spring-mailing"
TABLES = ("exposures", "outcomes", "allocations", "cells")


def rows_of(text: str) -> list[dict[str, str]]:
    """The rows of a table in CSV."""
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(name="mailed")
def _mailed(started: Run) -> Run:
    """Thirty customers got a letter, some of them bought something."""
    customers = "".join(f"c{number},{'true' if number % 2 else 'false'}\n" for number in range(30))
    assert started("assign", KEY, "-", stdin=f"visitor,womens\n{customers}").status == 0
    orders = "".join(f"c{number},Order Completed,{number}.5\n" for number in range(0, 30, 3))
    assert started("record", "-", stdin=f"visitor,event,revenue\n{orders}").status == 0
    return started


def table(run: Run, name: str, *, key: str = KEY) -> list[dict[str, str]]:
    """An export by the command line."""
    said = run("export", key, "--table", name)
    assert said.status == 0, said.err
    return rows_of(said.out)


def test_exposures_and_outcomes_are_told_with_propensities_and_amounts(mailed: Run) -> None:
    exposures, outcomes = table(mailed, "exposures"), table(mailed, "outcomes")
    assert len(exposures) == 30 and len(outcomes) == 10
    assert [*exposures[0]] == [
        "visitor", "arm", "segment", "epoch", "propensity", "at", "asserted", "attributes", "exposures"
    ]
    assert {row["segment"] for row in exposures} == {"womens-shoppers", "everyone-else"}
    assert all(0 < float(row["propensity"]) <= 1 and row["asserted"] == "false" for row in exposures)
    assert sorted(float(row["properties.revenue"]) for row in outcomes) == [number + 0.5 for number in range(0, 30, 3)]
    # The tables are of the same visitors, each of whom has one name in both.
    assert {row["visitor"] for row in outcomes} < {row["visitor"] for row in exposures}
    assert len({row["visitor"] for row in exposures}) == 30


def test_cells_add_up_to_the_report_and_small_ones_are_hidden(mailed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BESPOKE_MIN_CELL", "0")
    cells = table(mailed, "cells")
    assert sum(int(row["visitors"]) for row in cells if row["metric"] == "$exposures") == 30
    assert sum(int(row["sum"]) for row in cells if row["metric"] == "purchase") == 10
    assert not any(row["metric"].startswith("$by") for row in cells)
    for min_cell in (8, 1000):
        monkeypatch.setenv("BESPOKE_MIN_CELL", str(min_cell))
        for row in table(mailed, "cells"):
            assert (row["suppressed"] == "true") == (row["visitors"] == row["sum"] == row["sum_of_squares"] == "")
            assert row["suppressed"] == "true" or int(row["visitors"]) >= min_cell
    assert {row["suppressed"] for row in table(mailed, "cells")} == {"true"}


def test_a_cell_that_alone_is_small_hides_another_so_that_nobody_subtracts(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("init").status == 0
    document = tiny(arms=[{"key": "everyone", "role": "mass"}])
    assert run("experiment", "apply", "-", stdin=json.dumps(document)).status == 0
    assert run("experiment", "start", "tiny").status == 0
    for day, visitors in (("1", 30), ("2", 4), ("3", 12)):
        clock = "service.operation.clock.SystemClock.now_ms"
        monkeypatch.setattr(clock, lambda _, day=day: NOW_MS + int(day) * 86_400_000)
        people = "".join(f"d{day}-{number}\n" for number in range(visitors))
        assert run("assign", "tiny", "-", stdin=f"visitor\n{people}").status == 0
    shown = {row["visitors"] for row in table(run, "cells", key="tiny") if row["metric"] == "$exposures"}
    assert shown == {"30", ""}


def test_no_cells_tell_what_the_report_hides(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any]
) -> None:
    visitors = [{"id": f"v{n}", "attributes": {"womens": n < 24}} for n in range(400)]
    body = {"experiment": KEY, "visitors": visitors, "expose": True}
    assert client.post("/v1/assignments", json=body, headers=bearer(keys["server"])).status_code == 200
    report = client.get(f"/v1/experiments/{KEY}/report", headers=bearer(keys["report"])).json
    table = rows_of(client.get(f"/v1/experiments/{KEY}/export/cells.csv", headers=bearer(keys["report"])).text)
    assert report
    hidden = {(row["segment"], row["arm"]) for row in report["arms"] if row["suppressed"]}
    shown = {(row["segment"], row["arm"]) for row in table if row["suppressed"] == "false"}
    large = [row for row in report["arms"] if row["segment"] == "everyone-else"]
    # Some are hidden that are large, since small ones could be told by them.
    assert any((row["segment"], row["arm"]) in hidden for row in large)
    assert shown and not shown & hidden


def test_weights_of_every_row_of_the_ledger_are_told(mailed: Run) -> None:
    assert mailed("reallocate", KEY).status == 0
    rows = table(mailed, "allocations")
    weights: defaultdict[tuple[str, str], float] = defaultdict(float)
    for row in rows:
        weights[row["number"], row["segment"]] += float(row["weight"])
    assert {number for number, _ in weights} == {"1", "2"}
    assert all(abs(total - 1) < 1e-9 for total in weights.values())


@pytest.mark.parametrize("name", TABLES)
def test_parquet_has_the_rows_of_csv(mailed: Run, tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.parquet"
    assert mailed("export", KEY, "--table", name, "--format", "parquet", "--out", str(path)).status == 0
    found = parquet.read_table(path)
    wanted = table(mailed, name)
    assert found.column_names == [*wanted[0]]
    assert found.num_rows == len(wanted)
    for each, row in zip(wanted, found.to_pylist(), strict=True):
        for column, text in each.items():
            assert said(row[column]) == text


def parquet_rows(data: bytes) -> list[dict[str, Any]]:
    """The rows of a Parquet file."""
    found: list[dict[str, Any]] = parquet.read_table(pyarrow.BufferReader(data)).to_pylist()
    return found


def said(value: Any) -> str:
    """A value as CSV has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if hasattr(value, "strftime"):
        return str(value.strftime("%Y-%m-%dT%H:%M:%SZ"))
    return "" if value is None else str(value)


def test_no_visitor_can_be_found_again_in_another_table_of_the_installation(mailed: Run) -> None:
    assert mailed("experiment", "apply", "-", stdin=json.dumps(tiny())).status == 0
    assert mailed("experiment", "start", "tiny").status == 0
    assert mailed("assign", "tiny", "-", stdin="visitor\n" + "".join(f"c{n}\n" for n in range(30))).status == 0
    here = {row["visitor"] for row in table(mailed, "exposures")}
    there = {row["visitor"] for row in table(mailed, "exposures", key="tiny")}
    known = {json.loads(mailed("visitor", f"c{number}").out)["stored_as"] for number in range(30)}
    assert len(here) == len(there) == len(known) == 30
    assert not here & there and not (here | there) & known


def test_no_cell_of_a_table_is_run_by_a_spreadsheet(mailed: Run) -> None:
    assert mailed("experiment", "pause", KEY, "--reason", "=HYPERLINK(1)").status == 0
    reasons = {row["reason"] for row in table(mailed, "allocations")}
    assert "'=HYPERLINK(1)" in reasons


@pytest.mark.every_database
@pytest.mark.parametrize("name", TABLES)
def test_every_table_comes_over_http_for_those_who_may(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any], installation: Installation, name: str
) -> None:
    house = House(installation.store, now_ms=installation.clock.now_ms())
    house.snapshots.refresh()
    body = {"experiment": KEY, "visitors": [{"id": f"v{number}"} for number in range(20)], "expose": True}
    assert client.post("/v1/assignments", json=body, headers=bearer(keys["server"])).status_code == 200
    event = {"userId": "v1", "event": "Order Completed", "messageId": "1", "properties": {"revenue": 3}}
    assert client.post("/v1/track", json=event, headers=bearer(keys["server"])).status_code == 200
    for kind in ("csv", "parquet"):
        path = f"/v1/experiments/{KEY}/export/{name}.{kind}"
        for scope in ("client", "server", "report", "admin"):
            answer = client.get(path, headers=bearer(keys[scope]))
            may = scope == "admin" or scope == "report" and name in ("allocations", "cells")
            assert answer.status_code == (200 if may else 403)
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{KEY}-{name}.{kind}"'
        assert len(rows_of(answer.text) if kind == "csv" else parquet_rows(answer.data)) > 0
    assert client.get(f"/v1/experiments/none/export/{name}.csv", headers=bearer(keys["admin"])).status_code == 404
    assert client.get(f"/v1/experiments/{KEY}/export/{name}.xls", headers=bearer(keys["admin"])).status_code == 404
    assert client.get(f"/v1/experiments/{KEY}/export/users.csv", headers=bearer(keys["admin"])).status_code == 404


def test_without_pyarrow_parquet_is_refused_by_the_name_of_the_extra(
    mailed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused = mailed("export", KEY, "--table", "cells", "--format", "parquet")
    said = "bespoke: Parquet needs the package pyarrow: pip install -e '.[parquet]'\n"
    assert (refused.status, refused.err) == (1, said)
    assert mailed("export", KEY, "--table", "cells").status == 0


def test_what_there_is_none_of_has_a_header_alone(started: Run, tmp_path: Path) -> None:
    assert started("export", KEY, "--table", "outcomes").out == (
        "visitor,event,at,received_at,trusted,properties.revenue\r\n"
    )
    path = tmp_path / "none.parquet"
    assert started("export", KEY, "--table", "outcomes", "--format", "parquet", "--out", str(path)).status == 0
    assert parquet.read_table(path).num_rows == 0
    assert started("export", "none", "--table", "cells").err == "bespoke: experiment 'none' does not exist\n"


_LARGE = """
import re, sys
from pathlib import Path
from service.cli import main
try:
    main(["export", "spring-mailing", "--table", "exposures", "--format", sys.argv[1], "--out", "out.file"])
except SystemExit as ended:
    print(ended.code or 0, re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def test_a_large_table_takes_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    installed.run_experiment(spring_mailing())
    peaks = {}
    for total in (1000, 100_000):
        with installed.opened() as installation:
            rows = [
                (KEY, pseudonym(f"{total}-{number}", key=b"k"), "one-letter", "everyone-else", 1, 1, 0, False, None, 1)
                for number in range(total)
            ]
            installation.store.transact(lambda session: session.exposures.insert(rows))
        for kind in ("csv", "parquet"):
            done = subprocess.run(
                [sys.executable, "-c", _LARGE, kind], env=installed.environ, cwd=tmp_path, capture_output=True,
                text=True, check=True,
            )
            status, peak = done.stdout.split()
            assert status == "0", done.stderr
            peaks[kind, total] = int(peak)
    assert len((tmp_path / "out.file").read_bytes()) > 1 << 20
    for kind in ("csv", "parquet"):
        # In kilobytes: a file of 10 MB, of which a page of rows is held at a time.
        assert peaks[kind, 100_000] < peaks[kind, 1000] + 24 * 1024, peaks
