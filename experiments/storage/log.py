"""The log: a stream of NATS JetStream that carries entries from nodes to workers. A buffer, never the record.

A subject for each partition. What the stream loses the spools publish again, and what it brings twice the positions of
the shards skip: so nothing here needs to be certain.
"""

import asyncio
import logging
from collections.abc import Coroutine
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import Any
from typing import TypeVar

import msgspec
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js import api
from nats.js.errors import NotFoundError

from experiments.errors import LogUnreachable
from experiments.storage.log_reader import Carried
from experiments.storage.log_reader import Reader
from experiments.storage.log_reader import Subscription
from experiments.storage.log_reader import start_of
from experiments.storage.log_servers import Servers
from experiments.storage.log_state import LogState
from experiments.storage.log_state import state_of
from experiments.storage.sending import Pair
from experiments.storage.sending import Sending
from experiments.storage.shards import Position
from experiments.storage.spool import Entry
from experiments.storage.spool import Source

_MOST_REPLICAS = 3
_STREAM_BYTES = 1 << 30
_CONNECTING_SECONDS = 10
#: A leader that is lost is replaced within some six seconds.
PUBLISHING_SECONDS = 10.0
_IDLE_SECONDS = 60.0
_WATCHING_SECONDS = 1.0

T = TypeVar("T")

log = logging.getLogger(__name__)


