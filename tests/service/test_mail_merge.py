"""The mail-merge: customers in, letters out, each customer counted once; whatever stands in the table."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from io import StringIO
from pathlib import Path

import pytest

from tests.experiments.documents import spring_mailing
from tests.service.conftest import Run
from tests.service.conftest import Said
from tests.service.processes import Installed
from tests.service.processes import ServerProcess
from tests.service.processes import wait_until
from tests.service.test_cli import refused

KEY = "spring-mailing"
HEADER = "id,womens,first_name"

Merge = Callable[..., Said]


@pytest.fixture
def merge(started: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Merge:
    """Assigns the visitors of a table given as text or bytes; reports hide nothing."""
    monkeypatch.setenv("BESPOKE_MIN_CELL", "0")

    def merge(table: str | bytes, *options: str) -> Said:
        path = tmp_path / "visitors.csv"
        path.write_bytes(table.encode() if isinstance(table, str) else table)
        return started("assign", KEY, str(path), *options)

    return merge


def rows(text: str) -> list[dict[str, str]]:
    """The rows of a table by column."""
    return list(csv.DictReader(StringIO(text, newline=""), strict=True))


def visitors(number: int, *, start: int = 0) -> str:
    """A table of visitors, every other one of the segment."""
    lines = (f"customer-{n},{n % 2},Ada {n}\n" for n in range(start, start + number))
    return f"{HEADER}\n" + "".join(lines)


def counted(run: Run, name: str) -> int:
    """How many visitors or exposures the report counts."""
    report = json.loads(run("report", KEY, "--format", "json").out)
    return sum(row[name] for row in report["totals"])


def test_twenty_thousand_customers_become_twenty_thousand_letters(
    started: Run, merge: Merge, tmp_path: Path
) -> None:
    out = tmp_path / "letters.csv"
    said = merge(visitors(20_000), "--out", str(out))
    assert (said.status, said.out) == (0, "")
    assert f"{KEY}: 20000 assigned, 20000 counted\n" in said.err
    letters = rows(out.read_text())
    assert [letter["visitor"] for letter in letters] == [f"customer-{n}" for n in range(20_000)]
    assert {letter["segment"] for letter in letters[1::2]} == {"womens-shoppers"}
    assert {letter["segment"] for letter in letters[::2]} == {"everyone-else"}
    assert {letter["cause"] for letter in letters} == {"allocated"}
    assert {letter["subject"] for letter in letters if letter["role"] == "control"} == {""}
    assert all(
        letter["body"] == f"Hello {letter['first_name']}" for letter in letters if letter["arm"] == "one-letter"
    )
    assert sum(letter["arm"] == "nothing" for letter in letters) == pytest.approx(2000, abs=4 * 42.4)
    assert started("verify").status == 0
    assert counted(started, "visitors") == 20_000


def test_repeating_it_gives_the_same_letters_and_counts_nobody_twice(started: Run, merge: Merge) -> None:
    first, again = merge(visitors(300)), merge(visitors(300))
    assert "300 counted before" in again.err
    assert first.out.replace(",allocated,", ",sticky,") == again.out
    assert counted(started, "visitors") == 300
    assert counted(started, "exposures") == 300


def test_a_dry_run_gives_the_letters_and_counts_nobody(started: Run, merge: Merge) -> None:
    dry = merge(visitors(300), "--dry-run")
    assert "300 not counted: dry run" in dry.err
    assert counted(started, "visitors") == 0
    assert merge(visitors(300)).out == dry.out


def test_another_mailing_counts_the_same_visitors_again(started: Run, merge: Merge) -> None:
    for name in ("spring", "summer", "summer"):
        merge(visitors(50), "--message-id", name)
    assert (counted(started, "visitors"), counted(started, "exposures")) == (50, 100)
    assert started("verify").status == 0


def test_stdin_is_read_and_stdout_written(started: Run) -> None:
    said = started("assign", KEY, "-", stdin=visitors(3))
    assert [row["visitor"] for row in rows(said.out)] == ["customer-0", "customer-1", "customer-2"]


def test_a_pipe_is_written_to_and_stays_a_pipe(merge: Merge, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        assert merge(visitors(3), "--out", str(pipe)).status == 0
        assert reader.stdout and reader.stdout.read().count("customer-") == 3
    assert pipe.is_fifo()


@pytest.mark.parametrize("state", ["pause", "stop"])
def test_an_experiment_that_does_not_run_counts_nobody(started: Run, merge: Merge, state: str) -> None:
    started("experiment", state, KEY)
    said = merge(visitors(10))
    assert "10 not counted: not_running" in said.err
    assert {row["cause"] for row in rows(said.out)} == {"not_running"}
    assert counted(started, "visitors") == 0


def test_a_column_can_hold_consent(merge: Merge) -> None:
    said = merge("visitor,womens,consent\nann,true,none\nbob,true,measure\neve,true,\n")
    assert [row["segment"] for row in rows(said.out)] == ["no-personalisation", "no-personalisation", "womens-shoppers"]
    assert "1 not counted: no_consent" in said.err


def test_the_columns_that_came_in_are_kept_behind_ours(merge: Merge) -> None:
    said = merge("email,id,segment,body\nann@x.example,ann,gold,tall\n")
    assert list(rows(said.out)[0]) == [
        "visitor", "segment", "arm", "role", "propensity", "epoch", "cause", "subject", "body",
        "email", "input.segment", "input.body",
    ]
    assert (rows(said.out)[0]["input.segment"], rows(said.out)[0]["email"]) == ("gold", "ann@x.example")
    assert "no column is named womens" in said.err


def test_fields_of_messages_are_columns_however_deep_they_stand(run: Run, tmp_path: Path) -> None:
    document = spring_mailing()
    mail = {"subject": "Hi {{ first_name }}", "tags": ["a", "b"]}
    document["arms"][1]["message"] = {"mail": mail, "size": 3, "on": True}
    run("init")
    run("experiment", "apply", "-", stdin=json.dumps(document))
    run("experiment", "start", KEY)
    said = run("assign", KEY, "-", stdin=visitors(40))
    letter = next(row for row in rows(said.out) if row["arm"] == "one-letter")
    assert letter["mail.subject"] == f"Hi {letter['first_name']}"
    assert (json.loads(letter["mail.tags"]), letter["size"], letter["on"]) == (["a", "b"], "3", "true")


@pytest.mark.parametrize("start", list("=+-@") + ["\t", "\r"])
def test_no_cell_begins_a_formula(merge: Merge, start: str) -> None:
    hostile = f'"{start}cmd|\' /C calc\'!A0"'
    said = merge(f"id,first_name,email\n{'ann' if start in chr(13) + chr(9) else hostile},{hostile},{hostile}\n")
    [row] = rows(said.out)
    assert row["first_name"] == row["email"] == f"'{start}cmd|' /C calc'!A0"
    assert not any(cell.startswith(tuple("=+-@\t\r")) for cell in row.values())


def test_quotes_newlines_and_commas_come_through(merge: Merge) -> None:
    text = 'say "hi",\r\nthen\ngo ✓'
    quoted = text.replace('"', '""')
    said = merge(f'id,first_name,note\r\nann,"a ""b""","{quoted}"\r\n')
    assert rows(said.out)[0]["note"] == text
    assert rows(said.out)[0]["first_name"] == 'a "b"'


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_marks_line_ends_and_blank_lines_make_no_difference(merge: Merge, ends: str, mark: bytes) -> None:
    table = ends.join(["id,womens", "ann,TRUE", "", "bob,0", ""])
    said = merge(mark + table.encode())
    assert [(row["visitor"], row["segment"]) for row in rows(said.out)] == [
        ("ann", "womens-shoppers"), ("bob", "everyone-else"),
    ]


