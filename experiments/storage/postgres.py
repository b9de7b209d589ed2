"""PostgreSQL: connections as the tables see them, and PostgreSQL's faults by our names."""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from experiments.errors import StorageBusy
from experiments.errors import StorageError
from experiments.errors import StorageFull
from experiments.errors import StorageUnreachable
from experiments.storage.bursts import Bursts
from experiments.storage.connection import Found
from experiments.storage.connection import Listed
from experiments.storage.connection import Row
from experiments.storage.connection import Sums
from experiments.storage.connection import Values
from experiments.storage.location import Server
from experiments.storage.schema import pending
from experiments.storage.shards import lane_of
from experiments.storage.statements import asking
from experiments.storage.statements import inserting
from experiments.storage.statements import native

Raw = psycopg.Connection[Any]

#: Locks of whole numbers: a lane is the pair of this one and its own, so that it is no visitor's, which have one alone.
_LANES = 1
_MOST_LANES = 10_000

_STREAMED = 5000

#: What holds where the address says nothing else: a server that is gone is noticed within seconds.
_CONNECTING = {
    "application_name": "bespoke", "connect_timeout": 5,
    "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000,
}
#: A standby does not know of every exposure yet.
_PRIMARY = {"target_session_attrs": "read-write"}
#: A commit is on disk before it is answered, and on that of a synchronous standby, whatever the database was told.
_SETTINGS = (
    "SET lock_timeout = '10s'; SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')"
)
_FACTS = ["fsync", "full_page_writes", "synchronous_commit", "synchronous_standby_names"]
#: A node that is stopped while it writes, or cut off, holds up nobody for longer; whoever reads holds up nobody at all.
_WRITING = "SET LOCAL idle_in_transaction_session_timeout = '10s'"
_SUMS = ("cells", "lags", "counters")

#: The server ends, starts, has become a standby, has no room for one more, or has given a stopped node up.
_LOSSES = (
    errors.AdminShutdown, errors.CannotConnectNow, errors.CrashShutdown, errors.IdleInTransactionSessionTimeout,
    errors.ReadOnlySqlTransaction, errors.TooManyConnections,
)


def arguments(server: Server) -> dict[str, Any]:
    """What every connection is opened with."""
    given = conninfo_to_dict(server.url)
    return {**_CONNECTING, **given, **_PRIMARY, "autocommit": True, "cursor_factory": psycopg.RawCursor}


def prepare(raw: Raw) -> None:
    """Set what every connection must have."""
    raw.execute(_SETTINGS)


def connect(server: Server, *, partition: int | None = None) -> "SharedConnection":
    """A connection of one's own; that of who holds a partition adds to the partition's lane."""
    raw: Raw = psycopg.connect(**arguments(server))
    prepare(raw)
    return SharedConnection(raw, lane=None if partition is None else lane_of(partition))


@contextmanager
def translated(server: Server) -> Iterator[None]:
    """Raise PostgreSQL's faults as ours, saying which database and what helps."""
    try:
        yield
    except (psycopg.Error, psycopg.Warning) as error:
        raise storage_error(server, error) from error


def storage_error(server: Server, error: Exception) -> StorageError:
    """A fault of PostgreSQL as ours."""
    line = " ".join(str(error).split())
    if isinstance(error, errors.DiskFull):
        return StorageFull(f"no space is left for {server}")
    if isinstance(error, (errors.LockNotAvailable, errors.OutOfMemory, psycopg.errors.TransactionRollback)):
        return StorageBusy(f"{server} is held up by others; try again")
    if is_loss(error):
        return StorageUnreachable(f"{server} cannot be reached ({line}): check its address, and whether it runs")
    return StorageError(f"{server}: {line}")


def is_loss(error: Exception) -> bool:
    """Whether a connection is lost, or cannot be had; another one may do better."""
    if isinstance(error, _LOSSES):
        return True
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) and error.sqlstate is None


def may_go_better(error: Exception) -> bool:
    """Whether the same transaction may come through when it is begun again: nothing of it was kept."""
    passing = (errors.SerializationFailure, errors.DeadlockDetected, errors.OutOfMemory)
    return isinstance(error, passing) or is_loss(error)


