"""The one writer: works that come together are committed together, and answered after the commit."""

import logging
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from queue import Empty
from queue import SimpleQueue
from threading import Lock
from threading import Thread
from time import monotonic
from time import sleep
from typing import Any
from typing import TypeVar
from typing import cast

from experiments.errors import StorageBusy
from experiments.errors import StorageError
from experiments.errors import StorageFull
from experiments.errors import StorageLocked
from experiments.storage.commits import CommitsBeside
from experiments.storage.exposed import Exposed
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
#: What is done on the items of all who ask for the same: a result for each, as if one after another.
Together = Callable[[Session, Sequence[A]], Sequence[T]]

_LARGEST_GROUP = 1000
_PATIENCE_SECONDS = 15
_LOOK_SECONDS = 0.5
_RETRY_SECONDS = 5
#: Long enough for some to ask, and short beside a commit.
_PAUSE_SECONDS = 0.0004
_MOST_PAUSES = 5

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

    def queued(self) -> int:
        """How many works wait: they wait for the lock, not here."""
        return 0

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()
        self._commits.close()


class _Call:
    """Somebody who waits for what becomes of an item: a result, or the fault."""

    __slots__ = ("_told", "asked", "fault", "item", "result", "work")

    def __init__(self, work: Together[Any, Any], item: Any) -> None:
        self.work = work
        self.item = item
        self.result: Any = None
        self.fault: BaseException | None = None
        self.asked = monotonic()
        # Held until there is an answer: a Future would cost as much as the write of a single event.
        self._told = Lock()
        self._told.acquire()

    def wait(self) -> bool:
        """Wait for the answer; False where it does not come in time."""
        return self._told.acquire(timeout=_PATIENCE_SECONDS)

    def tell(self) -> None:
        """Let whoever waits have the answer."""
        self._told.release()


class GroupWriter:
    """One thread that commits whatever has come in while it was committing before."""

    def __init__(self, path: Path, exposed: Exposed) -> None:
        self._path = path
        self._connection = connect(path, checkpoints=True)
        self._exposed = exposed
        self._session = Session(self._connection, note_exposed=exposed.add)
        self._next_try = 0.0
        self._have_several_asked = False
        self.pace = new_pace()
        self._is_full = False
        self._queue: SimpleQueue[_Call | None] = SimpleQueue()
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
        call = _Call(work, item)
        self._queue.put(call)
        if not call.wait():
            raise StorageBusy(f"{self._path}: the write waited {_PATIENCE_SECONDS} s for its turn")
        if call.fault is not None:
            raise call.fault
        return cast(T, call.result)

    def queued(self) -> int:
        """How many works wait for their turn."""
        return self._queue.qsize()

    def close(self) -> None:
        """Commit what waits, then let the file go."""
        self._queue.put(None)
        self._thread.join()
        self._connection.close()

    def _serve(self) -> None:
        while group := self._next_group():
            self._commit(group)

    def _first(self) -> _Call | None:
        """The next call, once there is one; meanwhile, what other processes write is taken in."""
        while True:
            self._take_log_in()
            try:
                return self._queue.get(timeout=_LOOK_SECONDS)
            except Empty:
                if self._exposed.is_behind():
                    self._commit([])

    def _take_log_in(self) -> None:
        # On a full disk, the log has what little space there is.
        is_wanted = self._is_full or log_is_large(self._path)
        if not is_wanted or monotonic() < self._next_try:
            return
        # It waits for readers, and works that come in wait with it: not again and again.
        self._next_try = monotonic() + _RETRY_SECONDS
        try:
            with translated(self._path):
                if take_log_in(self._connection):
                    self._next_try, self._is_full = 0.0, False
        except StorageError as error:
            # The log keeps what it has, and works that come in are told of what ails the database.
            log.warning("the log is not taken in for now: %s", error, extra={"event": "log_kept"})

    def _next_group(self) -> list[_Call]:
        first = self._first()
        self._let_others_ask()
        group = [] if first is None else [first]
        while group and len(group) < _LARGEST_GROUP:
            try:
                call = self._queue.get_nowait()
            except Empty:
                break
            if call is None:
                self._queue.put(None)
                break
            group.append(call)
        self._have_several_asked = len(group) > 1
        return group

    def _let_others_ask(self) -> None:
        """Where several asked before, wait until nobody more comes: a commit costs as much for one as for all."""
        seen = -1
        for _ in range(_MOST_PAUSES if self._have_several_asked else 0):
            waiting = self._queue.qsize()
            if waiting == seen:
                return
            seen = waiting
            sleep(_PAUSE_SECONDS)

    def _commit(self, group: list[_Call]) -> None:
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
            self._note(group, began=began, ended=monotonic())
        for call in group:
            call.tell()

    def _note(self, group: list[_Call], *, began: float, ended: float) -> None:
        self.pace.commit_seconds.add(ended - began)
        self.pace.works.add(len(group))
        self.pace.wait_seconds.add(ended - group[0].asked)

    def _do(self, work: Together[Any, Any], calls: list[_Call]) -> None:
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

    def _share_fault(self, calls: list[_Call], error: Exception) -> None:
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
