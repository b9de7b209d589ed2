"""Keeping: a node's care for what it has accepted, until the shards have it."""

import logging
from threading import Event
from threading import Thread
from time import monotonic
from time import sleep

from experiments.errors import BespokeError
from experiments.errors import StorageError
from experiments.storage.location import Server
from experiments.storage.log import Log
from experiments.storage.session import Session
from experiments.storage.sharded_store import ShardedStore
from experiments.storage.sharded_store import beside
from experiments.storage.spool import Source
from experiments.storage.spool import Spool
from experiments.storage.spools import SpoolRow

_LOOKING_SECONDS = 0.5
#: What has not been applied for so long, while nothing before it was, may be lost to the log; ever more patience after.
_PATIENCE_SECONDS = 2.0
_MOST_PATIENCE_SECONDS = 30.0
_LEAVING_SECONDS = 5.0
_AGAIN_BYTES = 64 << 20

log = logging.getLogger(__name__)


class Keeper(Thread):
    """Takes over what processes that ended have left, tells what still waits, and has each shard watched.

    `place` is where the spool is, for people who look for it.
    """

    def __init__(self, store: ShardedStore, spool: Spool, log: Log, *, place: str) -> None:
        super().__init__(name="keeper", daemon=True)
        self._store = store
        self._spool = spool
        self._log = log
        self._place = place
        self._stopped = Event()
        self._known, self._ended = {spool.writer}, set[str]()
        self._watches: dict[tuple[str, Server | None], _Watching] = {}

    def run(self) -> None:
        """Look again and again, whatever goes wrong, until stopped."""
        self._look()
        while not self._stopped.wait(_LOOKING_SECONDS):
            self._look()

    def tell(self) -> None:
        """Tell that there is a spool, before anything is accepted into it: else the watermark would not mind it.

        :raises StorageError: if the control database cannot be told.
        """
        ended = beside(self._store, self._tell)
        self._ended.update(ended)

    def _look(self) -> None:
        try:
            self._spool.adopt()
            self._forget_ended()
            self._watch()
            self.tell()
        except BespokeError as error:
            log.warning("what was accepted waits in the spool: %s", error, extra={"event": "spool_waits"})
        except Exception:
            # One that died here would leave events uncounted for ever.
            log.exception("what was accepted waits in the spool", extra={"event": "spool_waits"})

    def _forget_ended(self) -> None:
        """Let go of what is back of processes of which all was applied, as from a copy of a disk."""
        left = {writer for writer in self._spool.writers if writer not in self._known}
        if left:
            self._spool.forget(self._store.read(lambda session: session.spools.ended(left)))
            self._known |= left

    def _watch(self) -> None:
        placement = self._store.placement
        places = {(shard, placement.server_of(shard)) for shard in placement.shards()}
        for place in self._watches.keys() - places:
            self._watches.pop(place).stop()
        for place in places - self._watches.keys():
            shard, _ = place
            self._watches[place] = _Watching(Watch(self._store, self._spool, self._log, shard=shard), shard)
            self._watches[place].start()

    def _tell(self, session: Session) -> list[str]:
        """Tell what waits of each process; those that have ended, of which nothing does."""
        ended = []
        for writer in set(self._spool.writers) - self._ended:
            since_ms, at_ms, entries, size = self._spool.waits(writer)
            if since_ms is None and writer != self._spool.writer:
                session.spools.end([writer], at_ms=at_ms)
                ended.append(writer)
            elif since_ms is None and self._stopped.is_set():
                session.spools.leave(writer)
            else:
                session.spools.see(SpoolRow(writer, since_ms, at_ms, self._place, entries, size))
        return ended

    def stop(self) -> None:
        """Look no more, once nothing waits or it has taken too long: what waits then is whoever starts next to mind."""
        self._stopped.set()
        self.join()
        until = monotonic() + _LEAVING_SECONDS
        for watch in self._watches.values():
            watch.hurry()
        while self._spool.sources() and monotonic() < until:
            sleep(_LOOKING_SECONDS / 5)
        for watch in self._watches.values():
            watch.stop()
        self._look()
        self._end()

    def _end(self) -> None:
        """Close the spool, into which nothing can come any more: of those with nothing in it that is told, for good."""
        gone, now_ms = self._spool.close(), self._spool.now_ms()
        try:
            beside(self._store, lambda session: session.spools.end(gone, at_ms=now_ms))
        except StorageError as error:
            log.info("that nothing waits is not told: %s", error, extra={"event": "spool_waits"})


