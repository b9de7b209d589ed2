"""The verdict in words: what to do in each segment, and what the mix is worth against one message for all. Pure."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import NamedTuple

from service.report.units import Units
from service.report.units import units_of
from service.wording import NOTHING
from service.wording import POINTS
from service.wording import Unit
from service.wording import between
from service.wording import chance
from service.wording import count
from service.wording import decimals_for
from service.wording import share
from service.wording import signed
from service.wording import written

_INSIDE = (
    "Weights differ inside segments too, by what is known of visitors; the what-if tells what that is worth."
)

#: A gain per visitor is easier to picture for a crowd.
CROWD = 10_000

TITLES = {
    "tailor": "Tailor",
    "mass": "Send the one message",
    "keep_testing": "Keep testing",
    "none": "No message pays",
}


@dataclass(frozen=True)
class Call:
    """What to do in one segment; `sent` is the arm that the call sends, None while nothing is settled."""

    segment: str
    call: str
    title: str
    action: str
    sent: str | None
    gain: str
    interval: str
    chance: str
    break_even: str
    share: str
    percent_of_visitors: float


class Worth(NamedTuple):
    """What the mix gains per visitor: one figure, and the sentence that explains it."""

    figure: str
    sentence: str


def calls(report: Mapping[str, Any], *, symbols: bool) -> Iterator[Call]:
    """The verdict's segments in their order."""
    segments, unit = report["verdict"]["segments"], units_of(report, symbols=symbols).gain
    decimals = decimals_for((segment["gain"] for segment in segments), unit)
    for segment in segments:
        gain = segment["gain"]
        yield Call(
            segment=segment["segment"],
            call=segment["call"],
            title=TITLES[segment["call"]],
            action=_action(segment),
            sent=_sent(segment),
            gain=signed(gain and gain["mean"], unit, decimals=decimals),
            interval=between(gain, unit, decimals=decimals),
            chance=chance(segment["probability"]),
            break_even=_break_even(segment, report["totals"]),
            share=share(segment["share_of_visitors"]),
            percent_of_visitors=round(100 * (segment["share_of_visitors"] or 0.0), 1),
        )


def worth(report: Mapping[str, Any], *, symbols: bool) -> Worth:
    """What the mix is worth against one message for all."""
    found = _worth(report, symbols=symbols)
    if report["method"]["policy"]["kind"] != "contextual_thompson":
        return found
    return found._replace(sentence=f"{found.sentence} {_INSIDE}")


def _worth(report: Mapping[str, Any], *, symbols: bool) -> Worth:
    units = units_of(report, symbols=symbols)
    gain, certainty = report["verdict"]["tailoring"]["gain_per_visitor"], share(report["method"]["interval"])
    if gain is None:
        return Worth(NOTHING, _without_gain(report))
    unit = _spelt_out(units)
    decimals = decimals_for([gain], unit)
    figure, interval = signed(gain["mean"], unit, decimals=decimals), between(gain, unit, decimals=decimals)
    if gain["low"] > 0 or gain["high"] < 0:
        about = _settled(gain["mean"], units)
        return Worth(figure, f"{about} With {certainty} certainty the difference is {interval}.")
    return Worth(figure, f"Against one message for all this is not settled: {interval} fits what was seen.")


def _spelt_out(units: Units) -> Unit:
    """The unit of gains as a sentence wants it."""
    return units.gain._replace(after=" percentage points" if units.gain == POINTS else " per visitor")


def _without_gain(report: Mapping[str, Any]) -> str:
    if any(segment["share_of_visitors"] for segment in report["verdict"]["segments"]):
        return "No segment gains from a message of its own, so there is no mix to weigh against one message for all."
    return "Nothing can be said yet: too few visitors have seen a message."


def _settled(gain: float, units: Units) -> str:
    amount = written(abs(gain) * CROWD, units.amount)
    more = "more" if gain > 0 else "less" if units.gain == units.money else "fewer"
    return f"Against one message for all, the mix brings about {amount} {more} for every {CROWD:,} visitors."


def projection(report: Mapping[str, Any], *, symbols: bool) -> str:
    """What the mix would bring over the planned audience; nothing where no audience is planned, or nothing gained."""
    gain = report["verdict"]["tailoring"]["gain_over_audience"]
    if gain is None:
        return ""
    unit = units_of(report, symbols=symbols).amount
    decimals = max(0, decimals_for([gain], unit))
    audience, interval = count(report["audience"]), between(gain, unit, decimals=decimals)
    if not gain["low"] > 0:
        return f"Over the planned audience of {audience} visitors that would be anything from {interval}."
    return (
        f"If everybody in the planned audience of {audience} visitors got the best mix: "
        f"about {written(gain['mean'], unit, decimals=decimals)} more ({interval})."
    )


def _break_even(segment: Mapping[str, Any], totals: Sequence[Mapping[str, Any]]) -> str:
    """Where the segment's arm is dearer to make than the mass arm: the reach that repays it."""
    cost_by_arm = {row["arm"]: row["fixed_cost"] for row in totals}
    row = next((row for row in totals if row["arm"] == segment["arm"]), None)
    dear, cheap = cost_by_arm.get(segment["arm"]), cost_by_arm.get(segment["against"])
    if row is None or dear is None or cheap is None or dear <= cheap:
        return NOTHING
    visitors = row["break_even_visitors"]
    return "not so far" if visitors is None else f"at {count(visitors)} visitors"


def _sent(segment: Mapping[str, Any]) -> str | None:
    if segment["call"] == "mass":
        arm: str = segment["against"] or segment["arm"]
        return arm
    return segment["arm"] if segment["call"] == "tailor" else None


def _action(segment: Mapping[str, Any]) -> str:
    arm, against = segment["arm"], segment["against"]
    if segment["call"] == "none":
        return "Send nothing: no message earns what it costs."
    if against is None:
        return f"Send {arm}: no message is tailored to this segment."
    return {
        "tailor": f"Send {arm} instead of {against}.",
        "mass": f"Send {against}: {arm} does not beat it by enough to matter.",
        "keep_testing": f"{arm} against {against} is not settled yet.",
    }[segment["call"]]
