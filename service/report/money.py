"""The figures of money in a report: how each is written, for the page, the terminal and CSV alike. Pure."""

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from service.report.explanations import EXPLANATIONS
from service.report.units import Units
from service.wording import NOTHING
from service.wording import count
from service.wording import written

Writing = Callable[[float | None, Units], str]


class MoneyFigure(NamedTuple):
    """A figure, by its name in the report and among the explanations; `note` stands under it."""

    name: str
    writing: Writing
    heading: str
    is_explained: bool = True
    note: str = ""


def _money(amount: float | None, units: Units) -> str:
    return written(amount, units.money)


def _money_of_a_visitor(amount: float | None, units: Units) -> str:
    return written(amount, units.money, decimals=4)


def _times(figure: float | None, units: Units) -> str:
    """A return on investment as people say it: 3.2 times what was spent."""
    return NOTHING if figure is None else f"{figure:,.1f}x"


def _number(figure: float | None, units: Units) -> str:
    return count(figure)


def _explained(name: str, writing: Writing) -> MoneyFigure:
    return MoneyFigure(name, writing, EXPLANATIONS[name].term)


#: Of each arm in each segment and over all of them, and in CSV.
OF_SEGMENTS = (
    _explained("cost", _money),
    _explained("value", _money),
    _explained("profit_per_visitor", _money_of_a_visitor),
    _explained("roi", _times),
)
#: Of each arm over all segments alone.
OVER_SEGMENTS = (
    _explained("cost_per_conversion", _money),
    _explained("fixed_cost", _money),
    MoneyFigure("roi_after_fixed", _times, "ROI after fixed cost", is_explained=False),
    MoneyFigure("break_even_visitors", _number, "Breaks even at", note="visitors"),
)

#: What stands in a row that is hidden.
HIDDEN = {figure.name: NOTHING for figure in (*OF_SEGMENTS, *OVER_SEGMENTS)}


def money_of(row: Mapping[str, Any], units: Units) -> dict[str, str]:
    """The figures of a row as they are written, by name."""
    known = {**row, **row["economics"]}
    return {figure.name: figure.writing(known.get(figure.name), units) for figure in (*OF_SEGMENTS, *OVER_SEGMENTS)}
