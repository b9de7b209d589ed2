"""Frequency in words: how often visitors were written to, and whether one more send is worth it. Pure."""

from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import dataclass

from experiments.frequency.doses import MOST
from experiments.frequency.sends import Dose
from experiments.frequency.sends import FrequencyReport
from experiments.frequency.sends import FrequencyRow
from experiments.frequency.sends import Raise
from experiments.frequency.sends import Verdict
from service.wording import NOTHING
from service.wording import Unit
from service.wording import between
from service.wording import count
from service.wording import decimals_for
from service.wording import mean_and_difference
from service.wording import money_in
from service.wording import signed
from service.wording import written

VERDICTS: Mapping[Verdict, str] = {
    "worth_it": "One more send is worth it",
    "not_worth_it": "One more send is not worth it",
    "not_known_yet": "Whether one more send is worth it is not known yet",
}


@dataclass(frozen=True)
class RaiseRow:
    """A cap raised, as written: for whom, from which to which, what it adds to the goal and to visitors' worth."""

    name: str
    step: str
    goal: str
    goal_interval: str
    worth: str
    worth_interval: str
    verdict: str


@dataclass(frozen=True)
class DoseCell:
    """How many were exposed so often, their mean of the goal, and the difference from those exposed once less."""

    visitors: str
    mean: str
    association: str
    interval: str


@dataclass(frozen=True)
class DoseRow:
    """The doses of an arm in a segment."""

    arm: str
    segment: str
    visitors: str
    frequency: str
    cells: tuple[DoseCell, ...]


@dataclass(frozen=True)
class FrequencyView:
    """What the page says; `plot` are the raises to be drawn: name, low, mean, high, in the unit of `worth`.

    Rows have a cell for each of the `headings`, numbers of exposures up to the most that anybody had.
    """

    headline: str
    scope: str
    goal: str
    worth: Unit
    raises: tuple[RaiseRow, ...]
    headings: tuple[str, ...]
    rows: tuple[DoseRow, ...]
    plot: tuple[tuple[str, float, float, float], ...]


def frequency_view(found: FrequencyReport, *, symbols: bool) -> FrequencyView:
    """The page; `symbols` as `money_in` takes it."""
    money = money_in(found.currency, symbols=symbols)
    mean, goal = mean_and_difference(found.unit, money=money)
    worth = money if found.worth_unit == "money" else goal
    met = max((dose.exposures for row in found.rows for dose in row.doses if dose.visitors != 0), default=1)
    headings = (*(f"{number}×" for number in range(1, MOST)), f"{MOST}× or more")
    return FrequencyView(
        headline=_headline(found),
        scope=_scope(found),
        goal=found.goal,
        worth=worth,
        raises=tuple(_raise_row(one, goal=goal, worth=worth) for one in found.raises),
        headings=headings[:met],
        rows=tuple(_dose_row(row, mean=mean, difference=goal, met=met) for row in found.rows),
        plot=tuple(_plotted(found, worth.scale)),
    )


def _headline(found: FrequencyReport) -> str:
    whole = [one for one in found.raises if one.arm is None]
    if not whole:
        return "How often visitors are written to"
    settled = [one for one in whole if one.verdict != "not_known_yet"]
    one = settled[-1] if settled else whole[-1]
    return f"{VERDICTS[one.verdict]}: {one.more} rather than {one.fewer}"


def _scope(found: FrequencyReport) -> str:
    if not found.caps:
        return "No cap is set: whoever is on a list is written to."
    caps = " or ".join(map(str, found.caps))
    drawn = ", drawn for each visitor" if len(found.caps) > 1 else ""
    return f"At most {caps} exposures in {found.per}{drawn}. Left out for a cap so far: {count(found.left_out)}."


def raise_name(one: Raise) -> str:
    """For whom a cap was raised."""
    return "All messages" if one.arm is None else f"{one.arm} in {one.segment}"


def _raise_row(one: Raise, *, goal: Unit, worth: Unit) -> RaiseRow:
    goal_digits, worth_digits = decimals_for([asdict(one.goal)], goal), decimals_for([asdict(one.worth)], worth)
    return RaiseRow(
        raise_name(one),
        f"{one.fewer} to {one.more}",
        signed(one.goal.mean, goal, decimals=goal_digits),
        between(asdict(one.goal), goal, decimals=goal_digits),
        signed(one.worth.mean, worth, decimals=worth_digits),
        between(asdict(one.worth), worth, decimals=worth_digits),
        VERDICTS[one.verdict].removeprefix("One more send is ").removeprefix("Whether one more send is worth it is "),
    )


def _dose_row(row: FrequencyRow, *, mean: Unit, difference: Unit, met: int) -> DoseRow:
    return DoseRow(
        row.arm,
        row.segment,
        count(row.visitors),
        NOTHING if row.frequency is None else f"{row.frequency:.2f}",
        tuple(_dose_cell(dose, mean=mean, difference=difference) for dose in row.doses[:met]),
    )


def _dose_cell(dose: Dose, *, mean: Unit, difference: Unit) -> DoseCell:
    span = None if dose.association is None else asdict(dose.association)
    digits = decimals_for([span], difference)
    return DoseCell(
        count(dose.visitors),
        written(dose.mean, mean, decimals=digits),
        NOTHING if span is None else signed(span["mean"], difference, decimals=digits),
        between(span, difference, decimals=digits),
    )


def _plotted(found: FrequencyReport, scale: float) -> Iterator[tuple[str, float, float, float]]:
    for one in found.raises:
        name = f"{raise_name(one)}, {one.fewer} to {one.more}"
        yield name, one.worth.low * scale, one.worth.mean * scale, one.worth.high * scale
