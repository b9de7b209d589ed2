"""Attempts to log in: after some failures each one more costs twice the time of the last, by e-mail and by address."""

from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

#: Failures before the first wait; many people may share an address.
_FREE = {"email": 10, "address": 50}
_LONGEST_WAIT_MS = 15 * 60_000
_FORGOTTEN_MS = 60 * 60_000
_MOST_TALLIES = 10_000


class _Tally(NamedTuple):
    """How many attempts have failed in a row, and when the last was."""

    failures: int = 0
    last_ms: int = 0


class Attempts:
    """The failures of the last hour, for all threads; of very many only those that came last."""

    def __init__(self) -> None:
        self._tallies: OrderedDict[tuple[str, str], _Tally] = OrderedDict()
        self._lock = Lock()

    def begin(self, *, email: str, address: str, now_ms: int) -> int:
        """The seconds to wait before an attempt; where there are none, it counts as failed until it succeeds.

        Counted beforehand, so that many at once are no way around the count.
        """
        keys = (("email", email), ("address", address))
        with self._lock:
            tallies = [self._tally(key, now_ms=now_ms) for key in keys]
            wait_ms = max(_wait_ms(key, tally, now_ms=now_ms) for key, tally in zip(keys, tallies, strict=True))
            for key, tally in zip(keys, tallies, strict=True):
                # Who waits is kept as well: else a flood of others would wash the wait away.
                self._keep(key, tally if wait_ms else _Tally(tally.failures + 1, now_ms))
        return -(-wait_ms // 1000)

    def succeed(self, *, email: str, address: str) -> None:
        """Take an attempt back; the e-mail begins anew, the address does not: it may be trying others."""
        with self._lock:
            self._tallies.pop(("email", email), None)
            key = ("address", address)
            if tally := self._tallies.get(key):
                self._keep(key, tally._replace(failures=tally.failures - 1))

    def _tally(self, key: tuple[str, str], *, now_ms: int) -> _Tally:
        tally = self._tallies.get(key, _Tally())
        return tally if now_ms - tally.last_ms < _FORGOTTEN_MS else _Tally()

    def _keep(self, key: tuple[str, str], tally: _Tally) -> None:
        self._tallies[key] = tally
        self._tallies.move_to_end(key)
        if len(self._tallies) > _MOST_TALLIES:
            self._tallies.popitem(last=False)


def _wait_ms(key: tuple[str, str], tally: _Tally, *, now_ms: int) -> int:
    beyond = tally.failures - _FREE[key[0]]
    # Doubled no further than it takes to reach the longest wait.
    wait_ms = 0 if beyond < 0 else min(1000 << min(beyond, 10), _LONGEST_WAIT_MS)
    return max(tally.last_ms + wait_ms - now_ms, 0)
