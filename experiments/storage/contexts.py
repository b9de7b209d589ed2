"""Visitors by what is stored of their attributes."""

from collections.abc import Iterable
from itertools import chain
from typing import NamedTuple

from experiments.partitions import Span
from experiments.storage.connection import Connection


class ContextRow(NamedTuple):
    """Visitors who share context, segment, arm and epoch: how many, and the sums of their values and squared values.

    The visitors of an experiment fall into two halves, 0 and 1, by their stand-ins: evenly, for good, and whatever arm
    they have.
    """

    context: str
    segment: str
    arm: str
    epoch: int
    half: int
    n: int
    total: int
    total_squares: float


#: The context of a visitor of whom no attribute is stored.
NO_ATTRIBUTES = "{}"
#: What is in the upper half of the bytes is above this one.
_MIDDLE = b"\x7f"


def _by_context(context: str, *, among: str) -> str:
    return (
        "SELECT context, segment, arm, epoch, half, count(*), CAST(sum(value) AS BIGINT),"
        " sum(CAST(value AS DOUBLE PRECISION) * value)"
        f" FROM (SELECT {context} AS context, segment, arm, epoch,"
        " CASE WHEN substr(exposures.visitor, 16, 1) > ? THEN 1 ELSE 0 END AS half,"
        " CASE WHEN total > ? THEN ? ELSE coalesce(total, 0) END AS value"
        " FROM exposures LEFT JOIN totals ON totals.visitor = exposures.visitor"
        " AND totals.experiment = exposures.experiment AND metric = ?"
        " WHERE exposures.experiment = ? AND exposures.visitor >= ? AND exposures.visitor < ?"
        f" AND NOT asserted AND {among}) AS visitors"
        " GROUP BY context, segment, arm, epoch, half ORDER BY context, segment, arm, epoch, half"
    )


_CONTEXTS = _by_context("context", among="context IS NOT NULL")
_PAST_CONTEXTS = _by_context(f"coalesce(context, '{NO_ATTRIBUTES}')", among="exposures.at_ms < ?")


def summed(parts: Iterable[Iterable[ContextRow]]) -> list[ContextRow]:
    """The rows of several databases together, in the order that one has them in."""
    sums: dict[tuple[str, str, str, int, int], ContextRow] = {}
    for row in chain.from_iterable(parts):
        known = sums.get(row[:5])
        sums[row[:5]] = row._replace(
            n=known.n + row.n, total=known.total + row.total, total_squares=known.total_squares + row.total_squares
        ) if known else row
    return [row for _, row in sorted(sums.items())]


class Contexts:
    """Sums over the exposed, by context."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, span: Span, experiment: str, *, metric: str, most: int) -> list[ContextRow]:
        """The visitors of a span of whom a context is stored, by what they reached in a metric, `most` at the most.

        Those to whom another arm was shown than was drawn are left out.
        """
        rows = self._connection.execute(_CONTEXTS, (_MIDDLE, most, most, metric, experiment, *span))
        return [ContextRow(*row) for row in rows]

    def past(self, span: Span, experiment: str, *, metric: str, most: int, before_ms: int) -> list[ContextRow]:
        """The same of the visitors exposed before a time; those of whom no context is stored have an empty one."""
        values = (_MIDDLE, most, most, metric, experiment, *span, before_ms)
        return [ContextRow(*row) for row in self._connection.execute(_PAST_CONTEXTS, values)]

    def dated(self, span: Span, experiment: str) -> list[tuple[str, int, int]]:
        """How many visitors of a span have each context, by the UTC day of first exposure, in days since 1970."""
        rows = self._connection.execute(
            "SELECT context, at_ms / 86400000, count(*) FROM exposures"
            " WHERE experiment = ? AND visitor >= ? AND visitor < ? AND context IS NOT NULL"
            " GROUP BY context, at_ms / 86400000",
            (experiment, *span),
        )
        return [(context, int(day), int(n)) for context, day, n in rows]
