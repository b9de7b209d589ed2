"""Reading the log: messages as they come, partition by partition."""

import logging
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from concurrent.futures import Future
from typing import Annotated
from typing import Any
from typing import NamedTuple
from typing import Protocol
from typing import TypeVar

import msgspec
from nats.js import JetStreamContext
from nats.js.api import StreamInfo

from experiments.storage.shards import Position
from experiments.storage.spool import Source

#: What fetching may take beyond the time that is waited for messages.
_SPARE_SECONDS = 6.0

T = TypeVar("T")

log = logging.getLogger(__name__)


class Carried(msgspec.Struct, array_like=True, frozen=True):
    """A message: entries of one process for one partition, their numbers without a gap from `first` on."""

    writer: str
    partition: int
    first: Annotated[int, msgspec.Meta(ge=1)]
    bodies: list[bytes]

    @property
    def source(self) -> Source:
        """Where the numbers have no gaps."""
        return Source(self.writer, self.partition)


class Subscription(NamedTuple):
    """A subscription, and after which place in the stream it begins."""

    start: Position
    subscription: JetStreamContext.PullSubscription


class Loop(Protocol):
    """Where work goes on beside whoever waits for it."""

    def begin(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Let some work begin."""

    def outcome(self, future: "Future[T]", *, seconds: float) -> T:
        """What comes of it, in so many seconds."""


class Reader:
    """What the log brings of one partition; `position` is up to where it has been read."""

    def __init__(self, loop: Loop, subscribed: Subscription, partition: int) -> None:
        self._loop = loop
        self._partition = partition
        self._decoder = msgspec.msgpack.Decoder(Carried)
        self.position, self._subscription = subscribed
        self._reading: Future[list[Any]] | None = None
        self._is_stopped = False

    def read(self, *, most: int, seconds: float) -> list[Carried]:
        """The next messages; none where none come in time.

        :raises LogUnreachable: if the log has to be read anew.
        """
        messages = self._next(fetched(self._subscription, most=most, seconds=seconds), seconds)
        if messages:
            self.position = self.position._replace(sequence=messages[-1].metadata.sequence.stream)
        return [carried for message in messages if (carried := self._understood(message))]

    def stop(self) -> None:
        """Wait for nothing more, whoever reads."""
        self._is_stopped = True
        if self._reading:
            self._reading.cancel()

    def _next(self, work: Coroutine[Any, Any, list[Any]], seconds: float) -> list[Any]:
        reading = self._reading = self._loop.begin(work)
        if self._is_stopped:
            reading.cancel()
        try:
            return self._loop.outcome(reading, seconds=seconds + _SPARE_SECONDS)
        except CancelledError:
            return []

    def _understood(self, message: Any) -> Carried | None:
        """A message, or None where it is none of a node: whatever a node has said, it says again."""
        try:
            carried = self._decoder.decode(message.data)
            if carried.partition == self._partition:
                return carried
            fault = f"it is of partition {carried.partition}"
        except msgspec.MsgspecError as error:
            fault = str(error)
        number = message.metadata.sequence.stream
        log.warning(
            "message %d of partition %d is left out: %s", number, self._partition, fault, extra={"event": "left_out"}
        )
        return None


def start_of(stream: StreamInfo, after: Position) -> Position:
    """After which place to begin: the beginning where the stream is another one, or has lost what had been read."""
    name = str(stream.created)
    is_there = after.stream == name and after.sequence <= stream.state.last_seq
    return after if is_there else Position(name, 0)


async def fetched(
    subscription: JetStreamContext.PullSubscription, *, most: int, seconds: float
) -> list[Any]:
    """The next messages, none where none come in time."""
    try:
        return list(await subscription.fetch(most, timeout=seconds))
    except TimeoutError:
        # It may be that nothing has come, or that the consumer is gone with the server that had it.
        await subscription.consumer_info()
        return []
