"""Ranges: partitions as people write them, 0-31,40. Pure."""

import re
from collections.abc import Iterable

from experiments.errors import InvalidShard
from experiments.errors import shown

_RANGE = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4}))?")


def written(partitions: Iterable[int]) -> str:
    """Partitions in as few ranges as there are."""
    ranges: list[list[int]] = []
    for number in sorted(partitions):
        if ranges and ranges[-1][-1] == number - 1:
            ranges[-1][1:] = [number]
        else:
            ranges.append([number])
    return ",".join("-".join(map(str, ends)) for ends in ranges)


def parse_partitions(text: str) -> list[int]:
    """The partitions that somebody has written, each once, in order.

    :raises InvalidShard: if these are none.
    """
    return sorted({number for part in text.split(",") for number in _range(part, text)})


def _range(part: str, text: str) -> range:
    match = _RANGE.fullmatch(part)
    if match and (found := range(int(match[1]), int(match[2] or match[1]) + 1)):
        return found
    raise InvalidShard(f"PARTITIONS: {shown(text)} must be numbers and ranges, the lower first, as in 7 or 0-31,40")
