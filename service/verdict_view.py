"""The verdict in words: what to do in each segment, and what the mix is worth against one message for all. Pure."""

from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.report_units import Units
from service.report_units import units_of
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
    share: str
    percent_of_visitors: float


@dataclass(frozen=True)
class Worth:
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
            share=share(segment["share_of_visitors"]),
            percent_of_visitors=round(100 * (segment["share_of_visitors"] or 0.0), 1),
        )


def worth(report: Mapping[str, Any], *, symbols: bool) -> Worth:
    """What the mix is worth against one message for all."""
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
    crowd = f"for every {CROWD:,} visitors"
    if units.gain == units.money:
        amount = written(abs(gain) * CROWD, units.money._replace(decimals=0))
    else:
        amount = f"{count(abs(gain) * CROWD)} {'conversions' if units.is_rate else units.goal}"
    more = "more" if gain > 0 else "less" if units.gain == units.money else "fewer"
    return f"Against one message for all, the mix brings about {amount} {more} {crowd}."


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
