"""Sharding: databases that have partitions of the visitors, and partitions moved whole from one to another."""

from functools import partial
from time import sleep

from experiments.errors import InvalidShard
from experiments.errors import shown
from experiments.partitions import Span
from experiments.partitions import span_of
from experiments.storage.session import Session
from experiments.storage.sharded_store import ShardedStore
from experiments.storage.sharded_store import beside
from experiments.storage.shards import THIS_LOG
from experiments.storage.shards import THIS_SHARD
from experiments.storage.shards import ShardRow
from experiments.storage.store import OwnStore

#: Until every node looks for a partition where it has been moved to.
_NOTICING_SECONDS = 3.0


def add_shard(
    control: OwnStore, shard: OwnStore, row: ShardRow, *, partitions: int, log: str, now_ms: int
) -> None:
    """Add a shard; the first one has all partitions until they are moved, and with it the `log` gets its name.

    :raises InvalidShard: if the name is taken, or the database is a shard already.
    """
    is_first = not control.read(lambda session: session.shards.all())
    beside(shard, partial(_name, row=row))
    if is_first:
        beside(shard, partial(_open_fences, partitions=partitions))
    control.transact(partial(_keep, row=row, partitions=partitions if is_first else 0, log=log, now_ms=now_ms))


def _name(session: Session, *, row: ShardRow) -> None:
    """Say which shard the database is, so that none is two of them."""
    known = session.meta.get(THIS_SHARD)
    if known not in (None, row.name):
        raise InvalidShard(f"URL: it is shard {shown(known)} already, and must be of one name")
    session.meta.set(THIS_SHARD, row.name)


def _open_fences(session: Session, *, partitions: int) -> None:
    for partition in range(partitions):
        session.fences.open(partition)


def _keep(session: Session, *, row: ShardRow, partitions: int, log: str, now_ms: int) -> None:
    if not session.shards.add(row):
        raise InvalidShard(f"NAME: {shown(row.name)} is taken; `bespoke shard list` lists them")
    if partitions:
        if session.meta.get(THIS_SHARD) != row.name and session.events.newest():
            raise InvalidShard("URL: the first shard must be BESPOKE_DATABASE_URL itself, since visitors are there")
        session.meta.set(THIS_LOG, log)
        _let_all_look(session)
    for partition in range(partitions):
        session.shards.place(partition, row.name)
        session.watermarks.move(partition, at_ms=now_ms, applied=-1)


def _let_all_look(session: Session) -> None:
    """Make a new version, so that all nodes look, also those that have no log; what they answer by has not changed."""
    session.meta.bump_config_version(now_ms=0)


def move_partition(store: ShardedStore, partition: int, target: str) -> None:
    """Move a partition to another shard; its events wait in the log meanwhile.

    Where it was broken off it is finished by moving again, and undone by moving to where the partition was.

    Nodes without a log take nothing from the moment on that the first is closed in their database.

    :raises InvalidShard: if there is no such partition or shard.
    """
    placement = store.placement
    if not 0 <= partition < placement.partitions:
        raise InvalidShard(f"PARTITION: {partition} must be from 0 to {placement.partitions - 1}")
    if target not in placement.names():
        raise InvalidShard(f"NAME: {shown(target)} is no shard; `bespoke shard list` lists them")
    source, span = placement.shard_of(partition), span_of(partition, placement.partitions)
    if source != target:
        _close(store, partition)
        _copy(placement.store(source), placement.store(target), partition, span)
        store.transact(partial(_place, partition=partition, shard=target))
        placement.refresh()
        if store.read(lambda session: session.spools.has_any() or session.workers.has_any()):
            sleep(_NOTICING_SECONDS)
    else:
        # A move to elsewhere may have been broken off.
        beside(placement.store(target), lambda session: session.fences.reopen(partition))
    here = store.read(lambda session: session.meta.get(THIS_SHARD))
    for shard in placement.names():
        if shard != target:
            _remove(placement.store(shard), partition, span, has_collected=shard == here)


def _close(store: ShardedStore, partition: int) -> None:
    """Let nobody write of a partition where it is: workers by its fence, and nodes without a log by the new version."""

    def close(session: Session) -> None:
        session.fences.close(partition)
        _let_all_look(session)

    source = store.placement.shard_of(partition)
    if source == store.read(lambda session: session.meta.get(THIS_SHARD)):
        # While nobody else writes: what nodes have begun is kept before it is copied.
        store.transact(close)
    else:
        beside(store.placement.store(source), lambda session: session.fences.close(partition))


def _place(session: Session, *, partition: int, shard: str) -> None:
    session.shards.place(partition, shard)
    session.watermarks.forget(partition)
    _let_all_look(session)


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
