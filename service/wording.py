"""Figures as people read them: percentages, percentage points, money, chances. Plain ASCII but for a money symbol."""

from collections.abc import Iterable
from collections.abc import Mapping
from datetime import datetime
from math import floor
from math import isfinite
from math import log10
from typing import Any
from typing import NamedTuple

from experiments.metric_kinds import MetricUnit

#: What stands where there is no figure.
NOTHING = "-"

_SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "INR": "₹"}


class Unit(NamedTuple):
    """How a figure is written: `before`, the figure times `scale` with at least `decimals`, `after`."""

    before: str = ""
    scale: float = 1.0
    after: str = ""
    decimals: int = 0


RATE = Unit(scale=100.0, after="%")
POINTS = Unit(scale=100.0, after=" points")
PLAIN = Unit()


def money_in(currency: str, *, symbols: bool) -> Unit:
    """Money by its symbol where it has a well-known one and `symbols` are wanted, else by its code."""
    symbol = _SYMBOLS.get(currency) if symbols else None
    return Unit(symbol or f"{currency} ", decimals=2)


def mean_and_difference(unit: MetricUnit, *, money: Unit) -> tuple[Unit, Unit]:
    """How means per visitor and differences of them are written, by what the metric's totals are."""
    return {"rate": (RATE, POINTS), "count": (PLAIN, PLAIN), "money": (money, money)}[unit]


def written(value: float | None, unit: Unit, *, decimals: int | None = None) -> str:
    """One figure."""
    if value is None or not isfinite(value):
        return NOTHING
    digits = unit.decimals if decimals is None else max(unit.decimals, decimals)
    text = f"{abs(value * unit.scale):,.{digits}f}"
    sign = "-" if value < 0 and text.strip("0.,") else ""
    return f"{sign}{unit.before}{text}{unit.after}"


def signed(value: float | None, unit: Unit, *, decimals: int | None = None) -> str:
    """One difference: a gain has its plus."""
    text = written(value, unit, decimals=decimals)
    return f"+{text}" if value is not None and value > 0 else text


def between(figures: Mapping[str, Any] | None, unit: Unit, *, decimals: int | None = None) -> str:
    """An interval, its unit once where it stands behind."""
    if figures is None or figures["low"] is None or figures["high"] is None:
        return NOTHING
    low = written(figures["low"], unit._replace(after=""), decimals=decimals)
    return f"{low} to {written(figures['high'], unit, decimals=decimals)}"


def decimals_for(intervals: Iterable[Mapping[str, Any] | None], unit: Unit) -> int:
    """How many decimals show the narrowest of the intervals to two figures: no more than is known."""
    widths = [
        (interval["high"] - interval["low"]) * unit.scale
        for interval in intervals
        if interval is not None and interval["low"] is not None
    ]
    narrowest = min((width for width in widths if width > 0), default=1.0)
    return min(6, max(0, 1 - floor(log10(narrowest))))


def count(value: int | float | None) -> str:
    """A number of things."""
    return NOTHING if value is None else f"{value:,.0f}"


def share(value: float | None) -> str:
    """A share of 1 as a whole percentage; what is there is never shown as 0%."""
    if value is None:
        return NOTHING
    return "<1%" if 0 < value < 0.005 else f"{value:.0%}"


def chance(value: float | None) -> str:
    """A probability, never shown as certainty."""
    if value is None:
        return NOTHING
    return "<1%" if value < 0.01 else ">99%" if value > 0.99 else f"{value:.0%}"


def moment(at: str) -> str:
    """A time of the report (ISO 8601, UTC) in words."""
    time = datetime.fromisoformat(at)
    return f"{time.day} {time:%B %Y, %H:%M} UTC"
