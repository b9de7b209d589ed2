"""Recent traffic: what the newest visitors brought along, in memory alone, so that segments can be sized beforehand."""

from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import Any
from typing import NamedTuple

_MOST_ATTRIBUTES = 64
_LONGEST_TEXT = 100
_LONGEST_LIST = 20
_LARGEST_NUMBER = 2**53
#: What a context holds besides attributes.
_NOT_ATTRIBUTES = frozenset(("targetingKey", "consent", "token", "gpc", "Sec-GPC"))


class Context(NamedTuple):
    """The attributes that somebody was evaluated by, declared or not, and when (ms since 1970, UTC)."""

    at_ms: int
    attributes: Mapping[str, Any]


class RecentTraffic:
    """The newest contexts of one process, without whose they are; they are never written anywhere and end with it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._contexts: deque[Context] = deque(maxlen=size)
        # The second that it is, and how many more may be noted in it: more would push out what was just noted, and
        # cost every evaluation of a busy server what a decision costs.
        self._second = 0
        self._left = 0

    @property
    def is_on(self) -> bool:
        """Whether anything is remembered at all."""
        return self.size > 0

    def note(self, context: Mapping[str, Any], visitor: str, *, now_ms: int) -> None:
        """Remember the attributes of a visitor who consents to personalisation, in place of the oldest.

        In a second in which more come than can be remembered, the first of them are.

        Whatever says who it is stays out: the visitor's id, and every attribute that repeats it.
        """
        if self.room(now_ms) > 0:
            self._left -= 1
            self._contexts.append(Context(now_ms, {
                name: value for name, value in islice(context.items(), _MOST_ATTRIBUTES)
                if name not in _NOT_ATTRIBUTES and value != visitor and _is_small(value)
            }))

    def room(self, now_ms: int) -> int:
        """How many more may be noted in this second."""
        second = now_ms // 1000
        if second != self._second:
            self._second, self._left = second, self.size
        return self._left

    def contexts(self) -> list[Context]:
        """The contexts, the oldest first."""
        # A copy first: an iteration would be broken off by whoever is evaluated meanwhile.
        return list(self._contexts.copy())


def _is_small(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_TEXT
    if isinstance(value, list):
        return len(value) <= _LONGEST_LIST and not any(isinstance(item, list) or not _is_small(item) for item in value)
    return isinstance(value, (int, float)) and abs(value) <= _LARGEST_NUMBER
