"""The figures of money in a report: each has its place on the page and in CSV, and rows are as wide as their heads."""

import re
from collections.abc import Iterator

import pytest
from flask import Flask

from experiments.report_shape import AfterFixedCost
from experiments.report_shape import Economics
from service.pages import bp
from service.pages import render_report
from service.report.money import OF_SEGMENTS
from service.report.money import OVER_SEGMENTS
from service.report.table import COLUMNS
from tests.service.reports import sample_report
from tests.service.reports import suppressed

#: Figures of a row that are told elsewhere: by the chart of reach, and beside the calls.
_ELSEWHERE = {"reach", "frequency", "break_even_probability"}


@pytest.fixture(autouse=True)
def context() -> Iterator[None]:
    """Templates need an application, and this much of one."""
    app = Flask("service")
    app.register_blueprint(bp)
    with app.app_context():
        yield


def test_every_figure_of_money_that_a_report_has_is_written() -> None:
    told = Economics.__annotations__.keys() | AfterFixedCost.__annotations__.keys()
    assert {figure.name for figure in (*OF_SEGMENTS, *OVER_SEGMENTS)} == told - _ELSEWHERE


def test_the_table_to_take_away_has_every_figure_of_segments() -> None:
    assert {figure.name for figure in OF_SEGMENTS} < set(COLUMNS)


def test_every_row_of_the_page_is_as_wide_as_the_head_of_its_table() -> None:
    report = sample_report()
    hidden = report["arms"][0]["segment"]
    report["arms"] = [suppressed(row) if row["segment"] == hidden else row for row in report["arms"]]
    report["arms"][-1], report["totals"][-1] = suppressed(report["arms"][-1]), suppressed(report["totals"][-1])
    report["naive"] = report["arms"]
    tables = re.findall(r"<table.*?</table>", render_report(report), re.DOTALL)
    widths = [[_width(row) for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)] for table in tables]
    assert len(tables) >= 3
    assert all(len(set(rows)) == 1 for rows in widths), widths


def _width(row: str) -> int:
    cells = re.findall(r"<t[hd]\b([^>]*)>", row)
    return sum(int(span[1]) if (span := re.search(r'colspan="(\d+)"', cell)) else 1 for cell in cells)
