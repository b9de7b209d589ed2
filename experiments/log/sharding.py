"""Sharding: databases that have partitions of the visitors, and partitions moved whole from one to another."""

from collections.abc import Callable
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from time import sleep

from experiments.errors import InvalidShard
from experiments.errors import StorageBusy
from experiments.errors import StorageError
from experiments.errors import StorageUnreachable
from experiments.errors import shown
from experiments.log.ranges import written
from experiments.partitions import Span
from experiments.partitions import span_of
from experiments.reading.shapes import Refusal
from experiments.reading.values import key
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

    :raises InvalidShard: if the name is none or is taken, or the database is a shard already.
    """
    shards = control.read(lambda session: session.shards.all())
    # Before the database is given the name: it would be none that can be had under another one.
    _check_name(row.name, taken={shard.name for shard in shards})
    is_first = not shards
    is_new = beside(shard, partial(_name, row=row))
    if is_first:
        beside(shard, partial(_open_fences, partitions=partitions))
    try:
        control.transact(partial(_keep, row=row, partitions=partitions if is_first else 0, log=log, now_ms=now_ms))
    except InvalidShard:
        # Else it could be no other shard.
        if is_new:
            beside(shard, _forget)
        raise


def _check_name(name: str, *, taken: set[str]) -> None:
    try:
        key(name)
    except Refusal as error:
        raise InvalidShard(f"NAME: {shown(name)} {error}") from error
    if name in taken:
        raise _taken(name)


def _taken(name: str) -> InvalidShard:
    return InvalidShard(f"NAME: {shown(name)} is taken; `bespoke shard list` lists them")


def _name(session: Session, *, row: ShardRow) -> bool:
    """Say which shard the database is, so that none is two of them; whether it was none before."""
    known = session.meta.get(THIS_SHARD)
    if known not in (None, row.name):
        raise InvalidShard(f"URL: it is shard {shown(known)} already, and must be of one name")
    session.meta.set(THIS_SHARD, row.name)
    return known is None


def _forget(session: Session) -> None:
    """Be no shard, as before somebody wanted it to be one."""
    session.meta.forget(THIS_SHARD)
    session.fences.forget()


def _open_fences(session: Session, *, partitions: int) -> None:
    for partition in range(partitions):
        session.fences.open(partition)


def _keep(session: Session, *, row: ShardRow, partitions: int, log: str, now_ms: int) -> None:
    if not session.shards.add(row):
        raise _taken(row.name)
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


def remove_shard(store: ShardedStore, name: str) -> None:
    """Name a shard no more, which has no partition; its database may then be another one's, or go.

    One that is away is not asked whether anything is left in it: it may be gone for good.

    :raises InvalidShard: if there is no such shard, or visitors are there.
    """
    with store.turn_to_move():
        store.placement.refresh()
        _check_shard(store, name)
        numbers = {number for number in range(store.placement.partitions) if store.placement.shard_of(number) == name}
        with suppress(StorageUnreachable):
            shard = store.placement.store(name)
            numbers |= set(shard.read(lambda session: session.fences.here()))
            if not numbers:
                beside(shard, _forget)
        if numbers:
            raise InvalidShard(f"NAME: {shown(name)} has partitions {written(numbers)}: move them elsewhere first")
        store.transact(partial(_remove_from_list, name=name))
        store.placement.refresh()


def _remove_from_list(session: Session, *, name: str) -> None:
    session.shards.remove(name)
    _let_all_look(session)


def _check_shard(store: ShardedStore, name: str) -> None:
    if name not in store.placement.names():
        raise InvalidShard(f"NAME: {shown(name)} is no shard; `bespoke shard list` lists them")


def _told_nobody(partition: int) -> None:
    """Nobody wants to know how far a move is."""


def move_partition(store: ShardedStore, partition: int, target: str) -> None:
    """Move a single partition to another shard."""
    move_partitions(store, [partition], target)


def move_partitions(
    store: ShardedStore, partitions: Sequence[int], target: str, *, told: Callable[[int], None] = _told_nobody
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
        _check_shard(store, target)
        if outside := [number for number in partitions if not 0 <= number < store.placement.partitions]:
            raise InvalidShard(f"PARTITIONS: {outside[0]} must be from 0 to {store.placement.partitions - 1}")
        have_moved = False
        for partition in partitions:
            have_moved |= _bring(store, partition, target)
            told(partition)
        if have_moved and store.read(lambda session: session.spools.has_any() or session.workers.has_any()):
            sleep(_NOTICING_SECONDS)
        for partition in partitions:
            _clear_elsewhere(store, partition, target)


def _bring(store: ShardedStore, partition: int, target: str) -> bool:
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
    store.transact(partial(_place, partition=partition, source=source, target=target))
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
        _let_all_look(session)

    source = store.placement.shard_of(partition)
    if source == store.read(lambda session: session.meta.get(THIS_SHARD)):
        # While nobody else writes: what nodes have begun is kept before it is copied.
        store.transact(close)
    else:
        beside(store.placement.store(source), lambda session: session.fences.close(partition))


def _place(session: Session, *, partition: int, source: str, target: str) -> None:
    if not session.shards.move(partition, source=source, target=target):
        raise StorageBusy(f"partition {partition} is no longer in {source}: somebody else has moved it meanwhile")
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
