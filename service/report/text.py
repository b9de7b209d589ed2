"""The report for a terminal, at most 100 columns wide."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from service.report.table import report_csv
from service.report.verdict_view import Call
from service.report.view import Group
from service.report.view import Line
from service.report.view import ReportView
from service.report.view import report_view
from service.terminal import columns
from service.terminal import fitted
from service.terminal import paragraph
from service.wording import NOTHING

__all__ = ["report_csv", "report_text"]

#: Columns: heading and width; the first stands left, figures stand right.
_ARMS = (
    ("arm", 22), ("visitors", 9), ("conv.", 7), ("rate", 9), ("range", 17), ("gain", 9), ("best", 6), ("weight", 7),
)
_MONEY = (
    ("arm", 22), ("cost", 14), ("value", 16), ("profit/visitor", 15), ("ROI", 9), ("break-even", 12),
)
_MONEY_FIGURES = ("cost", "value", "profit_per_visitor", "roi", "break_even_visitors")
_TOTAL_HEADINGS = ("arm", "visitors", "total", "mean", "range", "gain", "best", "weight")


def report_text(report: Mapping[str, Any]) -> str:
    """The report (the JSON of `GET /v1/experiments/{key}/report`) as lines of plain text."""
    view = report_view(report, symbols=False)
    return "\n".join([*_top(view), *_segments(view), *_economics(view), *_bottom(view)]) + "\n"


def _top(view: ReportView) -> Iterator[str]:
    yield from paragraph(f"{view.name} [{view.state}]")
    yield ""
    yield from paragraph(view.headline)
    yield from paragraph(view.worth.sentence)
    for warning in view.warnings:
        yield from paragraph(f"! {warning}")


def _segments(view: ReportView) -> Iterator[str]:
    for group in view.groups:
        yield ""
        yield from _segment(view, group)


def _segment(view: ReportView, group: Group) -> Iterator[str]:
    yield from paragraph(": ".join([group.segment, *_call(group)]))
    if group.hidden:
        yield f"  {view.hidden_words} for each arm"
        return
    yield columns(_ARMS, _headings(_ARMS) if view.units.is_rate else _TOTAL_HEADINGS)
    for line in group.lines:
        yield _arm(view, line)


def _call(group: Group) -> Iterator[str]:
    if group.call is not None:
        of_visitors = f" ({group.call.share} of visitors)" if group.call.percent_of_visitors else ""
        yield f"{group.call.title.upper()}{of_visitors}"
        yield f"{group.call.action}{_gain(group.call)}"


def _gain(call: Call) -> str:
    return "" if call.gain == NOTHING else f" Gain {call.gain} ({call.interval})."


def _arm(view: ReportView, line: Line) -> str:
    if line.hidden:
        return f"{fitted(_marked(line), _ARMS[0][1])}  {view.hidden_words}"
    figures = (line.visitors, line.goal, line.rate, line.interval, line.over_mass, line.best, line.weight)
    return columns(_ARMS, (_marked(line), *figures))


def _marked(line: Line) -> str:
    """The arm that is called for has a star."""
    return f"{'*' if line.called else ' '} {line.arm}"


def _economics(view: ReportView) -> Iterator[str]:
    yield ""
    yield f"Money over all segments ({view.units.money.before.strip()})"
    yield columns(_MONEY, _headings(_MONEY))
    for line in view.totals:
        yield _money(view, line)


def _money(view: ReportView, line: Line) -> str:
    if line.hidden:
        return f"{fitted(f'  {line.arm}', _MONEY[0][1])}  {view.hidden_words}"
    figures = (line.money[name].replace(view.units.money.before, "") for name in _MONEY_FIGURES)
    return columns(_MONEY, (f"  {line.arm}", *figures))


def _bottom(view: ReportView) -> Iterator[str]:
    yield ""
    found = ", ".join(f"{check.name.lower()} {check.found}" for check in view.checks)
    yield from paragraph(f"Checks: {found}.")
    points = "; gain in percentage points over the one message" if view.units.is_rate else ""
    yield from paragraph(f"Ranges hold the truth with {view.certainty} certainty{points}. * is what to send.")
    yield f"As of {view.as_of}" + (f", epoch {view.epoch}" if view.epoch else "")


def _headings(columns: Sequence[tuple[str, int]]) -> list[str]:
    return [heading for heading, _ in columns]
