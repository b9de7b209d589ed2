"""Sharding: databases that have partitions of the visitors are added, named anew, and taken out."""

from contextlib import suppress
from functools import partial

from experiments import audit
from experiments.audit import Change
from experiments.audit import Deed
from experiments.errors import InvalidShard
from experiments.errors import StorageUnreachable
from experiments.errors import shown
from experiments.log.ranges import written
from experiments.reading.shapes import Refusal
from experiments.reading.values import key
from experiments.storage.location import Server
from experiments.storage.session import Session
from experiments.storage.sharded_store import ShardedStore
from experiments.storage.sharded_store import beside
from experiments.storage.shards import THIS_LOG
from experiments.storage.shards import THIS_SHARD
from experiments.storage.shards import ShardRow
from experiments.storage.store import OwnStore


def add_shard(
    control: OwnStore, shard: OwnStore, row: ShardRow, *, partitions: int, log: str, deed: Deed
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
        control.transact(partial(_keep, row=row, partitions=partitions if is_first else 0, log=log, deed=deed))
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


def _keep(session: Session, *, row: ShardRow, partitions: int, log: str, deed: Deed) -> None:
    if not session.shards.add(row):
        raise _taken(row.name)
    if partitions:
        if session.meta.get(THIS_SHARD) != row.name and session.events.newest():
            raise InvalidShard("URL: the first shard must be BESPOKE_DATABASE_URL itself, since visitors are there")
        session.meta.set(THIS_LOG, log)
        let_all_look(session)
    for partition in range(partitions):
        session.shards.place(partition, row.name)
        session.watermarks.move(partition, at_ms=deed.now_ms, applied=-1)
    audit.log(session, Change(None, "shard add", row.name, _place_of(row)), deed=deed)


def _place_of(row: ShardRow) -> dict[str, str]:
    """Where a shard is, without its password."""
    return {"address": str(Server(row.address))}


def let_all_look(session: Session) -> None:
    """Make a new version, so that all nodes look, also those that have no log; what they answer by has not changed."""
    session.meta.bump_config_version(now_ms=0)


def readdress_shard(store: ShardedStore, shard: OwnStore, row: ShardRow, *, deed: Deed) -> None:
    """Say by which address a shard is reached from now on; it is the same database, or has all that this one had.

    :raises InvalidShard: if there is no such shard, or the database is another one or an older state of it.
    """
    with store.turn_to_move():
        store.placement.refresh()
        check_shard(store, row.name)
        name, applied = shard.read(lambda session: (session.meta.get(THIS_SHARD), session.fences.applied()))
        if name != row.name:
            known = f"shard {shown(name)}" if name else "no shard"
            raise InvalidShard(f"URL: it is {known}, must be the database of {shown(row.name)}")
        collected = store.read(lambda session: session.watermarks.applied())
        numbers = store.placement.partitions_of(row.name)
        if older := [number for number in numbers if applied.get(number, -1) < collected[number]]:
            raise InvalidShard(f"URL: it lacks what was applied to partitions {written(older)}: bring it to its newest")
        store.transact(partial(_readdress, row=row, deed=deed))
        store.placement.refresh()


def _readdress(session: Session, *, row: ShardRow, deed: Deed) -> None:
    session.shards.readdress(row)
    let_all_look(session)
    audit.log(session, Change(None, "shard address", row.name, _place_of(row)), deed=deed)


def remove_shard(store: ShardedStore, name: str, *, deed: Deed) -> None:
    """Name a shard no more, which has no partition; its database may then be another one's, or go.

    One that is away is not asked whether anything is left in it: it may be gone for good.

    :raises InvalidShard: if there is no such shard, or visitors are there.
    """
    with store.turn_to_move():
        store.placement.refresh()
        check_shard(store, name)
        numbers = set(store.placement.partitions_of(name))
        with suppress(StorageUnreachable):
            shard = store.placement.store(name)
            numbers |= set(shard.read(lambda session: session.fences.here()))
            if not numbers:
                beside(shard, _forget)
        if numbers:
            raise InvalidShard(f"NAME: {shown(name)} has partitions {written(numbers)}: move them elsewhere first")
        store.transact(partial(_remove_from_list, name=name, deed=deed))
        store.placement.refresh()


def _remove_from_list(session: Session, *, name: str, deed: Deed) -> None:
    session.shards.remove(name)
    let_all_look(session)
    audit.log(session, Change(None, "shard remove", name), deed=deed)


def check_shard(store: ShardedStore, name: str) -> None:
    """See that a name is that of a shard.

    :raises InvalidShard: if it is not.
    """
    if name not in store.placement.names():
        raise InvalidShard(f"NAME: {shown(name)} is no shard; `bespoke shard list` lists them")
