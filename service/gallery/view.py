"""The gallery in words: a card for each campaign. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from experiments.model import Arm
from service.gallery.entries import Entry
from service.setup.wording import SEGMENT_KINDS

_ENDS = {
    "tailor": "the tailored message pays", "mass": "the one message does as well or better",
    "none": "no message earns what it costs",
}


class MessageLine(NamedTuple):
    """One of a campaign's messages: for whom it is, and how it begins."""

    audience: str
    opening: str


class Card(NamedTuple):
    """A ready campaign; `ends` says of each segment what is true."""

    name: str
    kind: str
    title: str
    story: str
    known_case: str
    source: str
    messages: list[MessageLine]
    ends: list[tuple[str, str]]


def cards(entries: Iterable[Entry]) -> list[Card]:
    """A card for each campaign, by the kinds of segments in the order of the form."""
    known = list(entries)
    return [_card(entry, words) for kind, words in SEGMENT_KINDS for entry in known if entry.kind == kind]


def _card(entry: Entry, kind: str) -> Card:
    experiment, truth = entry.experiment, entry.truth
    names = {segment.key: segment.name or segment.key for segment in experiment.segments}
    return Card(
        entry.name,
        kind,
        experiment.name,
        entry.story,
        entry.known_case,
        entry.source,
        [MessageLine(_audience(arm, names), _opening(arm)) for arm in experiment.arms if arm.role != "control"],
        [(names[segment], " or ".join(_ENDS[call] for call in truth.right(segment))) for segment in truth.tailored],
    )


def _audience(arm: Arm, names: dict[str, str]) -> str:
    return ", ".join(names[segment] for segment in arm.segments) if arm.role == "tailored" else "Everybody"


def _opening(arm: Arm) -> str:
    """The first field of a message is what is read first."""
    return str(next(iter((arm.message or {}).values()), ""))
