"""The report in a terminal and in a spreadsheet."""

import csv
import unicodedata
from io import StringIO
from typing import Any

import pytest

from service.report.table import COLUMNS
from service.report.text import report_csv
from service.report.text import report_text
from tests.service.reports import HOSTILE
from tests.service.reports import hostile_report
from tests.service.reports import sample_report
from tests.service.reports import single_segment_report
from tests.service.reports import thin_report
from tests.service.reports import unprofitable_report

WIDE = "日本語のとても長いセグメント名 " * 6


def columns(line: str) -> int:
    """How many columns of a terminal a line takes."""
    marks = sum(unicodedata.combining(character) > 0 for character in line)
    return len(line) - marks + sum(unicodedata.east_asian_width(character) in "WF" for character in line)


def rows_of(report: dict[str, Any]) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(report_csv(report), newline="")))


def test_the_text_says_what_the_page_says() -> None:
    text = report_text(sample_report())
    assert text.startswith("Spring mailing: one letter for all, or one per taste? [running]\n\nTailor for womens-sh")
    assert "about 17 conversions more for every 10,000 visitors." in text
    assert "Checks: shares as planned p = 0.41, complete yes, intervals hold yes, matured 93%" in text
    assert text.endswith("As of 1 December 2026, 14:00 UTC, epoch 18\n")


def test_figures_stand_under_their_headings() -> None:
    lines = report_text(sample_report()).splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("womens-shoppers: TAILOR"))
    assert lines[start:start + 6] == [
        "womens-shoppers: TAILOR (41% of visitors): Send womens-letter instead of one-letter. Gain +0.41",
        "  points (0.07 to 0.75 points).",
        "arm                     visitors   conv.      rate             range      gain   best  weight",
        "  nothing                  1,204       7     0.66%     0.29 to 1.19%     -0.60      -     10%",
        "  one-letter               4,911      61     1.26%     0.97 to 1.59%         -    <1%      8%",
        "* womens-letter            5,310      88     1.68%     1.35 to 2.04%     +0.41   >99%     82%",
    ]


def test_money_is_written_by_its_code_and_stands_in_columns() -> None:
    lines = report_text(sample_report()).splitlines()
    start = lines.index("Money over all segments (EUR)")
    assert lines[start + 1:start + 4] == [
        "arm                              cost            value  profit/visitor       ROI   break-even",
        "  nothing                        0.00           680.00          0.2392         -            -",
        "  one-letter                   309.17         7,040.00          0.4419     21.8x            -",
    ]


def test_our_own_words_are_ascii() -> None:
    assert report_text(unprofitable_report()).isascii()


def test_thin_data_and_hidden_rows_are_said_to_be_so() -> None:
    text = report_text(thin_report())
    assert "Nothing can be said yet" in text
    assert text.count("hidden: fewer than 10 visitors") == 8
    assert "None" not in text and "nan" not in text


def test_one_hidden_row_stands_beside_the_others() -> None:
    report = sample_report()
    report["arms"][0] = thin_report()["arms"][0]
    assert f"{'  nothing':22}  hidden: fewer than 10 visitors\n" in report_text(report)


def test_warnings_stand_before_the_figures() -> None:
    report = sample_report()
    report["diagnostics"]["sample_ratio"] = {"p_value": 1e-9, "alarm": True}
    text = report_text(report)
    assert text.index("! Visitors did not arrive in the planned shares.") < text.index("womens-shoppers: TAILOR")
    assert "shares as planned p < 0.0001" in text


@pytest.mark.parametrize("name", [*HOSTILE, WIDE, "e\u0301" * 60, "\u200b" * 120])
def test_no_name_breaks_the_width_or_reaches_the_terminal_as_a_command(name: str) -> None:
    text = report_text(hostile_report(name))
    assert max(map(columns, text.splitlines())) <= 100
    assert all(character.isprintable() for line in text.splitlines() for character in line)


@pytest.mark.parametrize("name", ["plain", WIDE, "e\u0301" * 60])
def test_figures_stay_in_their_columns_whatever_the_names(name: str) -> None:
    lines = [line for line in report_text(hostile_report(name)).splitlines() if " 82%" in line or " 35%" in line]
    assert len(lines) == 2
    assert len({columns(line) for line in lines}) == 1


@pytest.mark.parametrize("make", [sample_report, thin_report, single_segment_report, unprofitable_report])
def test_the_table_has_a_row_for_each_row_and_metric(make: Any) -> None:
    report = make()
    rows = rows_of(report)
    assert len(rows) == len(report["arms"]) + len(report["totals"])
    assert tuple(rows[0]) == COLUMNS


def test_the_table_holds_the_reports_own_numbers() -> None:
    row = rows_of(sample_report())[2]
    assert (row["segment"], row["arm"], row["metric"]) == ("womens-shoppers", "womens-letter", "purchase")
    assert (float(row["mean"]), float(row["uplift_over_mass_low"])) == (0.016755, 0.0007)
    assert (row["visitors"], row["cost"], row["suppressed"]) == ("5310", "107.79", "false")


def test_hidden_figures_are_empty_cells_and_negative_numbers_stay_numbers() -> None:
    rows = rows_of(sample_report())
    assert rows[8]["suppressed"] == "true" and rows[8]["visitors"] == rows[8]["mean"] == ""
    assert float(rows[0]["uplift_over_mass"]) == -0.006


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\0"])
def test_no_text_is_a_formula(start: str) -> None:
    rows = rows_of(hostile_report(f"{start}1+1"))
    assert rows[0]["segment"] == f"'{start}1+1 womens-shoppers"
    assert rows[0]["arm"] == f"'{start}1+1 nothing"


def test_lines_quotes_and_commas_in_names_come_back_as_they_were() -> None:
    name = 'a "quoted", name\nof two lines'
    assert rows_of(hostile_report(name))[0]["segment"] == f"{name} womens-shoppers"
    assert report_csv(sample_report()).count("\r\n") == 15
