"""The bucket: a key-value store beside the log, by which processes tell each other what is new. Never the record.

It may be lost, wiped or behind: whoever hears nothing for a while asks the database as if there were none.
"""

import asyncio
import logging
from threading import Event
from time import monotonic
from typing import Any

from nats.errors import Error as NatsError
from nats.js import api
from nats.js.errors import NotFoundError
from nats.js.kv import KeyValue

from experiments.storage.log import Log

#: The largest value: a message of the log as its servers come.
MOST_BYTES = 1_000_000
#: After so long without anything new it is asked whether it is there, and the same one.
SILENCE_SECONDS = 3.0
_PUTTING_SECONDS = 3.0
_AGAIN_SECONDS = 0.5
_BYTES = 16 << 20

log = logging.getLogger(__name__)


class Bucket:
    """What was put there last, by key, as this process hears of it until it is closed."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._values: dict[str, bytes] = {}
        self._heard: float | None = None
        self._news = Event()
        self._kept: KeyValue | None = None
        self._watching = log.begin(self._watch())

    def value(self, key: str) -> bytes | None:
        """The newest value that was heard of, or None."""
        return self._values.get(key)

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
                    await watcher.stop()
            except (NatsError, TimeoutError, OSError) as error:
                log.debug("the bucket is watched anew: %s", type(error).__name__, extra={"event": "bucket"})
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _follow(self, watcher: Any) -> None:
        """Hear what comes, until nothing does."""
        while True:
            entry = await watcher.updates(timeout=SILENCE_SECONDS)
            if entry is not None and entry.value is not None:
                self._values[entry.key] = entry.value
                self._heard = monotonic()
                self._news.set()

    async def _made(self) -> KeyValue:
        """The bucket, made where it is not there."""
        name = f"{self._log.name}-news"
        try:
            return await self._log.context.key_value(name)
        except NotFoundError:
            return await self._log.context.create_key_value(api.KeyValueConfig(
                bucket=name, history=1, replicas=self._log.replicas, storage=api.StorageType.FILE, max_bytes=_BYTES,
            ))
