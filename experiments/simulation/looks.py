"""Looks: what a report would call at one midnight after another; by conversions many of them at once. Pure."""

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.contests import Contest
from experiments.contests import Conversions
from experiments.contests import by_conversions
from experiments.contests import calls
from experiments.contests import joined
from experiments.contests import may_be_called
from experiments.report_shape import Call

#: Looks that are computed at once: enough to pay for the arrays, few enough that little is done in vain.
LOOKS = 10


class Seen(NamedTuple):
    """What calls rest on at the end of a day: the contests of arms, or the conversions that decide them.

    Attributes:
        places: segment and arm of every contest.
        barren: the segments in which no message earns more than nothing.
    """

    day: int
    places: Sequence[tuple[str, str]]
    found: Conversions | Sequence[Contest]
    barren: frozenset[str] = frozenset()


class Look(NamedTuple):
    """What is called at the end of a day, of tailored arms in segments; and in which segments nothing pays."""

    day: int
    calls: Mapping[tuple[str, str], Call]
    barren: frozenset[str]


def looks(seen: Sequence[Seen], *, waiting: Collection[str]) -> list[Look]:
    """What is called each time; of the waiting segments at least, others may be said to be tested still."""
    contests = _contests([one.found for one in seen], seen[0].places, waiting)
    return [
        Look(one.day, calls(found) if found else dict.fromkeys(one.places, "keep_testing"), one.barren)
        for one, found in zip(seen, contests, strict=True)
    ]


def _contests(
    found: Sequence[Conversions | Sequence[Contest]], places: Sequence[tuple[str, str]], waiting: Collection[str]
) -> list[Sequence[Contest]]:
    """The contests of each look; none where it is certain that none is called."""
    by_look = [one for one in found if isinstance(one, Conversions)]
    if not by_look:
        return [one for one in found if not isinstance(one, Conversions)]
    asked = np.array([segment in waiting for segment, _ in places], np.bool_)
    together = joined(by_look)
    may_be = np.any(may_be_called(together).reshape(len(by_look), len(places)) & asked, axis=1)
    told = by_conversions([*places] * int(may_be.sum()), together.at(np.repeat(may_be, len(places))))
    of_look = iter(told[first : first + len(places)] for first in range(0, len(told), max(len(places), 1)))
    return [next(of_look) if told_now else [] for told_now in list(may_be)]
