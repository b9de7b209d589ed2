"""Moving: partitions are brought whole from one shard to another, while events come."""

from collections.abc import Callable
from collections.abc import Sequence
from functools import partial
from time import sleep

from experiments.audit import Change
from experiments.audit import Deed
from experiments.audit import log
from experiments.errors import InvalidShard
from experiments.errors import StorageBusy
from experiments.errors import StorageError
from experiments.errors import StorageUnreachable
from experiments.log.sharding import check_shard
from experiments.log.sharding import let_all_look
from experiments.partitions import Span
from experiments.partitions import span_of
from experiments.storage.session import Session
from experiments.storage.sharded_store import ShardedStore
from experiments.storage.sharded_store import beside
from experiments.storage.shards import THIS_SHARD
from experiments.storage.store import OwnStore

#: Until every node looks for a partition where it has been moved to.
_NOTICING_SECONDS = 3.0


def _told_nobody(partition: int) -> None:
    """Nobody wants to know how far a move is."""


def move_partitions(
    store: ShardedStore,
    partitions: Sequence[int],
    target: str,
    *,
    deed: Deed,
    told: Callable[[int], None] = _told_nobody,
) -> None:
    """Move partitions to another shard, one after another; the events of each wait in the log meanwhile.

    Where it was broken off it is finished by moving again, and undone by moving to where a partition was. Each is
    `told` once it is there.

    Nodes without a log take nothing from the moment on that the first is closed in their database.

    :raises InvalidShard: if there is no such partition or shard.
    :raises StorageBusy: if somebody else moves some.
    """
    with store.turn_to_move():
        # Where they were when this process began may be long ago.
        store.placement.refresh()
        check_shard(store, target)
        if outside := [number for number in partitions if not 0 <= number < store.placement.partitions]:
            raise InvalidShard(f"PARTITIONS: {outside[0]} must be from 0 to {store.placement.partitions - 1}")
        have_moved = False
        for partition in partitions:
            have_moved |= _bring(store, partition, target, deed=deed)
            told(partition)
        if have_moved and store.read(lambda session: session.spools.has_any() or session.workers.has_any()):
            sleep(_NOTICING_SECONDS)
        for partition in partitions:
            _clear_elsewhere(store, partition, target)


def _bring(store: ShardedStore, partition: int, target: str, *, deed: Deed) -> bool:
    """Let a partition be in a shard from now on; whether it was in another one."""
    placement = store.placement
    source, span = placement.shard_of(partition), span_of(partition, placement.partitions)
    if source == target:
        # A move to elsewhere may have been broken off.
        beside(placement.store(target), lambda session: session.fences.reopen(partition))
        return False
    _close(store, partition)
    try:
        _copy(placement.store(source), placement.store(target), partition, span)
    except StorageError:
        # Its events need not wait until somebody moves it again.
        beside(placement.store(source), lambda session: session.fences.reopen(partition))
        raise
    store.transact(partial(_place, partition=partition, source=source, target=target, deed=deed))
    placement.refresh()
    return True


def _clear_elsewhere(store: ShardedStore, partition: int, target: str) -> None:
    """Remove what a partition has left in other shards."""
    placement, away = store.placement, list[StorageUnreachable]()
    span, here = span_of(partition, placement.partitions), store.read(lambda session: session.meta.get(THIS_SHARD))
    for shard in placement.names():
        if shard != target:
            try:
                _remove(placement.store(shard), partition, span, has_collected=shard == here)
            except StorageUnreachable as error:
                away.append(error)
    # Not before all others: what was moved just now is in one of them.
    if away:
        raise away[0]


def _close(store: ShardedStore, partition: int) -> None:
    """Let nobody write of a partition where it is: workers by its fence, and nodes without a log by the new version."""

    def close(session: Session) -> None:
        session.fences.close(partition)
        let_all_look(session)

    source = store.placement.shard_of(partition)
    if source == store.read(lambda session: session.meta.get(THIS_SHARD)):
        # While nobody else writes: what nodes have begun is kept before it is copied.
        store.transact(close)
    else:
        beside(store.placement.store(source), lambda session: session.fences.close(partition))


def _place(session: Session, *, partition: int, source: str, target: str, deed: Deed) -> None:
    if not session.shards.move(partition, source=source, target=target):
        raise StorageBusy(f"partition {partition} is no longer in {source}: somebody else has moved it meanwhile")
    session.watermarks.forget(partition)
    let_all_look(session)
    log(session, Change(None, "shard move", target, {"partition": partition, "from": source}), deed=deed)


def _copy(source: OwnStore, target: OwnStore, partition: int, span: Span) -> None:
    def put(there: Session) -> None:
        there.partition_rows.remove(span)

        def read(here: Session) -> None:
            for table, columns, rows in here.partition_rows.of(span):
                there.partition_rows.put(table, columns, rows)
            there.sums.replace(partition, here.sums.of(partition))
            there.positions.replace(partition, here.positions.of(partition))
            # Whose they are cannot be seen, so all go along.
            there.tombstones.keep(here.tombstones.all())
            there.fences.take_over(partition, here.fences.row(partition))

        source.read(read)
        there.partition_rows.number_on(span)

    beside(target, put)


def _remove(shard: OwnStore, partition: int, span: Span, *, has_collected: bool) -> None:
    """Remove what has been moved; sums that are collected where they were counted stay, and change from now on."""

    def remove(session: Session) -> None:
        session.fences.close(partition)
        session.fences.empty(partition)
        session.partition_rows.remove(span)
        session.positions.replace(partition, {})
        if not has_collected:
            session.sums.replace(partition, {"cells": (), "lags": (), "counters": ()})

    beside(shard, remove)
