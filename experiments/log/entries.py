"""Entries of the log: what was admitted at the door, as a shard will apply it. No visitor's id is in them."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from experiments.admission import Admitted
from experiments.admission import Refusal
from experiments.admission import feed_of
from experiments.receipts import Receipt
from experiments.snapshot import Entry
from experiments.snapshot import Feed
from experiments.storage.events import EventKey
from experiments.storage.events import EventRow


class Refused(NamedTuple):
    """An event that is not stored, and is counted with these experiments unless it was stored before."""

    key: EventKey
    digest: bytes
    experiments: tuple[str, ...]
    code: str


class Written(msgspec.Struct, array_like=True, frozen=True):
    """What was admitted at once: the version of the configuration that it was read against, and in which order."""

    version: int
    rows: list[EventRow]
    refused: list[Refused]
    #: Where among all of them each of the refused comes.
    places: list[int]


_DECODER = msgspec.msgpack.Decoder(Written)


def written(read: Sequence[Admitted | Refusal], *, version: int) -> bytes:
    """The entry of what was admitted."""
    rows = [each.row for each in read if isinstance(each, Admitted)]
    refusals = [(place, each) for place, each in enumerate(read) if isinstance(each, Refusal)]
    refused = [Refused(each.key, each.digest, each.experiments, each.receipt.code or "") for _, each in refusals]
    return msgspec.msgpack.encode(Written(version, rows, refused, [place for place, _ in refusals]))


def admitted(entry: bytes, entries_at: Callable[[int], Mapping[str, Entry]]) -> list[Admitted | Refusal]:
    """What an entry says, with experiments at least as new as those that it was read against.

    :raises ValueError: if it is none, or one of a newer version of the program.
    """
    try:
        told = _DECODER.decode(entry)
    except msgspec.MsgspecError as error:
        raise ValueError(f"no entry: {error}") from error
    entries = entries_at(told.version)
    feeds = _Feeds(entries)
    read: list[Admitted | Refusal] = [Admitted(row, feeds[row.experiments, row.name, row.trusted]) for row in told.rows]
    for place, (key, digest, experiments, code) in zip(told.places, told.refused, strict=True):
        read.insert(place, Refusal(Receipt("rejected", code), key, digest, experiments))
    return read


class _Feeds(dict[tuple[tuple[str, ...], str, bool], tuple[Feed, ...]]):
    """What events feed, by experiments, name and sender, made once: most events of a batch are alike."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = entries

    def __missing__(self, key: tuple[tuple[str, ...], str, bool]) -> tuple[Feed, ...]:
        experiments, name, trusted = key
        if unknown := [each for each in experiments if each not in self._entries]:
            raise ValueError(f"no entry: of experiments that there are not, {', '.join(unknown)}")
        feeds = self[key] = tuple(feed_of(self._entries[each], name, trusted=trusted) for each in experiments)
        return feeds


def receipt_at_the_door(each: Admitted | Refusal) -> Receipt:
    """What is answered before a shard has seen the event: whether it repeats another one is not known yet."""
    if isinstance(each, Refusal):
        return each.receipt
    return Receipt("accepted", deduplicated=each.row.identified)