class SharedConnection:
    """A connection to a database that many write to at once."""

    def __init__(self, raw: Raw, *, lane: int | None = None) -> None:
        self.raw = raw
        self._types: dict[tuple[str, str], str] = {}
        self._lane = lane
        self._is_alone = False
        self._bursts: Bursts | None = None

    def begin(self, *, alone: bool) -> None:
        """Begin to write: `alone`, once all others are done, or beside those who write of other visitors."""
        self._is_alone = alone
        if alone:
            self.raw.execute(f"BEGIN; {_WRITING}; LOCK TABLE writing IN EXCLUSIVE MODE")
        else:
            self._bursts = Bursts(self.raw)
            for statement in ("BEGIN", _WRITING, "LOCK TABLE writing IN SHARE MODE"):
                self._bursts.add(statement)

    def settle(self) -> None:
        """Have everything done but the commit; after this a fault leaves in doubt whether that was."""
        if self._bursts:
            self._bursts.send()
        self._bursts = None

    def commit(self) -> None:
        """Commit.

        :raises psycopg.Error: if it is not known whether that was done, which a warning alone may say.
        """
        warnings: list[str] = []

        def hear(notice: errors.Diagnostic) -> None:
            if notice.severity_nonlocalized == "WARNING":
                warnings.append(str(notice.message_primary))

        self.raw.add_notice_handler(hear)
        try:
            done = self.raw.execute("COMMIT").statusmessage
        finally:
            self.raw.remove_notice_handler(hear)
        if warnings or done != "COMMIT":
            raise psycopg.OperationalError(*warnings or (f"{done} for COMMIT",))

    def rollback(self) -> None:
        """End a transaction without keeping anything of it; one whose connection is lost has ended."""
        self._bursts = None
        if not self.is_lost():
            self.raw.execute("ROLLBACK")

    def is_lost(self) -> bool:
        """Whether nothing more can be done with it."""
        return self.raw.closed

    def execute(self, statement: str, values: Values = (), /) -> Found:
        """Run a statement."""
        text, names = native(statement)
        return self._run(text, _in_order(values, names) or None)

    def _run(self, text: str, values: Sequence[Any] | None = None, *, is_many: bool = False) -> Found:
        bursts = self._bursts or Bursts(self.raw)
        statement = bursts.add(text, values, is_many=is_many)
        if not self._bursts:
            bursts.send()
        return statement

    def executemany(self, statement: str, rows: Iterable[Values], /) -> Found:
        """Run a statement on each of the rows, at once where it inserts them."""
        given = [tuple(row) for row in rows]
        if not given:
            return self.raw.cursor()
        at_once = inserting(statement, self._type)
        if at_once is None:
            return self._run(native(statement).text, given, is_many=True)
        columns = zip(at_once.types, zip(*given, strict=True), strict=True)
        return self._run(at_once.text, [_array(values, type_name) for type_name, values in columns])

    def stream(self, statement: str, /) -> Iterator[Any]:
        """The rows of a statement that finds many, never all of them in memory."""
        with self.raw.cursor(name="stream") as cursor:
            cursor.itersize = _STREAMED
            cursor.execute(statement)
            yield from cursor

    def of_each(self, visitors: Collection[bytes], question: str, values: Sequence[Any] = (), /) -> list[Any]:
        """The rows of a question about each of these visitors; it ends with the visitor's place."""
        return self._asked(question, values, [list(visitors)])

    def of_events(self, keys: Collection[tuple[bytes, bytes]], question: str, /) -> list[Any]:
        """The rows of a question about each of these events; it ends with the places of visitor and id."""
        return self._asked(question, (), [list(column) for column in zip(*keys, strict=True)])

    def _asked(self, question: str, values: Sequence[Any], columns: list[list[bytes]]) -> list[Any]:
        if not columns or not columns[0]:
            return []
        asked = asking(question, values=len(values), columns=len(columns))
        return self._run(asked, (*values, *columns)).fetchall()

    def among(self, values: Collection[object]) -> Listed:
        """The condition that a column has one of these values."""
        return Listed("= ANY (?)", (list(values),))

    def adding(self, sums: Sums) -> str:
        """The statement that adds to a row of sums in the lane of this connection, or makes it."""
        table, names = f"{sums.table}_by_lane", (*sums.keys, *sums.sums)
        added = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in sums.sums)
        return (
            f"INSERT INTO {table} (lane, {', '.join(names)}) VALUES ({self._own_lane()}, {', '.join('?' * len(names))})"
            f" ON CONFLICT (lane, {', '.join(sums.keys)}) DO UPDATE SET {added}"
        )

    def filling(self, table: str, columns: Sequence[str]) -> str:
        """The statement that puts a row into a table as it was in another database; sums into a lane of nobody."""
        places = ", ".join("?" * len(columns))
        if table in _SUMS:
            return f"INSERT INTO {table}_by_lane (lane, {', '.join(columns)}) VALUES (0, {places})"
        return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"

    def number_on(self) -> None:
        """Give the next event a number after those of all events."""
        self.raw.execute(
            "SELECT setval(pg_get_serial_sequence('events', 'seq'), coalesce(max(seq), 0) + 1, false) FROM events"
        )

    def insert_events(self, statement: str, rows: Sequence[Row]) -> dict[tuple[bytes, bytes], int]:
        """Insert those events that are not there; their numbers, by visitor and id."""
        if not rows:
            return {}
        found = self.executemany(f"{statement} RETURNING visitor, id, seq", rows)
        return {(visitor, id): number for visitor, id, number in found}

    def hold(self, visitors: Iterable[bytes]) -> None:
        """Keep others from changing what is known of these visitors, until the transaction ends.

        In one order for everybody, so that nobody waits for somebody who waits.
        """
        if self._is_alone:
            return
        turns = sorted({int.from_bytes(visitor[:8], "big", signed=True) for visitor in visitors})
        self._run("SELECT FROM unnest($1::bigint[]) AS turn WHERE pg_advisory_xact_lock(turn) IS NULL", (turns,))

    def facts(self) -> Mapping[str, str]:
        """How this session and its server are set, and how many standbys follow."""
        rows = self.raw.execute("SELECT name, setting FROM pg_settings WHERE name = ANY ($1)", (_FACTS,))
        followers = self.raw.execute("SELECT count(*) FROM pg_stat_replication").fetchone()
        assert followers is not None, "a count has a row"
        return {"kind": "postgresql", **dict(rows.fetchall()), "followers": str(followers[0])}

    def faults(self) -> Iterator[str]:
        """Nothing: PostgreSQL looks after its files itself."""
        return iter(())

    def pending(self) -> list[str]:
        """The steps of the schema that have not been taken."""
        return pending(self.raw)

    def numbers_all_events(self) -> bool:
        """Whether a number that no event has is that of an event that is gone; what was undone leaves gaps here."""
        return False

    def close(self) -> None:
        """Let the connection go."""
        self.raw.close()

    def _own_lane(self) -> int:
        """The lane of this connection: nobody else has it, and it is free again when the connection ends."""
        if self._lane is None:
            row = self._run(
                "SELECT lane FROM generate_series(1, $2) AS lane WHERE pg_try_advisory_lock($1, lane) LIMIT 1",
                (_LANES, _MOST_LANES),
            ).fetchone()
            assert row is not None, "nobody has as many connections"
            self._lane = int(row[0])
        return self._lane

    def _type(self, table: str, column: str) -> str:
        if not self._types:
            rows = self._run(
                "SELECT relname, attname, format_type(atttypid, atttypmod) FROM pg_attribute"
                " JOIN pg_class ON pg_class.oid = attrelid"
                " WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND attnum > 0"
            )
            self._types = {(table_name, column_name): type_name for table_name, column_name, type_name in rows}
        return self._types[table, column]


def _array(values: Sequence[Any], type_name: str) -> list[Any]:
    if type_name == "boolean":
        # Those of an embedded database are numbers.
        return [None if value is None else bool(value) for value in values]
    return list(values)


def _in_order(values: Values, names: tuple[str, ...]) -> Sequence[Any]:
    if isinstance(values, Mapping):
        return [values[name] for name in names]
    return values
