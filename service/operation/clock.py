"""Clocks: what the time is, in milliseconds since 1970, UTC."""

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Whatever knows the time."""

    def now_ms(self) -> int:
        """The time, in ms since 1970, UTC."""


@dataclass(frozen=True)
class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        """The time, in ms since 1970, UTC."""
        return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class AcceleratedClock:
    """A clock for demonstrations: at `origin_real_ms` it shows `origin_ms`, and runs `rate` times as fast.

    It holds plain numbers only, so that a process can hand it to another and both read the same time.
    """

    origin_real_ms: int
    origin_ms: int
    rate: float

    def now_ms(self) -> int:
        """The accelerated time, in ms since 1970, UTC."""
        return self.origin_ms + round((SystemClock().now_ms() - self.origin_real_ms) * self.rate)
