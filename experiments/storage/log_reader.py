"""Reading the log: messages as they come, partition by partition."""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import msgspec
from nats.js import JetStreamContext

from experiments.storage.shards import Position
from experiments.storage.spool import Source


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


#: The next of a subscription: at most so many, within so many seconds.
Fetch = Callable[[JetStreamContext.PullSubscription, int, float], list[Any]]


class Reader:
    """What the log brings of one partition."""

    def __init__(self, fetch: Fetch, subscribed: Subscription) -> None:
        self._fetch = fetch
        self._subscribed = subscribed
        self._decoder = msgspec.msgpack.Decoder(Carried)

    def read(self, *, most: int, seconds: float) -> tuple[list[Carried], Position | None]:
        """The next messages and where the last of them is; none where none come in time.

        :raises LogUnreachable: if the log has to be read anew.
        """
        messages = self._fetch(self._subscribed.subscription, most, seconds)
        if not messages:
            return [], None
        position = Position(self._subscribed.stream, messages[-1].metadata.sequence.stream)
        return [self._decoder.decode(message.data) for message in messages], position


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
