"""The tables of shards: in the control database where partitions are, in each shard who applies and how far."""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

from experiments.storage.cells import CellKey
from experiments.storage.connection import Connection
from experiments.storage.connection import Row
from experiments.storage.spool import Source
from experiments.storage.waiting import WaitingCounts


#: The name that a database has as a shard, among what it knows of itself.
THIS_SHARD = "shard"
#: The name of an installation's log, which others may have on the same servers.
THIS_LOG = "log"


class Position(NamedTuple):
    """A place in a stream of the log, which is another one once it was made anew."""

    stream: str
    sequence: int


class ShardRow(NamedTuple):
    """A shard: a database by its name."""

    name: str
    address: str


class Shards:
    """Where each partition is."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> list[ShardRow]:
        """Every shard, by name."""
        return [ShardRow(*row) for row in self._connection.execute("SELECT name, address FROM shards ORDER BY name")]

    def add(self, row: ShardRow) -> bool:
        """Keep a shard; False where the name is taken."""
        cursor = self._connection.execute(
            "INSERT INTO shards (name, address) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", row
        )
        return bool(cursor.rowcount)

    def readdress(self, row: ShardRow) -> None:
        """Say where a shard is now."""
        self._connection.execute("UPDATE shards SET address = ? WHERE name = ?", (row.address, row.name))

    def remove(self, name: str) -> None:
        """Name a shard no more."""
        self._connection.execute("DELETE FROM shards WHERE name = ?", (name,))

    def partitions(self) -> list[str]:
        """The shard of each partition, in order; none while events go through no log."""
        rows = self._connection.execute("SELECT shard FROM partitions ORDER BY partition")
        return [str(shard) for (shard,) in rows]

    def place(self, partition: int, shard: str) -> None:
        """Say where a partition is."""
        self._connection.execute(
            "INSERT INTO partitions (partition, shard) VALUES (?, ?)"
            " ON CONFLICT (partition) DO UPDATE SET shard = excluded.shard",
            (partition, shard),
        )

    def move(self, partition: int, *, source: str, target: str) -> bool:
        """Say that a partition is in another shard; False where it was not in the one that it is said to come from."""
        cursor = self._connection.execute(
            "UPDATE partitions SET shard = ? WHERE partition = ? AND shard = ?", (target, partition, source)
        )
        return bool(cursor.rowcount)


class Workers:
    """Who applies."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def stay(self, name: str, *, seconds: int, silent: Collection[str], silent_seconds: int) -> set[str]:
        """Say that a worker is there, for so long; who is.

        Those that are `silent` elsewhere are not, if they have not said so here for some seconds either.
        """
        listed = self._connection.among(silent)
        self._connection.execute(
            f"DELETE FROM workers WHERE until < now() OR (name {listed.condition}"
            " AND until < now() + make_interval(secs => ?))",
            (*listed.values, seconds - silent_seconds),
        )
        self._connection.execute(
            "INSERT INTO workers (name, until) VALUES (?, now() + make_interval(secs => ?))"
            " ON CONFLICT (name) DO UPDATE SET until = excluded.until",
            (name, seconds),
        )
        return {name for (name,) in self._connection.execute("SELECT name FROM workers")}

    def has_any(self) -> bool:
        """Whether there is one."""
        return self._connection.execute("SELECT 1 FROM workers LIMIT 1").fetchone() is not None

    def leave(self, name: str) -> None:
        """Say that a worker ends."""
        self._connection.execute("DELETE FROM workers WHERE name = ?", (name,))


