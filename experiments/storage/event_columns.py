"""Events as a history is written of them: only those columns that it has, a page of the order of storing at a time."""

from collections.abc import Sequence

from experiments.storage.connection import Connection

#: An exposure: number, visitor, arm, segment, epoch, weight, when it was and was received, asserted, context.
ExposureEvent = tuple[int, bytes, str, str, int, int, int, int, bool, str | None]

#: An outcome: number, visitor, name, amounts as they are stored, when it was and was received, trusted.
OutcomeEvent = tuple[int, bytes, str, str | None, int, int, bool]

_OF_EXPERIMENT = " AND ' ' || experiments || ' ' LIKE ? ESCAPE '\\' ORDER BY seq"


class EventColumns:
    """The events of pages: the numbers after one, up to another."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def page(self, after: int, until: int, *, limit: int) -> list[tuple[int, int]]:
        """The events that come next after a number, at most until another: the number of each, and when it came.

        Those that were moved here may have numbers that others have: of the last number there are all.
        """
        [last] = self._connection.execute(
            "SELECT max(seq) FROM (SELECT seq FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?) AS next",
            (after, until, limit),
        ).fetchone()
        if last is None:
            return []
        return self._connection.execute(
            "SELECT seq, received_ms FROM events WHERE seq > ? AND seq <= ? ORDER BY seq", (after, last)
        ).fetchall()

    def exposures(self, after: int, until: int, *, experiment: str) -> list[ExposureEvent]:
        """The exposures of an experiment, in the order of storing."""
        return self._connection.execute(
            "SELECT seq, visitor, arm, segment, epoch, weight, at_ms, received_ms, asserted, context"
            f" FROM events WHERE kind = 'exposure' AND seq > ? AND seq <= ?{_OF_EXPERIMENT}",
            (after, until, _holding(experiment)),
        ).fetchall()

    def outcomes(self, after: int, until: int, *, experiment: str, names: Sequence[str]) -> list[OutcomeEvent]:
        """The outcomes of some names that an experiment may count, in the order of storing."""
        listed = self._connection.among(names)
        return self._connection.execute(
            "SELECT seq, visitor, name, amounts, at_ms, received_ms, trusted"
            f" FROM events WHERE kind = 'outcome' AND name {listed.condition} AND seq > ? AND seq <= ?{_OF_EXPERIMENT}",
            (*listed.values, after, until, _holding(experiment)),
        ).fetchall()


def _holding(experiment: str) -> str:
    """What a list of experiments is like that has this one; of what keys are made of, only `_` means something."""
    escaped = experiment.replace("_", "\\_")
    return f"% {escaped} %"
