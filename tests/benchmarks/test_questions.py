"""The benchmarks' own programs, at their smallest: that they measure, not how fast anything is."""

import re
import subprocess
import sys
from contextlib import ExitStack
from contextlib import contextmanager

import pytest

from benchmarks.__main__ import QUESTIONS
from benchmarks.__main__ import main
from benchmarks.growth import sizes
from benchmarks.page import PAGE
from benchmarks.peers import joined
from benchmarks.peers import process
from benchmarks.rounds import alternate
from tests.service.processes import REPOSITORY
from tests.service.processes import free_port

TIMEOUT_SECONDS = 200


def told(*arguments: str) -> str:
    """What the command prints."""
    line = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(
        line, cwd=REPOSITORY, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True
    ).stdout


def test_some_questions_are_answered_in_one_table_and_the_page_is_left_alone():
    before = PAGE.read_text()
    table = told("--trial", "decide", "serve")
    assert len([line for line in table.splitlines() if line.startswith("what ")]) == 1
    assert re.search(r"^decide, 5 segments +GrowthBook.* [\d,]+/s .*at least 10.00", table, re.M)
    assert re.search(r"^`bespoke serve` to the first answer .* s .*at most 1.50 s", table, re.M)
    assert PAGE.read_text() == before


@pytest.mark.long
def test_a_campaign_fills_and_its_report_is_asked_for():
    table = told("--trial", "visitors")
    assert re.search(r"^evaluate, one of 2,000 exposed +the same, one of 200 ", table, re.M)
    assert re.search(r"^report, page, 2,000 exposed .* ms ", table, re.M)
    assert "2,000: " in table


def test_a_question_that_there_is_not_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["speed"])
    assert ended.value.code == 2
    assert "'speed' is none of evaluate, decide" in capsys.readouterr().err


def test_the_page_names_every_question():
    text = PAGE.read_text()
    assert all(f"`{name}`" in text for name in QUESTIONS)


def test_contenders_take_turns_and_change_places():
    order = []
    works = {name: lambda number, name=name: order.append(name) or float(number) for name in ("ours", "theirs")}
    found = alternate("turns", works, 3)
    assert order == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert found["theirs"].values == (0.0, 1.0, 2.0)


def test_sizes_go_up_by_tens_to_the_last():
    assert sizes(1, 5_000) == [1, 10, 100, 1_000, 5_000]
    assert sizes(1_000, 10_000_000) == [1_000, 10_000, 100_000, 1_000_000, 10_000_000]


def test_a_peer_that_does_not_come_up_is_told_of_and_ends_nothing(tmp_path):
    @contextmanager
    def serving():
        port = free_port()
        with process([sys.executable, "-c", "raise SystemExit('no room')"], port, folder=tmp_path):
            yield port

    with ExitStack() as stack:
        peer = joined(stack, "a peer", serving)
    assert peer.port is None
    assert peer.against == "a peer: not available here (it does not come up: no room)"
