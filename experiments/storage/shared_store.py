"""The store on a PostgreSQL that many nodes share: they write side by side, of different visitors."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from functools import cached_property
from threading import Event
from typing import Any
from typing import TypeVar

import psycopg
from psycopg_pool import ConnectionPool
from psycopg_pool import PoolTimeout

from experiments.errors import NotLookedUp
from experiments.errors import StorageError
from experiments.model import Exposure
from experiments.storage.exposed import number_of
from experiments.storage.groups import Together
from experiments.storage.listener import Listener
from experiments.storage.location import CONTROL
from experiments.storage.location import Server
from experiments.storage.pace import Pace
from experiments.storage.pace import new_pace
from experiments.storage.parts import Part
from experiments.storage.parts import Whole
from experiments.storage.postgres import SharedConnection
from experiments.storage.postgres import arguments
from experiments.storage.postgres import is_loss
from experiments.storage.postgres import prepare
from experiments.storage.postgres import translated
from experiments.storage.reach import Reach
from experiments.storage.remembered import Remembered
from experiments.storage.schema import migrate
from experiments.storage.schema import pending
from experiments.storage.schema import unknown
from experiments.storage.session import Session
from experiments.storage.shared_writer import SharedGroupWriter
from experiments.storage.shared_writer import SharedWriter

A = TypeVar("A")
T = TypeVar("T")

_READERS = 8
_PATIENCE_SECONDS = 2.0
#: Attempts of the pool come ever more seldom; a new one is made when somebody needs a connection.
_TRYING_SECONDS = 1.0


class Reading(psycopg.Connection[Any]):
    """A connection of the pool, with its session, which costs as much to make as a question to ask."""

    @cached_property
    def session(self) -> Session:
        """The session of this connection."""
        return Session(SharedConnection(self))


class SharedStore:
    """A database of a PostgreSQL server; `partitions` are those who write of different visitors at the same time."""

    def __init__(self, server: Server, *, serving: bool = False, partitions: int = 1) -> None:
        self.server = server
        self._pace = new_pace()
        self._pool = ConnectionPool(
            connection_class=Reading,
            kwargs=arguments(server),
            configure=prepare,
            min_size=1,
            max_size=_READERS,
            timeout=_PATIENCE_SECONDS,
            reconnect_timeout=_TRYING_SECONDS,
            open=True,
        )
        self._reach = reach = Reach(server)
        self._alone = SharedWriter(server, reach)
        self._writers = [SharedGroupWriter(server, self._pace, reach) for _ in range(partitions)] if serving else []
        self._remembered = Remembered()
        self._listener = Listener(server)
        self.partitions = partitions

    def read(self, work: Callable[[Session], T]) -> T:
        """Run `work` on one consistent state of the database."""

        def reading(session: Session) -> T:
            session.connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                return work(session)
            finally:
                session.connection.rollback()

        return self._reading(reading)

    def transact(self, work: Callable[[Session], T]) -> T:
        """Run `work` in one write transaction, while nobody else writes; its result once it is on disk."""
        return self._alone.run(work, alone=True)

    def transact_together(self, work: Together[A, T], item: A, *, visitors: int = 1, partition: int = 0) -> T:
        """Run `work` on this item and on those that come meanwhile; its result once it is on disk."""
        if self._writers:
            return self._writers[partition].run(work, item, visitors=visitors)
        [result] = self._alone.run(lambda session: work(session, [item]), alone=False)
        return result

    def exposures_of(self, visitor: bytes, experiments: Iterable[str]) -> dict[str, Exposure]:
        """What exposures of a visitor fixed, by those of the experiments where there is one.

        Another node may have exposed somebody a moment ago: who is not remembered is asked for.

        :raises NotLookedUp: if the server cannot be asked.
        """
        kept = {experiment: self._remembered.get(number_of((experiment, visitor))) for experiment in experiments}
        found = {experiment: exposure for experiment, exposure in kept.items() if exposure is not None}
        if len(found) == len(kept):
            return found
        try:
            return found | self._looked_up(visitor, [experiment for experiment in kept if experiment not in found])
        except StorageError as error:
            raise NotLookedUp(str(error), found) from error

    def _looked_up(self, visitor: bytes, experiments: Sequence[str]) -> dict[str, Exposure]:
        remembered = self._remembered
        rows = self._reading(lambda session: session.exposures.of_visitor(visitor, experiments))
        for experiment, row in rows.items():
            remembered.keep(number_of((experiment, visitor)), row.fixed)
        if remembered.is_full():
            self.forget_exposures()
        return {experiment: row.fixed for experiment, row in rows.items()}

    def forget_exposures(self) -> None:
        """Look up anew what exposures fixed; for when some have been removed."""
        self._remembered = Remembered()

    def parts(self) -> Sequence[Part]:
        """All visitors, who are in this one database."""
        return (Whole(self),)

    def part_of(self, visitor: bytes) -> Part:
        """All visitors again."""
        return Whole(self)

    def databases(self) -> Mapping[str, "SharedStore"]:
        """This one."""
        return {CONTROL: self}

    def changes(self) -> int:
        """A number that differs once anybody has changed what people and jobs configure."""
        with translated(self.server):
            try:
                version = self._listener.version()
            except psycopg.Error:
                self._reach.lose()
                raise
        if self._reach.find():
            # What it holds was cut off.
            self._pool.check()
        return version

    def await_changes(self, stopped: Event, *, seconds: float) -> None:
        """Wait until somebody has changed what people and jobs configure, at most so long."""
        if not stopped.is_set():
            self._listener.wait(seconds)

    def pace(self) -> Pace:
        """How its writers get on."""
        return self._pace

    def queued(self) -> int:
        """How many works wait for a writer."""
        return sum(writer.queued() for writer in self._writers)

    def is_reached(self) -> bool:
        """Whether its server answers."""
        return not self._reach.is_lost()

    def close(self) -> None:
        """Commit what waits and let the database go."""
        for writer in self._writers:
            writer.close()
        self._listener.close()
        self._alone.close()
        self._pool.close()

    def _reading(self, ask: Callable[[Session], T]) -> T:
        """What `ask` finds; asked again where the connection that it was given had been lost meanwhile."""
        self._reach.check()
        with translated(self.server):
            try:
                with self._session() as session:
                    return ask(session)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if not is_loss(error) or isinstance(error, PoolTimeout):
                    raise
            self._pool.check()
            with self._session() as session:
                return ask(session)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        raw = self._pool.getconn()
        try:
            yield raw.session
        finally:
            self._pool.putconn(raw)


def migrate_shared(server: Server) -> list[str]:
    """Bring the schema of a database up to date; the names of the steps taken."""
    with _known(server) as raw:
        return migrate(raw)


def pending_of(server: Server) -> list[str]:
    """The steps that a database lacks."""
    with _known(server) as raw:
        return pending(raw)


@contextmanager
def _known(server: Server) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a database that takes every text, and at which no newer version has been at work.

    :raises StorageError: naming the encoding, or the steps: what they have written may mean something not known here.
    """
    with translated(server), psycopg.connect(**arguments(server)) as raw:
        if (encoding := raw.info.parameter_status("server_encoding")) != "UTF8":
            raise StorageError(f"{server} is encoded in {encoding}, and must be in UTF8: make one with ENCODING UTF8")
        if steps := unknown(raw):
            raise StorageError(f"{server} is of a newer version, which knows {', '.join(steps)}: install that one")
        yield raw