@pytest.mark.parametrize(
    ("table", "saying"),
    [
        ("", "line 1: the table is empty"),
        ("\n\n", "the table is empty"),
        ("womens\ntrue\n", "line 1: one column must name the visitor: visitor or id; there are womens"),
        ("id;womens\nann;true\n", "there are id;womens"),
        ("id,visitor\nann,bob\n", "one column must name the visitor"),
        ("id,womens,womens\nann,1,0\n", "line 1: column 'womens' must have a name of its own"),
        ("id,\nann,1\n", "line 1: column '' must have a name of its own"),
        ("id,womens\nann,1\nbob\n", "line 3: 1 cells must be 2"),
        ("id,womens\nann,1,2\n", "line 2: 3 cells must be 2"),
        ("id,womens\nann,perhaps\n", "line 2: column 'womens': 'perhaps' must be true, false, 1 or 0"),
        ("id,recency\nann,1\nbob,nan\n", "line 3: column 'recency': 'nan' must be a number"),
        ("id,recency\nann,1_000\n", "'1_000' must be a number"),
        ('id,recency\nann,"1,5"\n', "'1,5' must be a number, with a point"),
        ("id,recency\nann,1e999\n", "line 2: attribute 'recency': inf must be a finite number"),
        ("id,recency\nann,99999999999999999999\n", "line 2: attribute 'recency'"),
        (f"id,zip_code\nann,{'9' * 1001}\n", "line 2: attribute 'zip_code'"),
        ("id,womens\n,1\n", "line 2: id: '' must be a string of 1 to 512 characters"),
        ('id,womens\n"a\nb",1\n', "line 2: id: 'a\\nb' must be"),
        ("id,consent\nann,perhaps\n", "line 2: context.consent: 'perhaps' must be none, measure or personalise"),
        ('id,womens\n"ann,1\n', "line 2: is no row of CSV (unexpected end of data)"),
        ('id,womens\n"ann"x,1\n', "line 2: is no row of CSV"),
        (b"id,womens\nann\0,1\n", "line 2: holds a NUL"),
        (b"id,womens\nann,1\nb\xe9a,1\n", "line 3: is not UTF-8 at byte 2"),
        ("id,womens\nann,1\n".encode("utf-16"), "line 1: is not UTF-8 at byte 1"),
        (b"id,womens\nann," + b"1" * (1 << 21), "line 2: the row is longer than 1048576 bytes"),
        (b'id,womens\nann,"' + b"1\n" * (1 << 20), "the row is longer than 1048576 bytes, or a quote is never closed"),
    ],
    ids=lambda value: repr(value[:24]),
)
def test_a_table_that_cannot_be_read_is_refused_by_line_and_rule(
    merge: Merge, tmp_path: Path, table: str | bytes, saying: str
) -> None:
    out = tmp_path / "letters.csv"
    out.write_text("the last ones")
    said = merge(table, "--out", str(out))
    assert said.status == 1
    *_, last = said.err.splitlines()
    assert last.startswith("bespoke: ")
    assert "visitors.csv" in last
    assert saying in last
    assert out.read_text() == "the last ones"
    assert not (tmp_path / "letters.csv.part").exists()


