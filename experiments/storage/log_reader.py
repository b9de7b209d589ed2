"""Reading the log: messages as they come, partition by partition."""

from collections.abc import Coroutine
from concurrent.futures import CancelledError
from concurrent.futures import Future
from typing import Any
from typing import NamedTuple
from typing import Protocol
from typing import TypeVar

import msgspec
from nats.js import JetStreamContext

from experiments.storage.shards import Position
from experiments.storage.spool import Source

#: What fetching may take beyond the time that is waited for messages.
_SPARE_SECONDS = 6.0

T = TypeVar("T")


class Carried(msgspec.Struct, array_like=True, frozen=True):
    """A message: entries of one process for one partition, their numbers without a gap from `first` on."""

    writer: str
    partition: int
    first: int
    bodies: list[bytes]

    @property
    def source(self) -> Source:
        """Where the numbers have no gaps."""
        return Source(self.writer, self.partition)


class Subscription(NamedTuple):
    """A subscription, and by what the stream is known that it is of."""

    stream: str
    subscription: JetStreamContext.PullSubscription


class Loop(Protocol):
    """Where work goes on beside whoever waits for it."""

    def begin(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Let some work begin."""

    def outcome(self, future: "Future[T]", *, seconds: float) -> T:
        """What comes of it, in so many seconds."""


class Reader:
    """What the log brings of one partition."""

    def __init__(self, loop: Loop, subscribed: Subscription) -> None:
        self._loop = loop
        self._subscribed = subscribed
        self._decoder = msgspec.msgpack.Decoder(Carried)
        self._reading: Future[list[Any]] | None = None
        self._is_stopped = False

    def read(self, *, most: int, seconds: float) -> tuple[list[Carried], Position | None]:
        """The next messages and where the last of them is; none where none come in time.

        :raises LogUnreachable: if the log has to be read anew.
        """
        messages = self._next(fetched(self._subscribed.subscription, most=most, seconds=seconds), seconds)
        if not messages:
            return [], None
        position = Position(self._subscribed.stream, messages[-1].metadata.sequence.stream)
        return [self._decoder.decode(message.data) for message in messages], position

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
