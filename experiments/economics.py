"""What an experiment's figures are worth: cost of exposures, value of the goal, profit, break-even. Pure.

Money is `Decimal` in the experiment's currency, or, per visitor, whole profit units: ten-thousandths of a minor unit.
"""

import math
from decimal import ROUND_HALF_EVEN
from decimal import Decimal
from typing import NamedTuple

from experiments.currency import from_minor
from experiments.currency import minor_digits
from experiments.model import Arm
from experiments.model import Experiment

#: Profit units in one minor unit, so that an exposure may cost 0.000001 EUR and sums stay exact integers.
PROFIT_SCALE = 10_000


class ProfitRates(NamedTuple):
    """What one of the goal adds to a visitor's profit and one exposure takes from it, in profit units."""

    gain: int
    cost: int

    def units(self, goal_total: int, exposures: int) -> int:
        """The profit of a visitor, or of a group by its sums."""
        return self.gain * goal_total - self.cost * exposures


def exposure_cost(arm: Arm, exposures: int) -> Decimal:
    """What so many exposures of an arm cost together, each at the price of the tier it falls in; exact.

    A tier `from` 10,000 holds for every exposure after the first 10,000.
    """
    ends = [tier.start for tier in arm.tiers[1:]] + [exposures]
    in_tiers = (max(0, min(exposures, end) - tier.start) for tier, end in zip(arm.tiers, ends, strict=True))
    return sum((count * tier.cost for count, tier in zip(in_tiers, arm.tiers, strict=True)), Decimal(0))


def unit_cost(arm: Arm, audience: int | None) -> Decimal:
    """The cost of one exposure as one constant, so that a visitor's profit does not depend on who came before.

    With volume tiers and a planned audience the average over that audience, otherwise the first tier's cost.
    """
    if audience is None or len(arm.tiers) == 1:
        return arm.tiers[0].cost
    return exposure_cost(arm, audience) / audience


def total_value(experiment: Experiment, goal_total: int) -> Decimal | None:
    """The worth of a total of the goal (minor units of money, else a count); None where it has none."""
    if experiment.goal.unit == "money":
        return from_minor(goal_total, experiment.currency)
    return None if experiment.goal.value is None else experiment.goal.value * goal_total


def profit_rates(experiment: Experiment, arm: Arm) -> ProfitRates:
    """The two constants of a visitor's profit; a goal without `value` gains nothing."""
    cost = _in_profit_units(unit_cost(arm, experiment.audience), experiment.currency)
    if experiment.goal.unit == "money":
        return ProfitRates(PROFIT_SCALE, cost)
    return ProfitRates(_in_profit_units(experiment.goal.value or Decimal(0), experiment.currency), cost)


def profit_units(experiment: Experiment, arm: Arm, goal_total: int, exposures: int) -> int:
    """A visitor's profit in profit units: value of the goal's total less cost of the exposures.

    `goal_total` as the goal counts it: 0 or 1, a count, or capped minor units. Linear in both, so that the profit of
    any group of visitors is that of their sums.
    """
    return profit_rates(experiment, arm).units(goal_total, exposures)


def from_profit_units(units: int, currency: str) -> Decimal:
    """Profit units as money; exact to 28 digits, more than 64 bits hold."""
    return from_minor(units, currency) / PROFIT_SCALE


def profit_per_visitor(value: Decimal, cost: Decimal, visitors: int) -> float | None:
    """Value less cost of exposures, per visitor exposed; None without visitors."""
    return float((value - cost) / visitors) if visitors else None


def roi(value: Decimal, cost: Decimal) -> float | None:
    """Return on investment, (value - cost) / cost; None where nothing was spent."""
    return float((value - cost) / cost) if cost else None


def cost_per_conversion(cost: Decimal, conversions: int) -> float | None:
    """What one conversion cost; None before the first."""
    return float(cost / conversions) if conversions else None


def break_even_visitors(fixed_cost_difference: Decimal, gain_per_visitor: float) -> float | None:
    """How many visitors repay the larger fixed cost: difference / gain in profit per visitor.

    None where there is nothing to repay, or no gain (nan included) that could ever repay it.
    """
    if not gain_per_visitor > 0 or fixed_cost_difference <= 0:
        return None
    visitors = float(fixed_cost_difference) / gain_per_visitor
    return visitors if math.isfinite(visitors) else None


def _in_profit_units(amount: Decimal, currency: str) -> int:
    units = amount.scaleb(minor_digits(currency)) * PROFIT_SCALE
    return int(units.to_integral_value(ROUND_HALF_EVEN))
