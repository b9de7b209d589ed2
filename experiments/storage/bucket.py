"""Buckets: key-value stores beside the log, by which processes tell each other what is new. Never the record.

One may be lost, wiped or behind: whoever hears nothing for a while asks the database as if there were none.
"""

import asyncio
import logging
from contextlib import suppress
from threading import Event
from time import monotonic
from typing import Any
from typing import NamedTuple

from nats.errors import Error as NatsError
from nats.js import api
from nats.js.errors import NotFoundError
from nats.js.kv import KeyValue

from experiments.storage.log import Log

#: The largest value: a message of the log as its servers come.
MOST_BYTES = 1_000_000
#: After so long without anything new it is asked whether it is there, and the same one.
SILENCE_SECONDS = 3.0
#: Who hears nothing for longer has not heard all of what others have told meanwhile.
_GAP_SECONDS = 1.0
_PUTTING_SECONDS = 3.0
_AGAIN_SECONDS = 0.5

log = logging.getLogger(__name__)


class Kind(NamedTuple):
    """What a bucket is called, where its nodes keep how much, and after how many seconds they forget it, if ever."""

    name: str
    storage: api.StorageType
    most_bytes: int
    seconds: float | None = None


NEWS = Kind("news", api.StorageType.FILE, 16 << 20)
#: What is told twice a second has no worth on a disk, and that of who is gone is forgotten.
REMEMBERED_SECONDS = 60.0
LEASES = Kind("leases", api.StorageType.MEMORY, 4 << 20, REMEMBERED_SECONDS)


class Told(NamedTuple):
    """A value, and when it came, by the clock of this process that only durations are measured by."""

    value: bytes
    at: float


class Bucket:
    """What was put there last, by key, as this process hears of it until it is closed."""

    def __init__(self, log: Log, kind: Kind) -> None:
        self._log = log
        self._kind = kind
        self._told: dict[str, Told] = {}
        self._heard: float | None = None
        #: Since when something new has come again and again.
        self.since = monotonic()
        self._news = Event()
        self._kept: KeyValue | None = None
        self._watching = log.begin(self._watch())

    def value(self, key: str) -> bytes | None:
        """The newest value that was heard of, or None."""
        told = self._told.get(key)
        return told.value if told else None

    def told(self) -> dict[str, Told]:
        """Everything that was heard of."""
        return self._told.copy()

    def is_heard(self) -> bool:
        """Whether something new came lately, so that what comes next will be heard too."""
        return self._heard is not None and monotonic() - self._heard < SILENCE_SECONDS

    def is_reached(self) -> bool:
        """Whether anything can be put there now, for all that is known."""
        return self._log.is_connected

    def wait(self, seconds: float) -> None:
        """Wait until something new has come, at most so long."""
        self._news.wait(seconds)
        self._news.clear()

    def put(self, key: str, value: bytes) -> None:
        """Tell everybody.

        :raises LogUnreachable: if it may not have been kept.
        """
        self._log.done(self._put(key, value), seconds=_PUTTING_SECONDS)

    def tell(self, key: str, value: bytes) -> None:
        """Tell everybody, and do not wait until it is kept: what was kept is heard here too."""
        if self._log.is_connected:
            self._log.begin(self._log.tell(f"$KV.{self._name}.{key}", value))

    def close(self) -> None:
        """Hear nothing more."""
        self._watching.cancel()
        self._heard = None
        self._news.set()

    async def _put(self, key: str, value: bytes) -> None:
        self._kept = self._kept or await self._made()
        try:
            await self._kept.put(key, value)
        except NatsError:
            self._kept = None
            raise

    async def _watch(self) -> None:
        while True:
            try:
                watcher: Any = await (await self._made()).watch(">")
                try:
                    await self._follow(watcher)
                finally:
                    # Of a connection that is closed there is nothing to stop, which must not keep this from ending.
                    with suppress(NatsError):
                        await watcher.stop()
            except (NatsError, TimeoutError, OSError) as error:
                log.debug("the bucket is watched anew: %s", type(error).__name__, extra={"event": "bucket"})
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _follow(self, watcher: Any) -> None:
        """Hear what comes, until nothing does."""
        while True:
            entry = await watcher.updates(timeout=SILENCE_SECONDS)
            if entry is not None and entry.value is not None:
                self._hear(entry.key, entry.value)

    def _hear(self, key: str, value: bytes) -> None:
        at = monotonic()
        if self._heard is None or at - self._heard > _GAP_SECONDS:
            self.since = at
        self._told[key], self._heard = Told(value, at), at
        self._news.set()

    @property
    def _name(self) -> str:
        return f"{self._log.name}-{self._kind.name}"

    async def _made(self) -> KeyValue:
        """The bucket, made where it is not there."""
        try:
            return await self._log.context.key_value(self._name)
        except NotFoundError:
            return await self._log.context.create_key_value(api.KeyValueConfig(
                bucket=self._name, history=1, replicas=self._log.replicas, storage=self._kind.storage,
                max_bytes=self._kind.most_bytes, ttl=self._kind.seconds,
            ))
