"""The report as a table for spreadsheets: RFC 4180, and no cell that a spreadsheet would take for a formula."""

import csv
from collections.abc import Iterator
from collections.abc import Mapping
from io import StringIO
from typing import Any

from service.report.money import OF_SEGMENTS
from service.tables.cells import safe_cell

_OF_MONEY = tuple(figure.name for figure in OF_SEGMENTS)

COLUMNS = (
    "segment", "arm", "role", "visitors", "exposures", "weight", "metric", "sum", "mean", "low", "high",
    "probability_best", "expected_loss",
    "uplift_over_mass", "uplift_over_mass_low", "uplift_over_mass_high",
    "uplift_over_control", "uplift_over_control_low", "uplift_over_control_high",
    *_OF_MONEY, "suppressed",
)

_OF_ROW = ("segment", "arm", "role", "visitors", "exposures", "weight", "suppressed")
_OF_METRIC = ("sum", "mean", "low", "high", "probability_best", "expected_loss")


def report_csv(report: Mapping[str, Any]) -> str:
    """One row for each segment, arm and metric; the totals over all segments have no segment; no figure, no text."""
    out = StringIO()
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    for row in [*report["arms"], *report["totals"]]:
        writer.writerows({name: safe_cell(value) for name, value in cells.items()} for cells in _metric_rows(row))
    return out.getvalue()


def _metric_rows(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    shared = {name: row.get(name) for name in _OF_ROW} | {name: row["economics"][name] for name in _OF_MONEY}
    for key, metric in row["metrics"].items():
        figures = {name: metric[name] for name in _OF_METRIC}
        yield shared | {"metric": key} | figures | dict(_uplift_cells(metric))


def _uplift_cells(metric: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in ("uplift_over_mass", "uplift_over_control"):
        uplift = metric[name] or {"mean": None, "low": None, "high": None}
        yield name, uplift["mean"]
        yield f"{name}_low", uplift["low"]
        yield f"{name}_high", uplift["high"]
