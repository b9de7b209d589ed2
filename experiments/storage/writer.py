"""The one writer: works that come together are committed together, and answered after the commit."""

import logging
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from queue import Empty
from threading import Lock
from threading import Thread
from time import monotonic
from time import sleep
from typing import Any
from typing import TypeVar

from experiments.errors import StorageError
from experiments.errors import StorageFull
from experiments.errors import StorageLocked
from experiments.storage.commits import CommitsBeside
from experiments.storage.exposed import Exposed
from experiments.storage.groups import Call
from experiments.storage.groups import Groups
from experiments.storage.groups import Together
from experiments.storage.groups import note
from experiments.storage.pace import new_pace
from experiments.storage.session import Session
from experiments.storage.sqlite import connect
from experiments.storage.sqlite import immediate
from experiments.storage.sqlite import lock_for_serving
from experiments.storage.sqlite import log_is_large
from experiments.storage.sqlite import take_log_in
from experiments.storage.sqlite import translated

A = TypeVar("A")
T = TypeVar("T")

_LOOK_SECONDS = 0.5
_RETRY_SECONDS = 5

log = logging.getLogger(__name__)


class DirectWriter:
    """Each work its own transaction, in the caller's thread: for commands that run beside a server."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = connect(path)
        self._commits = CommitsBeside(path)
        self._lock = Lock()
        self.pace = new_pace()

    def run(self, work: Callable[[Session], T]) -> T:
        """Run `work` in a write transaction; its result once it is on disk."""
        with self._lock:
            with translated(self._path), immediate(self._connection):
                began = monotonic()
                result = work(Session(self._connection))
                self._commits.announce()
            self._make_room(monotonic() - began)
        return result

    def run_together(self, work: Together[A, T], item: A) -> T:
        """Run `work` on the item, which comes alone; its result once it is on disk."""
        [result] = self.run(lambda session: work(session, [item]))
        return result

    def _make_room(self, held_seconds: float) -> None:
        """Without a server, do for the log what a server would; beside one, let it have its turn."""
        try:
            with translated(self._path), lock_for_serving(self._path):
                if log_is_large(self._path):
                    take_log_in(self._connection)
        except StorageLocked:
            # It looks for the lock now and then only: whoever writes without a pause would keep it waiting for long.
            sleep(held_seconds / 2)
        except StorageError as error:
            # What is committed has not failed.
            log.warning("the log is not taken in for now: %s", error, extra={"event": "log_kept"})

    def empty_log(self) -> None:
        """Nothing to do: whoever closes the file last takes the log in, and beside a server it is the server's."""

    def queued(self) -> int:
        """How many works wait: they wait for the lock, not here."""
        return 0

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()
        self._commits.close()


class GroupWriter:
    """One thread that commits whatever has come in while it was committing before."""

    def __init__(self, path: Path, exposed: Exposed) -> None:
        self._path = path
        self._connection = connect(path, checkpoints=True)
        self._exposed = exposed
        self._session = Session(self._connection, note_exposed=exposed.add)
        self._next_try = 0.0
        self.pace = new_pace()
        self._is_full = False
        self._is_old = False
        self._groups = Groups(path)
        self._thread = Thread(target=self._serve, name="writer", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[Session], T]) -> T:
        """Run `work` in a write transaction; its result once it is on disk.

        :raises StorageBusy: if it was not on disk in time; it may or may not come to be.
        """
        return self.run_together(lambda session, _: [work(session)], None)

    def run_together(self, work: Together[A, T], item: A) -> T:
        """Run `work` on the item and on those of others who wait with equal work; its result once it is on disk.

        :raises StorageBusy: as `run`.
        """
        return self._groups.ask(work, item)

    def queued(self) -> int:
        """How many works wait for their turn."""
        return self._groups.waiting()

    def empty_log(self) -> None:
        """Take the log in soon, the whole of it: it still has what was removed."""
        self._is_old = True

    def close(self) -> None:
        """Commit what waits, then let the file go."""
        self._groups.end()
        self._thread.join()
        # Whoever closes the file last takes the log in; a thread that still ends may have it open for a moment longer.
        self._try_to_take_log_in()
        self._connection.close()

    def _serve(self) -> None:
        while first := self._first():
            self._commit(self._groups.with_others(first))

    def _first(self) -> Call | None:
        """The next call, once there is one; meanwhile, what other processes write is taken in."""
        while True:
            self._take_log_in()
            try:
                return self._groups.first(timeout=_LOOK_SECONDS)
            except Empty:
                if self._exposed.is_behind():
                    self._commit([])

    def _take_log_in(self) -> None:
        # On a full disk, the log has what little space there is.
        is_wanted = self._is_full or self._is_old or log_is_large(self._path)
        if not is_wanted or monotonic() < self._next_try:
            return
        # It waits for readers, and works that come in wait with it: not again and again.
        self._next_try = monotonic() + _RETRY_SECONDS
        is_old, self._is_old = self._is_old, False
        if self._try_to_take_log_in():
            self._next_try, self._is_full = 0.0, False
        else:
            self._is_old |= is_old

    def _try_to_take_log_in(self) -> bool:
        try:
            with translated(self._path):
                return take_log_in(self._connection)
        except StorageError as error:
            # The log keeps what it has, and works that come in are told of what ails the database.
            log.warning("the log is not taken in for now: %s", error, extra={"event": "log_kept"})
            return False

    def _commit(self, group: list[Call]) -> None:
        began = monotonic()
        try:
            with translated(self._path), immediate(self._connection):
                self._exposed.follow(self._session)
                for work, calls in groupby(group, attrgetter("work")):
                    self._do(work, list(calls))
        except Exception as error:
            # Nothing of the group is on disk: nobody may be told that it is.
            self._is_full = isinstance(error, StorageFull)
            for call in group:
                call.fault = error
        if group:
            note(self.pace, group, began=began, ended=monotonic())
        for call in group:
            call.tell()

    def _do(self, work: Together[Any, Any], calls: list[Call]) -> None:
        try:
            with self._savepoint():
                results = work(self._session, [call.item for call in calls])
        except Exception as error:
            if not self._connection.in_transaction:
                raise
            self._share_fault(calls, error)
        else:
            for call, result in zip(calls, results, strict=True):
                call.result = result

    def _share_fault(self, calls: list[Call], error: Exception) -> None:
        if len(calls) == 1:
            calls[0].fault = error
            return
        # It is the fault of one of them, which the others must not share.
        for call in calls:
            self._do(call.work, [call])

    @contextmanager
    def _savepoint(self) -> Iterator[None]:
        """Undo a faulty work, and nothing of what came before it in the transaction."""
        self._connection.execute("SAVEPOINT work")
        try:
            with translated(self._path):
                yield
        except Exception:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK TO work")
                self._connection.execute("RELEASE work")
            raise
        self._connection.execute("RELEASE work")
