"""What a report's figures are figures of: the goal's unit, the unit of gains, and money. Pure."""

from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from experiments.metric_kinds import METRIC_KINDS
from experiments.metric_kinds import MetricKind
from service.wording import PLAIN
from service.wording import Unit
from service.wording import mean_and_difference
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
    unit = METRIC_KINDS[kind].unit
    mean, uplift = mean_and_difference(unit, money=money)
    gain = uplift if report["objective"] == "conversion" else money
    what = "conversions" if unit == "rate" else goal
    return Units(
        goal=goal,
        is_rate=unit == "rate",
        total=money if unit == "money" else PLAIN,
        rate=mean,
        uplift=uplift,
        gain=gain,
        amount=money._replace(decimals=0) if gain == money else Unit(after=f" {what}"),
        money=money,
    )


def _goal(report: Mapping[str, Any]) -> tuple[str, MetricKind]:
    """The goal's key and kind; a report that does not name it means its first metric, a conversion."""
    if "goal" in report:
        return report["goal"]["key"], report["goal"]["kind"]
    return next((key for row in report["arms"] for key in row["metrics"]), ""), "conversion"
