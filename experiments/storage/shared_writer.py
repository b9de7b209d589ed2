"""Those who write to a database that others write to as well: one connection each, opened anew where it was lost.

A transaction is begun again when nothing of it was kept. One whose commit was not answered may have been kept: that is
said, and whoever sends its events again has them counted once.
"""

import logging
from collections.abc import Callable
from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby
from operator import attrgetter
from random import uniform
from threading import Lock
from threading import Thread
from time import monotonic
from time import sleep
from typing import Any
from typing import TypeVar

import psycopg
from psycopg.errors import LockNotAvailable

from experiments.errors import StorageBusy
from experiments.errors import StorageError
from experiments.storage.groups import Call
from experiments.storage.groups import Groups
from experiments.storage.groups import PATIENCE_SECONDS
from experiments.storage.groups import Together
from experiments.storage.groups import note
from experiments.storage.location import Server
from experiments.storage.pace import Pace
from experiments.storage.postgres import SharedConnection
from experiments.storage.postgres import connect
from experiments.storage.postgres import may_go_better
from experiments.storage.postgres import storage_error
from experiments.storage.reach import Reach
from experiments.storage.session import Session
from experiments.storage.stopped import end_stopped

A = TypeVar("A")
T = TypeVar("T")

#: Whoever asked is told before the caller's own patience ends.
_TRYING_SECONDS = PATIENCE_SECONDS - 5
_LONGEST_PAUSE_SECONDS = 0.2
#: Each visitor of a transaction takes one of the server's locks, of which all nodes have some thousands.
_MOST_VISITORS = 500

log = logging.getLogger(__name__)


class SharedWriter:
    """One connection to a `server`; whoever uses it waits for the one before."""

    def __init__(self, server: Server, reach: Reach, *, partition: int | None = None) -> None:
        self.server = server
        self._reach = reach
        self._partition = partition
        self._lock = Lock()
        self._connection: SharedConnection | None = None
        self._is_over = False

    def run(self, work: Callable[[Session], T], *, alone: bool) -> T:
        """Run `work` in a write transaction; its result once it is on disk.

        :raises StorageBusy: if it is not known whether it was kept.
        :raises StorageUnreachable: if the server is away; nothing is kept.
        """
        self._reach.check()
        until = monotonic() + _TRYING_SECONDS
        with self._lock:
            while True:
                try:
                    return self._attempt(work, alone=alone)
                except psycopg.Error as error:
                    if isinstance(error, LockNotAvailable):
                        self._end_stopped()
                    if not may_go_better(error) or monotonic() > until or self._reach.is_lost() or self._is_over:
                        raise storage_error(self.server, error) from error
                    log.info("a transaction is begun again: %s", type(error).__name__, extra={"event": "begun_again"})
                sleep(uniform(0, _LONGEST_PAUSE_SECONDS))

    def give_up(self) -> None:
        """Try nothing again: there is nobody any more who could answer."""
        self._is_over = True

    def close(self) -> None:
        """Let the connection go."""
        with self._lock:
            self._let_go()

    def _attempt(self, work: Callable[[Session], T], *, alone: bool) -> T:
        connection = self._connection = self._connection or connect(self.server, partition=self._partition)
        try:
            connection.begin(alone=alone)
            result = work(Session(connection))
            connection.settle()
        except BaseException:
            self._undo(connection)
            raise
        self._commit(connection)
        return result

    def _end_stopped(self) -> None:
        with suppress(psycopg.Error):
            end_stopped(self._connection or connect(self.server))

    def _undo(self, connection: SharedConnection) -> None:
        try:
            connection.rollback()
        finally:
            if connection.is_lost():
                self._let_go()

    def _commit(self, connection: SharedConnection) -> None:
        try:
            connection.commit()
        except psycopg.Error as error:
            self._let_go()
            raise StorageBusy(
                f"{self.server} has not answered whether it has kept this; sent again, it counts once"
            ) from error

    def _let_go(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None


class SharedGroupWriter:
    """A thread that commits whatever has come in for it while it was committing before."""

    def __init__(self, server: Server, pace: Pace, reach: Reach) -> None:
        self._writer = SharedWriter(server, reach)
        self._groups = Groups(server, is_lost=reach.is_lost, visitors=_MOST_VISITORS)
        self._reach = reach
        self._pace = pace
        self._thread = Thread(target=self._serve, name="writer", daemon=True)
        self._thread.start()

    def run(self, work: Together[A, T], item: A, *, visitors: int) -> T:
        """Run `work` on the item and on those of others who wait with equal work; its result once it is on disk.

        :raises StorageBusy: if it was not on disk in time; it may or may not come to be.
        :raises StorageUnreachable: if the server is away; nothing is kept.
        """
        self._reach.check()
        return self._groups.ask(work, item, visitors=visitors)

    def queued(self) -> int:
        """How many works wait for their turn."""
        return self._groups.waiting()

    def close(self) -> None:
        """Commit what waits, then let the connection go."""
        self._groups.end()
        self._thread.join()
        self._writer.close()

    def _serve(self) -> None:
        while first := self._groups.first():
            # A transaction for each kind of work: it holds its visitors once, and in one order.
            for work, calls in groupby(self._groups.with_others(first), attrgetter("work")):
                self._commit(work, list(calls))

    def _commit(self, work: Together[Any, Any], calls: Sequence[Call]) -> None:
        began = monotonic()
        self._do(work, calls)
        note(self._pace, calls, began=began, ended=monotonic())
        for call in calls:
            call.tell()

    def _do(self, work: Together[Any, Any], calls: Sequence[Call]) -> None:
        try:
            results = self._writer.run(lambda session: work(session, [call.item for call in calls]), alone=False)
        except Exception as error:
            self._share_fault(work, calls, error)
        else:
            for call, result in zip(calls, results, strict=True):
                call.result = result

    def _share_fault(self, work: Together[Any, Any], calls: Sequence[Call], error: Exception) -> None:
        if len(calls) == 1 or isinstance(error, StorageError):
            for call in calls:
                call.fault = error
            return
        # It is the fault of one of them, which the others must not share.
        for call in calls:
            self._do(work, [call])