class Log:
    """A connection to the log of an installation, which nobody else's `name` has; in a thread of its own.

    `state` is how the log does, a second ago or two.
    """

    def __init__(self, addresses: Sequence[str], *, name: str) -> None:
        self._addresses = addresses
        self.name = f"bespoke-{name}"
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="log", daemon=True)
        self._thread.start()
        self._servers = Servers(addresses)
        self._sending: dict[Source, Sending] = {}
        self._watching: Future[None] | None = None
        self.state = LogState(0, self.replicas)
        try:
            self.done(self._connect(), seconds=_CONNECTING_SECONDS * 3)
            self._watching = self.begin(self._watch())
        except BaseException:
            self.close()
            raise

    def publish(self, entries: Sequence[Entry]) -> list["Future[None]"]:
        """Hand on new entries; each future ends once it is replicated."""
        futures: list[Future[None]] = [Future() for _ in entries]
        self._loop.call_soon_threadsafe(self._queue, list(zip(entries, futures, strict=True)))
        return futures

    def publish_again(self, entries: Sequence[Entry]) -> None:
        """Hand on the entries of one source from the first that was not applied."""
        self._loop.call_soon_threadsafe(self._queue_again, [(entry, Future[None]()) for entry in entries])

    def reader(self, partition: int, *, after: Position) -> Reader:
        """What the log brings of a partition, after a position or from its beginning where that is of another stream.

        :raises LogUnreachable: if it cannot be had now.
        """
        return Reader(self, self.done(self._subscribe(partition, after)), partition)

    def purge(self, partition: int, *, up_to: int) -> None:
        """Let the log forget what has been applied."""
        with suppress(LogUnreachable):
            self.done(self.context.purge_stream(self.name, subject=self._subject(partition), seq=up_to + 1))

    def look(self) -> LogState:
        """How the log does now."""
        self.state = self.done(self._look())
        return self.state

    def close(self) -> None:
        """Let the connection go."""
        if self._watching:
            self._watching.cancel()
        with suppress(LogUnreachable):
            self.done(self._servers.close())
        self.done(_all_ended())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def context(self) -> JetStreamContext:
        """What the log is asked by, on its loop."""
        return self._servers.context

    @property
    def is_connected(self) -> bool:
        """Whether a server of the log is at the other end now."""
        return self._servers.is_connected

    @property
    def replicas(self) -> int:
        """On how many nodes what it has is kept."""
        return min(len(self._addresses), _MOST_REPLICAS)

    def begin(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Let some work begin on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def done(self, work: Coroutine[Any, Any, T], *, seconds: float = PUBLISHING_SECONDS) -> T:
        """What comes of some work of the loop.

        :raises LogUnreachable: if that is nothing, or not in time.
        """
        return self.outcome(self.begin(work), seconds=seconds)

    def outcome(self, future: "Future[T]", *, seconds: float) -> T:
        """What comes of work that has begun.

        :raises LogUnreachable: if that is nothing, or not in time.
        """
        try:
            return future.result(seconds)
        except (NatsError, TimeoutError, OSError) as error:
            future.cancel()
            raise LogUnreachable(f"BESPOKE_LOG_URL: {self._servers.silence(error)}") from error

    async def tell(self, subject: str, value: bytes) -> None:
        """Hand something on that nobody misses where it is lost."""
        with suppress(NatsError):
            await self._servers.publish(subject, value)

    async def _connect(self) -> None:
        await self._servers.connect()
        self._servers.check_version()
        await self._find()

    async def _find(self) -> None:
        """See that the stream is there, once the nodes of the log have found each other."""
        until = self._loop.time() + _CONNECTING_SECONDS
        while True:
            try:
                await self._made()
                return
            except (NatsError, TimeoutError):
                if self._loop.time() > until:
                    raise
            await asyncio.sleep(0.2)

    async def _look(self) -> LogState:
        try:
            return state_of(await self.context.stream_info(self.name))
        except (NatsError, TimeoutError, OSError):
            return self.state.lost()

    async def _watch(self) -> None:
        while True:
            self.state = await self._look()
            await self._servers.mend()
            await asyncio.sleep(_WATCHING_SECONDS)

    async def _made(self) -> api.StreamInfo:
        """The stream, made where it is not there."""
        try:
            return await self.context.stream_info(self.name)
        except NotFoundError:
            return await self.context.add_stream(api.StreamConfig(
                name=self.name, subjects=[f"{self.name}.*"], storage=api.StorageType.FILE,
                num_replicas=self.replicas, discard=api.DiscardPolicy.NEW,
                max_bytes=_STREAM_BYTES,
            ))

    def _queue(self, pairs: list[Pair]) -> None:
        for entry, future in pairs:
            sending = self._sending.setdefault(entry.source, Sending())
            sending.add((entry, future))
            self._wake(sending)

    def _queue_again(self, pairs: list[Pair]) -> None:
        sending = self._sending.setdefault(pairs[0][0].source, Sending())
        sending.repeat(pairs)
        self._wake(sending)

    def _wake(self, sending: Sending) -> None:
        if sending.task is None or sending.task.done():
            sending.task = self._loop.create_task(self._send(sending))

    async def _send(self, sending: Sending) -> None:
        """Publish what waits of one source, message by message, in the order of numbers."""
        while pairs := sending.take():
            try:
                await self._publish([entry for entry, _ in pairs])
            except (NatsError, TimeoutError, OSError) as error:
                why = self._servers.why(error)
                fault = LogUnreachable(f"the log has not taken an event ({why}); sent again, it counts once")
                log.warning("%s", fault, extra={"event": "not_published"})
                for _, future in pairs:
                    future.set_exception(fault)
            else:
                for _, future in pairs:
                    future.set_result(None)

    def _subject(self, partition: int) -> str:
        return f"{self.name}.{partition}"

    async def _publish(self, entries: Sequence[Entry]) -> None:
        first = entries[0]
        message = Carried(*first.source, first.number, [entry.body for entry in entries])
        # Without an id: what was read and skipped has to get through when it is published again.
        subject, payload = self._subject(first.source.partition), msgspec.msgpack.encode(message)
        until = self._loop.time() + PUBLISHING_SECONDS
        while True:
            try:
                await self.context.publish(subject, payload, timeout=2)
                return
            except (NatsError, TimeoutError):
                if self._loop.time() > until:
                    raise
                await self._mend()

    async def _mend(self) -> None:
        """Wait a moment for a new leader, and make the stream anew where it is gone."""
        await asyncio.sleep(0.2)
        with suppress(NatsError, TimeoutError):
            await self._made()

    async def _subscribe(self, partition: int, after: Position) -> Subscription:
        info = await self._made()
        start = start_of(info, after)
        config = api.ConsumerConfig(
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=start.sequence + 1,
            ack_policy=api.AckPolicy.NONE, inactive_threshold=_IDLE_SECONDS, mem_storage=True, num_replicas=1,
        )
        pulled = await self.context.pull_subscribe(self._subject(partition), stream=self.name, config=config)
        if (await self._made()).created != info.created:
            raise NatsError("nats: the stream was made anew meanwhile")
        return Subscription(start, pulled)


async def _all_ended() -> None:
    """End whatever still goes on, also of what the client has begun."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