def test_what_was_counted_before_a_wrong_line_is_not_counted_again(started: Run, merge: Merge) -> None:
    table = visitors(1000)
    assert "line 1002" in merge(table + "customer-x,perhaps,Ada\n").err
    before = counted(started, "visitors")
    assert 0 < before <= 1000
    said = merge(table)
    assert said.status == 0
    assert f"{before} counted before" in said.err
    assert counted(started, "visitors") == 1000


def test_a_table_without_visitors_gives_one_without_letters(merge: Merge) -> None:
    said = merge(f"{HEADER}\n")
    assert said.out.startswith("visitor,segment,arm")
    assert said.out.count("\n") == 1


def test_what_is_not_there_is_refused(started: Run, tmp_path: Path) -> None:
    table = tmp_path / "visitors.csv"
    table.write_text(visitors(1))
    refused(started("assign", "unheard-of", str(table)), "unheard-of")
    refused(started("assign", KEY, str(table), "--out", "no/such/folder.csv"), "no/such/folder.csv")
    refused(started("assign", KEY, str(table), "--message-id", "a\nb"), "messageId")
    assert started("assign", KEY, "no-such-file").status == 2


def test_it_works_beside_a_server_that_sees_what_it_counts(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    installed.run_experiment(spring_mailing())
    server = ServerProcess(installed)
    try:
        key = installed.key("server")
        (tmp_path / "visitors.csv").write_text(visitors(1000))
        letters = {row["visitor"]: row for row in rows(installed.done("assign", KEY, "visitors.csv") + "\r\n")}
        asked = {"experiment": KEY, "visitors": [{"id": id, "attributes": {"womens": False}} for id in letters]}
        status, answer = server.ask("POST", "/v1/assignments", asked, key=key)
        assert status == 200
        assert {item["cause"] for item in answer["assignments"]} == {"sticky"}
        assert {item["id"]: item["arm"] for item in answer["assignments"]} == {
            id: row["arm"] for id, row in letters.items()
        }
        (tmp_path / "orders.csv").write_text("visitor,event\n" + "".join(f"{id},Order Completed\n" for id in letters))
        assert installed.done("record", "orders.csv").startswith("accepted 1000,")
        installed.check()
    finally:
        assert server.end() == 0


def test_one_that_was_killed_is_repeated_to_the_same_end(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    installed.run_experiment(spring_mailing())
    (tmp_path / "visitors.csv").write_text(visitors(6000))
    part, out = tmp_path / "letters.csv.part", tmp_path / "letters.csv"
    killed = installed.start("assign", KEY, "visitors.csv", "--out", "letters.csv")
    wait_until(lambda: part.exists() and part.stat().st_size > 0, what="letters are written")
    killed.kill()
    killed.wait()
    assert not out.exists()
    again = installed.command("assign", KEY, "visitors.csv", "--out", "letters.csv")
    assert again.returncode == 0
    assert "counted before" in again.stderr
    letters = rows(out.read_text())
    assert len(letters) == len({letter["visitor"] for letter in letters}) == 6000
    report = json.loads(installed.done("report", KEY, "--format", "json"))
    assert sum(row["exposures"] for row in report["totals"]) == 6000
    installed.check()


def test_whoever_watches_sees_how_far_it_has_come(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    installed.run_experiment(spring_mailing())
    (tmp_path / "visitors.csv").write_text(visitors(1000))
    line = [sys.executable, "-m", "service.cli", "assign", KEY, "visitors.csv", "--out", "letters.csv"]
    ours, theirs = os.openpty()
    with subprocess.Popen(line, env=installed.environ, cwd=tmp_path, stderr=theirs) as process:
        os.close(theirs)
        assert b"100%" in everything(ours)
    assert process.returncode == 0
    assert "%" not in installed.command(*line[3:]).stderr


def everything(terminal: int) -> bytes:
    """What is written to a terminal until nobody writes to it any more."""
    pieces = []
    with suppress(OSError):
        while piece := os.read(terminal, 1 << 16):
            pieces.append(piece)
    os.close(terminal)
    return b"".join(pieces)


_PEAK = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
    " print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def peak(installed: Installed, *arguments: str) -> int:
    """The largest memory of a command that ends well, in bytes."""
    line = [sys.executable, "-c", _PEAK, sys.executable, "-m", "service.cli", *arguments]
    done = subprocess.run(
        line, env=installed.environ, cwd=installed.folder, capture_output=True, text=True, check=True
    )
    return int(done.stdout.splitlines()[-1]) * 1024


def write_visitors(path: Path, number: int) -> None:
    with path.open("w") as file:
        file.write(f"{HEADER}\n")
        file.writelines(f"customer-{n},{n % 2},Ada {n}\n" for n in range(number))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_million_customers_need_no_more_memory_than_a_thousand(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    installed.run_experiment(spring_mailing())
    peaks = []
    for number in (1000, 1_000_000):
        write_visitors(tmp_path / "visitors.csv", number)
        peaks.append(peak(installed, "assign", KEY, "visitors.csv", "--out", "letters.csv"))
    assert peaks[1] < peaks[0] + 32 * 1024 * 1024
    with (tmp_path / "letters.csv").open() as letters:
        assert sum(1 for _ in letters) == 1_000_001
    # What is written is taken into the database by the way, not at the end.
    assert (tmp_path / "bespoke.db").stat().st_size < 1 << 30
    report = json.loads(installed.done("report", KEY, "--format", "json"))
    assert sum(row["visitors"] for row in report["totals"]) == 1_000_000
