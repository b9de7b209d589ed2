"""What a report's figures are figures of: the goal's unit, the unit of gains, and money. Pure."""

from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from service.wording import PLAIN
from service.wording import POINTS
from service.wording import RATE
from service.wording import Unit
from service.wording import money_in


class Units(NamedTuple):
    """The goal, and how its total, its mean, differences of means, the verdict's gains and money are written.

    `amount` is what gains add up to over many visitors.
    """

    goal: str
    is_rate: bool
    total: Unit
    rate: Unit
    uplift: Unit
    gain: Unit
    amount: Unit
    money: Unit


def units_of(report: Mapping[str, Any], *, symbols: bool) -> Units:
    """The units of a report."""
    money, (goal, kind) = money_in(report["currency"], symbols=symbols), _goal(report)
    is_rate = kind in ("conversion", "retention")
    mean = RATE if is_rate else money if kind == "value" else PLAIN
    uplift = POINTS if is_rate else mean
    gain = uplift if report["objective"] == "conversion" else money
    return Units(
        goal=goal,
        is_rate=is_rate,
        total=money if kind == "value" else PLAIN,
        rate=mean,
        uplift=uplift,
        gain=gain,
        amount=money._replace(decimals=0) if gain == money else Unit(after=f" {'conversions' if is_rate else goal}"),
        money=money,
    )


def _goal(report: Mapping[str, Any]) -> tuple[str, str]:
    """The goal's key and kind; a report that does not name it means its first metric, a conversion."""
    if "goal" in report:
        return report["goal"]["key"], report["goal"]["kind"]
    return next((key for row in report["arms"] for key in row["metrics"]), ""), "conversion"