class Watch:
    """Lets go of what a shard has, and publishes again what the log has lost."""

    def __init__(self, store: ShardedStore, spool: Spool, log: Log, *, shard: str) -> None:
        self._placement = store.placement
        self._spool = spool
        self._log = log
        self._shard = shard
        self._writer = store.placement.writer_to(shard)
        self._stalls: dict[Source, _Stall] = {}

    def look(self) -> None:
        """Look once."""
        try:
            if not self._placement.is_away(self._shard):
                self._keep()
        except BespokeError as error:
            log.info("shard %s is asked again: %s", self._shard, error, extra={"event": "asked_again"})
        except Exception:
            log.exception("shard %s is asked again", self._shard, extra={"event": "asked_again"})

    def _keep(self) -> None:
        waiting, writers = self._waiting(), self._spool.writers
        if waiting:
            positions = self._writer.run(lambda session: session.positions.kept(writers), alone=False)
            self._spool.pass_to({source: positions.get(source, 0) for source in waiting})
            waiting = self._waiting()
            for source in waiting:
                self._mind(source, positions.get(source, 0))
        self._stalls = {source: self._stalls[source] for source in waiting if source in self._stalls}

    def _waiting(self) -> list[Source]:
        return [each for each in self._spool.sources() if self._placement.shard_of(each.partition) == self._shard]

    def _mind(self, source: Source, number: int) -> None:
        stall = self._stalls.get(source)
        if stall is None or stall.number != number:
            # What an earlier process has left was never published by this one.
            patience = _PATIENCE_SECONDS if source.writer == self._spool.writer or stall else 0.0
            stall = self._stalls[source] = _Stall(number, patience)
        if monotonic() >= stall.until:
            stall.wait_longer()
            if entries := self._spool.entries(source, most_bytes=_AGAIN_BYTES):
                self._log.publish_again(entries)
                log.info("%d entries are published again", len(entries), extra={"event": "published_again"})

    def close(self) -> None:
        """Let the connection go."""
        self._writer.close()


class _Watching(Thread):
    """Looks at a shard again and again; one that is silent holds up the watch on no other."""

    def __init__(self, watch: Watch, shard: str) -> None:
        super().__init__(name=f"watch on {shard}", daemon=True)
        self._watch = watch
        self._pause = _LOOKING_SECONDS
        self._stopped = Event()

    def run(self) -> None:
        """Look until stopped."""
        while not self._stopped.is_set():
            self._watch.look()
            self._stopped.wait(self._pause)
        self._watch.close()

    def hurry(self) -> None:
        """Look more often: somebody waits for the end."""
        self._pause = _LOOKING_SECONDS / 5

    def stop(self) -> None:
        """Look no more; a shard that does not answer is not waited for."""
        self._stopped.set()
        self.join(_LOOKING_SECONDS)


class _Stall:
    """Since when the first entry of a source has been the first."""

    def __init__(self, number: int, patience: float) -> None:
        self.number = number
        self._patience = patience
        self.until = monotonic() + patience

    def wait_longer(self) -> None:
        """Give it another while, twice as long."""
        self._patience = min(max(self._patience, _PATIENCE_SECONDS) * 2, _MOST_PATIENCE_SECONDS)
        self.until = monotonic() + self._patience
