"""The report in words and written figures, the same for the page and the terminal. Pure: Report JSON in, text out."""

from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from service.report.checks import Check
from service.report.checks import checks
from service.report.checks import warnings
from service.report.money import HIDDEN
from service.report.money import money_of
from service.report.units import Units
from service.report.units import units_of
from service.report.verdict_view import Call
from service.report.verdict_view import Worth
from service.report.verdict_view import calls
from service.report.verdict_view import projection
from service.report.verdict_view import worth
from service.wording import NOTHING
from service.wording import between
from service.wording import chance
from service.wording import count
from service.wording import decimals_for
from service.wording import moment
from service.wording import share
from service.wording import signed
from service.wording import written


@dataclass(frozen=True)
class Line:
    """One arm in one segment, or over all; a hidden line has no figures."""

    segment: str
    arm: str
    role: str
    hidden: bool
    called: bool
    weight: str
    money: Mapping[str, str]
    visitors: str = NOTHING
    goal: str = NOTHING
    rate: str = NOTHING
    interval: str = NOTHING
    over_mass: str = NOTHING
    over_mass_interval: str = NOTHING
    over_control: str = NOTHING
    over_control_interval: str = NOTHING
    best: str = NOTHING


@dataclass(frozen=True)
class Group:
    """The arms of one segment beside each other; `call` is None for segments outside the verdict."""

    segment: str
    call: Call | None
    lines: tuple[Line, ...]

    @property
    def hidden(self) -> bool:
        """Whether there is nothing to show at all."""
        return all(line.hidden for line in self.lines)


@dataclass(frozen=True)
class ReportView:
    """Everything a report shows."""

    key: str
    name: str
    state: str
    as_of: str
    epoch: int | None
    goal: str
    units: Units
    certainty: str
    hidden_words: str
    headline: str
    worth: Worth
    projection: str
    calls: tuple[Call, ...]
    groups: tuple[Group, ...]
    totals: tuple[Line, ...]
    naive: tuple[tuple[Line, Line], ...]
    warnings: tuple[str, ...]
    checks: tuple[Check, ...]
    method: tuple[tuple[str, str], ...]


def report_view(report: Mapping[str, Any], *, symbols: bool) -> ReportView:
    """The words of a report; money by its symbol or, where output must be ASCII, by its code."""
    units, called = units_of(report, symbols=symbols), tuple(calls(report, symbols=symbols))
    lines, naive = _lines(report["arms"], units, called), _lines(report["naive"], units, called)
    return ReportView(
        key=report["experiment"],
        name=report.get("name") or report["experiment"],
        state=report["state"],
        as_of=moment(report["as_of"]),
        epoch=report["epoch"],
        goal=units.goal,
        units=units,
        certainty=share(report["method"]["interval"]),
        hidden_words=f"hidden: fewer than {report['method'].get('min_cell', 10)} visitors",
        headline=report["verdict"]["headline"],
        worth=worth(report, symbols=symbols),
        projection=projection(report, symbols=symbols),
        calls=called,
        groups=tuple(_groups(lines, called)),
        totals=_lines(report["totals"], units, ()),
        naive=tuple(_differing(lines, naive)),
        warnings=tuple(warnings(report)),
        checks=tuple(checks(report)),
        method=tuple(_method(report["method"])),
    )


def _differing(lines: tuple[Line, ...], naive: tuple[Line, ...]) -> Iterator[tuple[Line, Line]]:
    """Each line beside the uncorrected one, where that is not written alike."""
    for line, plain in zip(lines, naive, strict=True):
        if (line.rate, line.interval) != (plain.rate, plain.interval):
            yield line, plain


def _groups(lines: tuple[Line, ...], called: tuple[Call, ...]) -> Iterator[Group]:
    call_by_segment = {call.segment: call for call in called}
    for segment, group in groupby(lines, key=lambda line: line.segment):
        yield Group(segment, call_by_segment.get(segment), tuple(group))


def _lines(rows: list[Mapping[str, Any]], units: Units, called: tuple[Call, ...]) -> tuple[Line, ...]:
    sent = {(call.segment, call.sent) for call in called}
    shown = [row["metrics"][units.goal] for row in rows if not row.get("suppressed")]
    rate_decimals = decimals_for(shown, units.rate)
    gain_decimals = decimals_for((metric["uplift_over_mass"] for metric in shown), units.uplift)
    return tuple(
        _line(row, units, called=(row["segment"], row["arm"]) in sent, decimals=(rate_decimals, gain_decimals))
        for row in rows
    )


def _line(row: Mapping[str, Any], units: Units, *, called: bool, decimals: tuple[int, int]) -> Line:
    is_hidden = bool(row.get("suppressed"))
    figures = {} if is_hidden else _figures(row, units, decimals=decimals)
    return Line(
        segment=row["segment"] or "", arm=row["arm"], role=row["role"], hidden=is_hidden,
        called=called, weight=share(row["weight"]), money=HIDDEN if is_hidden else money_of(row, units), **figures,
    )


def _figures(row: Mapping[str, Any], units: Units, *, decimals: tuple[int, int]) -> dict[str, str]:
    metric, (of_rate, of_gain) = row["metrics"][units.goal], decimals
    over_mass, over_control = metric["uplift_over_mass"], metric["uplift_over_control"]
    # Points are said once, at the head of the column.
    uplift = units.uplift._replace(after="")
    return {
        "visitors": count(row["visitors"]),
        "goal": written(metric["sum"], units.total),
        "rate": written(metric["mean"], units.rate, decimals=of_rate),
        "interval": between(metric, units.rate, decimals=of_rate),
        "over_mass": signed(_mean(over_mass), uplift, decimals=of_gain),
        "over_mass_interval": between(over_mass, uplift, decimals=of_gain),
        "over_control": signed(_mean(over_control), uplift, decimals=of_gain),
        "over_control_interval": between(over_control, uplift, decimals=of_gain),
        "best": chance(metric["probability_best"]),
    }


def _mean(uplift: Mapping[str, Any] | None) -> float | None:
    return None if uplift is None else uplift["mean"]


def _method(method: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in method.items():
        if isinstance(value, Mapping):
            yield name, ", ".join(f"{inner} {figure}" for inner, figure in value.items() if figure is not None)
        else:
            yield name.replace("_", " "), str(value)
