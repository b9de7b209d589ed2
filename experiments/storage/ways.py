"""By which way what is counted has come: written by a node itself, or applied by a worker from the log."""

from typing import NamedTuple

from experiments.storage.connection import Connection
from experiments.storage.shards import THIS_SHARD
from experiments.storage.shards import lane_of


class WayRow(NamedTuple):
    """Visitors and the sum of a metric in an arm, as far as they came by the log or not."""

    arm: str
    is_logged: bool
    n: int
    total: int


class Ways:
    """The cells of a database by the way of what they count; those that were collected from elsewhere left out."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, experiment: str, metric: str) -> list[WayRow]:
        """One metric of an experiment; what erased visitors had is in it."""
        rows = self._connection.execute(
            "SELECT arm, lane >= ?, sum(n)::bigint, sum(sum)::bigint"
            " FROM cells_by_lane LEFT JOIN partitions ON lane = partition + ?"
            " WHERE (shard IS NULL OR shard IN (SELECT value FROM meta WHERE name = ?))"
            " AND experiment = ? AND metric = ? GROUP BY 1, 2",
            (lane_of(0), lane_of(0), THIS_SHARD, experiment, metric),
        )
        return [WayRow(*row) for row in rows]
