"""The fences of a shard: who may apply to its partitions, how far the log has been applied, and what is here."""

from collections.abc import Collection
from typing import NamedTuple

from experiments.storage.configuration import Meta
from experiments.storage.connection import Connection
from experiments.storage.connection import Row
from experiments.storage.shards import Position
from experiments.storage.stopped import end_stopped


class Hold(NamedTuple):
    """A partition as whoever has taken it holds it: by an epoch, and from a position on."""

    partition: int
    epoch: int
    position: Position


class Lease(NamedTuple):
    """A partition as somebody says that it is held."""

    partition: int
    epoch: int
    holder: str


class Fence(NamedTuple):
    """A partition as its shard has it: how often it was taken, and who holds it, if anybody does."""

    partition: int
    epoch: int
    holder: str
    is_held: bool


class Fences:
    """Who may apply to the partitions of this shard."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._meta = Meta(connection)

    def open(self, partition: int) -> None:
        """Let somebody take a partition, from now on or again."""
        self._connection.execute(
            "INSERT INTO fences (partition, epoch, holder, until) VALUES (?, 0, '', now())"
            " ON CONFLICT (partition) DO UPDATE SET is_open = TRUE, epoch = fences.epoch + 1, until = now()",
            (partition,),
        )

    def reopen(self, partition: int) -> None:
        """Let somebody take a partition again, where nobody may."""
        self._connection.execute(
            "UPDATE fences SET is_open = TRUE, epoch = epoch + 1, until = now() WHERE partition = ? AND NOT is_open",
            (partition,),
        )

    def close(self, partition: int) -> None:
        """Let nobody apply to a partition any more; whoever does now is waited for."""
        self._connection.execute(
            "UPDATE fences SET is_open = FALSE, epoch = epoch + 1 WHERE partition = ?", (partition,)
        )

    def take(
        self, partitions: Collection[int], holder: str, *, most: int, seconds: int, lost: Collection[Lease]
    ) -> list[Hold]:
        """Take some of these partitions that nobody holds, as many as are to be had; none that nobody may.

        The end of a lease that is `lost` is not waited for, where it is still held like that.
        Whoever stopped amid a transaction holds what it has until that is ended, and is not waited for.
        """
        free = (
            " FROM fences WHERE partition = ANY (?::int[]) AND is_open AND (until <= now()"
            " OR (partition, epoch, holder) IN (SELECT * FROM unnest(?::int[], ?::bigint[], ?::text[])))"
        )
        values = (list(partitions), *([list(column) for column in zip(*lost)] or ([], [], [])))
        rows = self._connection.execute(
            "UPDATE fences SET epoch = epoch + 1, holder = ?, until = now() + make_interval(secs => ?)"
            f" WHERE partition IN (SELECT partition{free} ORDER BY partition LIMIT ? FOR UPDATE SKIP LOCKED)"
            " RETURNING partition, epoch, log, log_sequence",
            (holder, seconds, *values, most),
        ).fetchall()
        if len(rows) < most and self._connection.execute(f"SELECT 1{free} LIMIT 1", values).fetchone():
            end_stopped(self._connection)
        return [Hold(partition, epoch, Position(*position)) for partition, epoch, *position in rows]

    def position(self, partition: int) -> Position:
        """Up to where the log has been applied."""
        row = self._connection.execute("SELECT log, log_sequence FROM fences WHERE partition = ?", (partition,))
        return Position(*row.fetchone())

    def keep(self, hold: Hold, *, seconds: int) -> bool:
        """Hold it on, by the same epoch, at its position; False where somebody else has taken it.

        What comes after in this transaction is done by its only holder.
        """
        cursor = self._connection.execute(
            "UPDATE fences SET until = now() + make_interval(secs => ?), log = ?, log_sequence = ?"
            " WHERE partition = ? AND epoch = ? AND is_open",
            (seconds, *hold.position, hold.partition, hold.epoch),
        )
        return bool(cursor.rowcount)

    def hold_on(self, holds: Collection[Hold], *, seconds: int) -> set[int]:
        """Hold some on, but for those that are being applied to; the partitions of those that somebody else has taken.

        What was left stays so.
        """
        held = "SELECT * FROM unnest(?::int[], ?::bigint[]) AS held (partition, epoch)"
        values = ([hold.partition for hold in holds], [hold.epoch for hold in holds])
        cursor = self._connection.execute(
            "UPDATE fences SET until = now() + make_interval(secs => ?) WHERE partition IN (SELECT partition"
            f" FROM fences WHERE (partition, epoch) IN ({held}) AND is_open AND holder <> '' FOR UPDATE SKIP LOCKED)",
            (seconds, *values),
        )
        if cursor.rowcount == len(holds):
            return set()
        rows = self._connection.execute(
            f"SELECT partition FROM fences JOIN ({held}) AS held USING (partition)"
            " WHERE fences.epoch <> held.epoch OR NOT is_open", values,
        )
        return {partition for (partition,) in rows}

    def all(self) -> list[Fence]:
        """The partitions that are open here."""
        rows = self._connection.execute(
            "SELECT partition, epoch, holder, until > now() FROM fences WHERE is_open ORDER BY partition"
        )
        return [Fence(*row) for row in rows]

    def row(self, partition: int) -> Row:
        """What has to go with a partition: how high the epoch is, how often something was applied, and the position."""
        row: Row = self._connection.execute(
            "SELECT epoch, applied, log, log_sequence FROM fences WHERE partition = ?", (partition,)
        ).fetchone()
        return row

    def take_over(self, partition: int, row: Row) -> None:
        """Let somebody take a partition that has come from another shard."""
        self._connection.execute(
            "INSERT INTO fences (partition, epoch, applied, log, log_sequence, holder, until)"
            " VALUES (?, ?, ?, ?, ?, '', now()) ON CONFLICT (partition) DO UPDATE SET is_open = TRUE, is_here = TRUE,"
            " epoch = greatest(fences.epoch, excluded.epoch) + 1, applied = excluded.applied,"
            " log = excluded.log, log_sequence = excluded.log_sequence, until = now()",
            (partition, *row),
        )
        self._meta.say_moved()

    def count(self, partition: int, *, seconds: int = 0) -> bool:
        """Say that sums have changed; False where nobody may change them here. A move waits for what follows.

        Its holder holds it on for so many seconds from now: what was done may have taken longer than the lease
        that was had at first, and nobody takes a partition meanwhile.
        """
        cursor = self._connection.execute(
            "UPDATE fences SET applied = applied + 1,"
            " until = greatest(until, clock_timestamp() + make_interval(secs => ?)) WHERE partition = ? AND is_open",
            (seconds, partition),
        )
        return bool(cursor.rowcount)

    def has(self, partition: int) -> bool:
        """Whether the rows of a partition are here."""
        row = self._connection.execute("SELECT 1 FROM fences WHERE partition = ? AND is_here", (partition,)).fetchone()
        return row is not None

    def here(self) -> dict[int, bool]:
        """The partitions whose rows are here, in order, and whether they are open."""
        rows = self._connection.execute("SELECT partition, is_open FROM fences WHERE is_here ORDER BY partition")
        return dict(rows.fetchall())

    def empty(self, partition: int) -> None:
        """Say that the rows of a partition are no longer here."""
        cursor = self._connection.execute(
            "UPDATE fences SET is_here = FALSE WHERE partition = ? AND is_here", (partition,)
        )
        if cursor.rowcount:
            self._meta.say_moved()

    def forget(self) -> None:
        """Know of no partition any more."""
        self._connection.execute("DELETE FROM fences", ())

    def leave(self, hold: Hold) -> None:
        """Let somebody else take it at once."""
        self._connection.execute(
            "UPDATE fences SET until = now(), holder = '' WHERE partition = ? AND epoch = ?",
            (hold.partition, hold.epoch),
        )

    def applied(self) -> dict[int, int]:
        """How often something has been applied to each partition that is open here."""
        rows = self._connection.execute("SELECT partition, applied FROM fences WHERE is_open")
        return dict(rows.fetchall())
