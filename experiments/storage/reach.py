"""Whether a database's server can be reached, as whoever looks again and again has found last.

Nobody else waits for a server that is away: who asks is told at once, and may do without.
"""

from time import monotonic

from experiments.errors import StorageUnreachable
from experiments.storage.location import Server

#: A server that says nothing for longer is as good as away, though no connection has ended.
_SILENCE_SECONDS = 5.0


class Reach:
    """Of one server. While nobody looks, it counts as reached."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._is_lost = False
        self._heard: float | None = None

    def find(self) -> bool:
        """Say that it has answered; whether it was lost before."""
        was_lost, self._is_lost, self._heard = self.is_lost(), False, monotonic()
        return was_lost

    def lose(self) -> None:
        """Say that it cannot be reached."""
        self._is_lost = True

    def is_lost(self) -> bool:
        """Whether it is away, for all that is known."""
        return self._is_lost or (self._heard is not None and monotonic() - self._heard > _SILENCE_SECONDS)

    def check(self) -> None:
        """Let whoever needs it now do without where it is away.

        :raises StorageUnreachable: if it is.
        """
        if self.is_lost():
            raise StorageUnreachable(f"{self._server} did not answer a moment ago: it is tried again all the time")
