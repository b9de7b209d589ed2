"""Collecting: the sums of all shards, brought to the control database that reports and reallocations read."""

import logging
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from experiments.errors import StorageError
from experiments.partitions import span_of
from experiments.storage.connection import Row
from experiments.storage.session import Session
from experiments.storage.sharded_store import ShardedStore
from experiments.storage.sharded_store import beside
from experiments.storage.shards import THIS_SHARD
from experiments.storage.waiting import WaitingCounts

log = logging.getLogger(__name__)


class _Found(NamedTuple):
    """A partition in its shard; no sums and no counts where they have not changed, or are in the control database."""

    applied: int
    sums: Mapping[str, Sequence[Row]] | None
    waiting: Mapping[str, WaitingCounts] | None


class _Known(NamedTuple):
    """What was collected before: how often each partition had been changed, and where time alone changes something."""

    applied: Mapping[int, int]
    due: Collection[int]


def collect(store: ShardedStore, *, now_ms: int) -> None:
    """Bring what has changed in each shard, in one transaction for each; a shard that is away is left as it was."""
    if not store.has_shards():
        return
    known, here = store.read(lambda session: (_known(session, now_ms=now_ms), session.meta.get(THIS_SHARD)))
    for shard in store.placement.shards():
        # Before the shard is read: what has been applied by now is in what is read.
        at_ms = store.read(lambda session: session.spools.watermark(now_ms=now_ms))
        try:
            found = _look(store, shard, known if shard != here else None, now_ms=now_ms)
        except StorageError as error:
            log.warning("shard %s is not collected: %s", shard, error, extra={"event": "not_collected"})
            continue
        beside(store, partial(_keep, found=found, at_ms=at_ms))


def _known(session: Session, *, now_ms: int) -> _Known:
    return _Known(session.watermarks.applied(), session.watermarks.due(now_ms=now_ms))


def _look(store: ShardedStore, shard: str, known: _Known | None, *, now_ms: int) -> dict[int, _Found]:
    """The partitions of a shard; their sums where more has been applied than is `known`."""
    placement = store.placement

    def look(session: Session) -> dict[int, _Found]:
        found = {}
        for partition, applied in sorted(session.fences.applied().items()):
            if placement.shard_of(partition) == shard:
                is_new = known is not None and known.applied.get(partition) != applied
                is_due = known is not None and partition in known.due
                span = span_of(partition, placement.partitions)
                sums = session.sums.of(partition) if is_new else None
                waiting = session.waiting.of_span(span, now_ms=now_ms) if is_new or is_due else None
                found[partition] = _Found(applied, sums, waiting)
        return found

    return placement.store(shard).read(look)


def _keep(session: Session, *, found: Mapping[int, _Found], at_ms: int) -> None:
    for partition, (applied, sums, waiting) in found.items():
        if session.watermarks.move(partition, at_ms=at_ms, applied=applied):
            if sums is not None:
                session.sums.replace(partition, sums)
            if waiting is not None:
                session.watermarks.keep_waiting(partition, waiting)
