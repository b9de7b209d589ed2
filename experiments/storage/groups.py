"""Groups: works that came while a writer was busy, committed together and answered after the commit."""

from collections.abc import Callable
from collections.abc import Sequence
from queue import Empty
from queue import SimpleQueue
from threading import Lock
from time import monotonic
from time import sleep
from typing import Any
from typing import TypeVar
from typing import cast

from experiments.errors import StorageBusy
from experiments.storage.pace import Pace
from experiments.storage.session import Session

A = TypeVar("A")
T = TypeVar("T")
#: What is done on the items of all who ask for the same: a result for each, as if one after another.
Together = Callable[[Session, Sequence[A]], Sequence[T]]

PATIENCE_SECONDS = 15

_LARGEST_GROUP = 1000
#: Long enough for some to ask, and short beside a commit.
_PAUSE_SECONDS = 0.0004
_MOST_PAUSES = 5


class Call:
    """Somebody who waits for what becomes of an item: a result, or the fault."""

    __slots__ = ("_told", "asked", "fault", "item", "result", "visitors", "work")

    def __init__(self, work: Together[Any, Any], item: Any, visitors: int) -> None:
        self.work = work
        self.item = item
        self.visitors = visitors
        self.result: Any = None
        self.fault: BaseException | None = None
        self.asked = monotonic()
        # Held until there is an answer: a Future would cost as much as the write of a single event.
        self._told = Lock()
        self._told.acquire()

    def wait(self, seconds: float) -> bool:
        """Wait for the answer; False where it does not come in time."""
        return self._told.acquire(timeout=seconds)

    def tell(self) -> None:
        """Let whoever waits have the answer."""
        self._told.release()


class Groups:
    """The calls that wait for a thread, in the order in which they came; nobody waits where `is_lost` holds.

    A group is of about so many `visitors`.
    """

    def __init__(
        self, database: object, *, is_lost: Callable[[], bool] = bool, visitors: int = _LARGEST_GROUP**2
    ) -> None:
        self._database = database
        self._is_lost = is_lost
        self._visitors = visitors
        self._have_several_asked = False
        self._queue: SimpleQueue[Call | None] = SimpleQueue()

    def ask(self, work: Together[A, T], item: A, *, visitors: int = 1) -> T:
        """Have `work` done on the item, which is of so many visitors at most; its result once it is on disk.

        :raises StorageBusy: if it was not on disk in time; it may or may not come to be.
        """
        call = Call(work, item, visitors)
        self._queue.put(call)
        self._await(call)
        if call.fault is not None:
            raise call.fault
        return cast(T, call.result)

    def _await(self, call: Call) -> None:
        for _ in range(PATIENCE_SECONDS):
            if call.wait(1):
                return
            if self._is_lost():
                raise StorageBusy(f"{self._database} has not answered; what is sent again counts once")
        raise StorageBusy(f"{self._database}: the write waited {PATIENCE_SECONDS} s for its turn")

    def first(self, *, timeout: float | None = None) -> Call | None:
        """The next call once there is one, or None at the end.

        :raises Empty: if none comes in time.
        """
        return self._queue.get(timeout=timeout)

    def with_others(self, first: Call) -> list[Call]:
        """A call and those that have come after it by now."""
        self._let_others_ask()
        group, visitors = [first], first.visitors
        while len(group) < _LARGEST_GROUP and visitors < self._visitors:
            try:
                call = self._queue.get_nowait()
            except Empty:
                break
            if call is None:
                self.end()
                break
            group.append(call)
            visitors += call.visitors
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

    def end(self) -> None:
        """Let the writer end, after those who have come by now."""
        self._queue.put(None)

    def waiting(self) -> int:
        """How many calls wait for their turn."""
        return self._queue.qsize()


def note(pace: Pace, group: Sequence[Call], *, began: float, ended: float) -> None:
    """Remember how a commit went."""
    pace.commit_seconds.add(ended - began)
    pace.works.add(len(group))
    pace.wait_seconds.add(ended - group[0].asked)
