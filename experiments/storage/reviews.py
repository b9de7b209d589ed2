"""Rows of reviews: who looked last at a segment, and when somebody is to look again."""

from typing import NamedTuple

from experiments.storage.connection import Connection


class ReviewRow(NamedTuple):
    """The last review of a segment; `instead_of` is the day that the document had for the next one, if any."""

    experiment: str
    segment: str
    review_by: str
    instead_of: str | None
    actor: str
    at_ms: int


_COLUMNS = ", ".join(ReviewRow._fields)


class Reviews:
    """The last review of each segment."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, experiment: str) -> dict[str, ReviewRow]:
        """The last reviews of an experiment, by segment."""
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM reviews WHERE experiment = ?", (experiment,))
        return {row.segment: row for row in (ReviewRow(*values) for values in rows)}

    def keep(self, row: ReviewRow) -> None:
        """Keep a review in place of the one before."""
        self._connection.execute(
            f"INSERT INTO reviews ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (experiment, segment) DO UPDATE SET review_by = excluded.review_by,"
            " instead_of = excluded.instead_of, actor = excluded.actor, at_ms = excluded.at_ms",
            row,
        )