class Positions:
    """Up to where each spool has been applied."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, partition: int) -> dict[str, int]:
        """By writer, in one partition."""
        rows = self._connection.execute("SELECT writer, number FROM positions WHERE partition = ?", (partition,))
        return dict(rows.fetchall())

    def kept(self, writers: Iterable[str]) -> dict[Source, int]:
        """Of some spools, in all partitions that are here: kept, once this transaction is, wherever it is kept.

        What a worker has committed is seen before a standby has it where the worker was cut off as it waited for that.
        Whoever writes something after it waits for all of it.
        """
        self._connection.execute("SELECT pg_logical_emit_message(TRUE, 'bespoke', '')")
        listed = self._connection.among(list(writers))
        rows = self._connection.execute(
            f"SELECT writer, partition, number FROM positions WHERE writer {listed.condition}", listed.values
        )
        return {Source(writer, partition): number for writer, partition, number in rows}

    def remove(self, writers: Collection[str]) -> None:
        """Forget how far some spools have been applied."""
        listed = self._connection.among(list(writers))
        self._connection.execute(f"DELETE FROM positions WHERE writer {listed.condition}", listed.values)

    def replace(self, partition: int, numbers: Mapping[str, int]) -> None:
        """Let these be all positions of a partition."""
        self._connection.execute("DELETE FROM positions WHERE partition = ?", (partition,))
        self.move(partition, numbers)

    def move(self, partition: int, numbers: Mapping[str, int]) -> None:
        """Say up to which number each spool has been applied."""
        self._connection.executemany(
            "INSERT INTO positions (partition, writer, number) VALUES (?, ?, ?)"
            " ON CONFLICT (partition, writer) DO UPDATE SET number = excluded.number",
            [(partition, writer, number) for writer, number in numbers.items()],
        )


class Watermarks:
    """How far sums have been collected from shards."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def keep_waiting(self, partition: int, counts: Mapping[str, WaitingCounts]) -> None:
        """Say how many outcomes of each experiment wait in a partition, and how many are orphans."""
        self._connection.execute("DELETE FROM collected_waiting WHERE partition = ?", (partition,))
        self._connection.executemany(
            "INSERT INTO collected_waiting (partition, experiment, waiting, orphans, next_ms) VALUES (?, ?, ?, ?, ?)",
            [(partition, experiment, *numbers) for experiment, numbers in counts.items()],
        )

    def due(self, *, now_ms: int) -> set[int]:
        """The partitions in which an outcome has become an orphan since it was said how many are."""
        rows = self._connection.execute("SELECT partition FROM collected_waiting WHERE next_ms <= ?", (now_ms,))
        return {partition for (partition,) in rows}

    def forget(self, partition: int) -> None:
        """Have a partition collected anew."""
        self._connection.execute("DELETE FROM collected_waiting WHERE partition = ?", (partition,))
        self._connection.execute("UPDATE watermarks SET applied = -1 WHERE partition = ?", (partition,))

    def oldest_ms(self) -> int | None:
        """The time before which everything received is counted; None where events go through no log."""
        row = self._connection.execute("SELECT min(at_ms) FROM watermarks").fetchone()
        return None if row[0] is None else int(row[0])

    def applied(self) -> dict[int, int]:
        """How often something had been applied to each partition when it was collected last."""
        return dict(self._connection.execute("SELECT partition, applied FROM watermarks").fetchall())

    def move(self, partition: int, *, at_ms: int, applied: int) -> bool:
        """Say how far a partition is collected; False where somebody has collected more.

        The time may go back: a spool that was given up may be there again, with what came before.
        """
        cursor = self._connection.execute(
            "INSERT INTO watermarks (partition, at_ms, applied) VALUES (?, ?, ?) ON CONFLICT (partition)"
            " DO UPDATE SET at_ms = excluded.at_ms, applied = excluded.applied"
            " WHERE watermarks.applied <= excluded.applied",
            (partition, at_ms, applied),
        )
        return bool(cursor.rowcount)


#: Sums of a partition stand in a lane of its own, which its only holder adds to; after those of writers.
_PARTITIONS = 10_001


def lane_of(partition: int) -> int:
    """The lane of a partition, the same in every database."""
    return _PARTITIONS + partition


_TABLES = {
    "cells": (
        "experiment, epoch, day, segment, arm, asserted, metric, context, n, sum, sum2,"
        " removed_n, removed_sum, removed_sum2"
    ),
    "lags": "experiment, metric, segment, day, bucket, n",
    "counters": "experiment, name, n",
}


class Sums:
    """The sums of whole partitions: each in a lane of its own, the same in every database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, partition: int) -> dict[str, list[Row]]:
        """The rows of a partition, by table."""
        lane = lane_of(partition)
        return {
            table: self._connection.execute(f"SELECT {names} FROM {table}_by_lane WHERE lane = ?", (lane,)).fetchall()
            for table, names in _TABLES.items()
        }

    def own(self, experiment: str, *, prefix: str = "") -> dict[CellKey, tuple[int, int, float]]:
        """The cells of an experiment that were counted in this database, or what was `removed_` of them."""
        rows = self._connection.execute(
            f"SELECT epoch, day, segment, arm, asserted, metric, context, sum({prefix}n)::bigint,"
            f" sum({prefix}sum)::bigint, sum({prefix}sum2) FROM cells_by_lane WHERE experiment = ?"
            " AND lane NOT IN (SELECT partition + ? FROM partitions"
            " WHERE shard NOT IN (SELECT value FROM meta WHERE name = ?))"
            " GROUP BY epoch, day, segment, arm, asserted, metric, context",
            (experiment, _PARTITIONS, THIS_SHARD),
        )
        return {
            CellKey(experiment, epoch, day, segment, arm, asserted, metric, context): (n, total, squares)
            for epoch, day, segment, arm, asserted, metric, context, n, total, squares in rows
        }

    def replace(self, partition: int, rows_by_table: Mapping[str, Sequence[Row]]) -> None:
        """Let a partition have these rows and no others."""
        lane = lane_of(partition)
        for table, names in _TABLES.items():
            places = ", ".join("?" * len(names.split(", ")))
            self._connection.execute(f"DELETE FROM {table}_by_lane WHERE lane = ?", (lane,))
            self._connection.executemany(
                f"INSERT INTO {table}_by_lane (lane, {names}) VALUES ({lane}, {places})", rows_by_table[table]
            )
