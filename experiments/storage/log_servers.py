"""The servers of the log: a connection to one of them, made anew whatever has ended it."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import ServiceUnavailableError

from experiments.errors import LogUnreachable

#: Older ones lose streams when they are killed.
_OLDEST = (2, 10, 23)
_ASKING_SECONDS = 3.0
_PAUSE_SECONDS = 0.5
_PATIENCE_SECONDS = 10.0

log = logging.getLogger(__name__)


class Servers:
    """A connection to whichever of these servers is there."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses
        self._client = Client()
        self._connecting: asyncio.Task[None] | None = None
        self._seen = monotonic()
        self._is_ended = False
        self._fault: Exception | None = None
        self._noted = set[str]()

    @property
    def context(self) -> JetStreamContext:
        """What they are asked by."""
        return self._client.jetstream(timeout=_ASKING_SECONDS)

    @property
    def is_connected(self) -> bool:
        """Whether one of them is at the other end now."""
        return bool(self._client.is_connected)

    def why(self, error: Exception) -> str:
        """What is wrong, where an error is all that somebody has: what a server said, if none is there now."""
        return said(error if self.is_connected or not self._fault else self._fault)

    def silence(self, error: Exception) -> str:
        """Who does not answer; addresses may have passwords, their places have none."""
        places = ", ".join(address.rpartition("/")[2].rpartition("@")[2] for address in self._addresses)
        return f"{'the log does not answer' if self.is_connected else f'none of {places} answers'} ({self.why(error)})"

    async def connect(self) -> None:
        """Connect to one of them; where none lets us in, this is tried again and again."""
        while True:
            client = Client()
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await self._try(client)
            except (NatsError, OSError, TimeoutError) as error:
                self._note(error)
            else:
                # It may have been turned out as it was let in.
                if not client.is_closed:
                    self._client = client
                    self._noted.clear()
                    return
            await _end(client)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def mend(self) -> None:
        """Take another client where this one has found no server for long: it may be past finding any."""
        now = monotonic()
        if self.is_connected:
            self._seen = now
        elif now - self._seen > _PATIENCE_SECONDS:
            self._begin_anew()
            await _end(self._client)

    def _begin_anew(self) -> None:
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.get_running_loop().create_task(self.connect())

    async def _try(self, client: Client) -> None:
        async def hear(error: Exception) -> None:
            if client is not self._client:
                # One that has been refused is of no use later.
                raise error
            self._note(error)

        async def be_calm() -> None:
            self._noted.clear()

        async def begin_anew() -> None:
            """Take another client: one gives up for good where a server turns it out, as while passwords change."""
            if client is self._client and not self._is_ended:
                self._note(client.last_error or NatsError("nats: the connection was ended"))
                self._begin_anew()

        await client.connect(
            list(self._addresses), max_reconnect_attempts=-1, reconnect_time_wait=1, connect_timeout=2,
            allow_reconnect=True, ping_interval=5, max_outstanding_pings=2, error_cb=hear, closed_cb=begin_anew,
            reconnected_cb=be_calm,
        )

    async def publish(self, subject: str, value: bytes) -> None:
        """Hand something on, whether or not anybody keeps it."""
        await self._client.publish(subject, value)

    def check_version(self) -> None:
        """See that the server is new enough.

        :raises LogUnreachable: if it is too old.
        """
        server = self._client.connected_server_version
        version = (server.major, server.minor, server.patch)
        if version < _OLDEST:
            raise LogUnreachable(
                f"BESPOKE_LOG_URL: nats-server {_dotted(version)} must be {_dotted(_OLDEST)} or newer: older ones lose"
                " streams"
            )

    async def close(self) -> None:
        """Let the connection go."""
        self._is_ended = True
        await _end(self._client)

    def _note(self, error: Exception) -> None:
        """Tell what is wrong, once until a server is there again: each second it is tried anew."""
        self._fault = error
        if (text := said(error)) not in self._noted:
            self._noted.add(text)
            log.info("the log: %s", text, extra={"event": "log"})


async def _end(client: Client) -> None:
    # One that has never reached a server cannot be closed, and one that was refused may hear of it once more.
    with suppress(AssertionError, NatsError, OSError):
        await client.close()


def said(error: Exception) -> str:
    """What an error says, in one line."""
    if isinstance(error, ServiceUnavailableError) and not error.description:
        return "no server with JetStream answers"
    return " ".join(str(error).split()) or type(error).__name__


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))
