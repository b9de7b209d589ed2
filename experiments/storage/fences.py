"""The fences of a shard: who may apply to its partitions, how far the log has been applied, and what is here."""

from typing import NamedTuple

from experiments.storage.connection import Connection
from experiments.storage.connection import Row
from experiments.storage.shards import Position
from experiments.storage.stopped import end_stopped


class Hold(NamedTuple):
    """A partition as whoever has taken it holds it: by an epoch, and from a position on."""

    partition: int
    epoch: int
    position: Position


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

    def take(self, partition: int, holder: str, *, seconds: int) -> Hold | None:
        """Take a partition that nobody holds; None where somebody does, or nobody may.

        Whoever stopped amid a transaction holds it until that is ended, and is not waited for.
        """
        row = self._connection.execute(
            "UPDATE fences SET epoch = epoch + 1, holder = ?, until = now() + make_interval(secs => ?)"
            " WHERE partition IN (SELECT partition FROM fences WHERE partition = ? AND is_open AND until <= now()"
            " FOR UPDATE SKIP LOCKED) RETURNING epoch, log, log_sequence",
            (holder, seconds, partition),
        ).fetchone()
        if row is None:
            end_stopped(self._connection)
            return None
        return Hold(partition, row[0], Position(row[1], row[2]))

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

    def here(self) -> list[int]:
        """The partitions of which the rows are here, in order."""
        rows = self._connection.execute("SELECT partition FROM fences WHERE is_here ORDER BY partition")
        return [int(partition) for (partition,) in rows]

    def empty(self, partition: int) -> None:
        """Say that the rows of a partition are no longer here."""
        self._connection.execute("UPDATE fences SET is_here = FALSE WHERE partition = ?", (partition,))

    def forget(self) -> None:
        """Know of no partition any more."""
        self._connection.execute("DELETE FROM fences", ())

    def leave(self, hold: Hold) -> None:
        """Let somebody else take it at once."""
        self._connection.execute(
            "UPDATE fences SET until = now() WHERE partition = ? AND epoch = ?", (hold.partition, hold.epoch)
        )

    def applied(self) -> dict[int, int]:
        """How often something has been applied to each partition that is open here."""
        rows = self._connection.execute("SELECT partition, applied FROM fences WHERE is_open")
        return dict(rows.fetchall())
